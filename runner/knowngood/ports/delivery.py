"""How a commit reaches the cluster: Argo CD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from knowngood.model.errors import Refused
from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding
from knowngood.ports.cancel import Cancel


class SyncFailed(Refused):
    """Argo CD tried our revision and failed; the message quotes its words."""


class Delivery(Protocol):
    """Applications named in the cluster file."""

    def ready(self) -> Sequence[Finding]:
        """Why Argo CD would not deliver now (not synced, auto-sync off, a failed sync, a parent); empty: ready."""
        ...

    def windows(self, seconds: float) -> Sequence[Finding]:
        """Why it would not deliver at some moment from now on, within `seconds`: sync windows; empty: it would."""
        ...

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        """Ask for a refresh and wait until each affected Application's revision contains the commit
        and the live objects carry the `after` values; returns the seconds it took. Raises SyncFailed,
        and DeadlineExceeded where Argo CD did not get there in time.
        """
        ...
