"""Two ways in which a version that seemed to be coming does not: it relapses once, or its installation times out."""

from __future__ import annotations

import time

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import name_of
from knowngood.twin.behaviours.olm_objects import package_of
from knowngood.twin.faults import Fault
from knowngood.twin.values import Object

Phase = tuple[str, str, str]
"""Phase, reason, message."""

PATIENCE_S = 300.0
NO_LONGER_MET: Phase = ("Failed", "RequirementsNotMet", "requirements no longer met")
TIMED_OUT: Phase = ("Failed", "InstallCheckFailed", "install timeout")


class Relapses:
    """Asked for each version in its phase; None: nothing of the kind."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._began: dict[str, float] = {}

    def after_success(self, csv: Object) -> Phase | None:
        """Fault olm-succeeds-twice: what it had succeeded with is collected with the version before it."""
        fault = self._fault("olm-succeeds-twice", csv)
        if fault is None:
            return None
        self._twin.faults.hit(fault, operator=name_of(csv))
        return NO_LONGER_MET

    def while_installing(self, csv: Object) -> Phase | None:
        """Fault olm-install-times-out: its Deployment never counts as ready; Failed after five minutes, and again."""
        fault = self._fault("olm-install-times-out", csv)
        if fault is None:
            self._began.pop(name_of(csv), None)
            return None
        now = time.monotonic()
        if now - self._began.setdefault(name_of(csv), now) < self._twin.clock.real(PATIENCE_S):
            name = package_of(csv)
            why = f'deployment "{name}" not available: Deployment does not have minimum availability.'
            waits = f"installing: waiting for deployment {name} to become ready: {why}"
            return "Installing", "InstallWaiting", waits
        del self._began[name_of(csv)]
        self._twin.faults.hit(fault, operator=name_of(csv))
        return TIMED_OUT

    def _fault(self, name: str, csv: Object) -> Fault | None:
        fault = self._twin.faults.active(name)
        if fault is None or fault.param("package") not in {"", package_of(csv)}:
            return None
        return fault if fault.param("version") in {"", csv["spec"].get("version", "")} else None
