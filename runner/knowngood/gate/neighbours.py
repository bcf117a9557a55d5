"""What a gate can ask about an error of one node: do others have it, and has its GPU lost a row of memory for good."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from knowngood.adapters.cluster import journals
from knowngood.adapters.kubernetes.client import Kube
from knowngood.gate import kernel_log as kernel
from knowngood.gate.driver import Reports
from knowngood.gate.fixtures import Journals
from knowngood.gate.log_errors import Beside, Place, Seen, before_of, new, seen
from knowngood.gate.xid_table import Action
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import KnowngoodError

GATE = "gpu_errors"
AT_ONCE, MOST = 8, 32
"""Nodes that are read at once, and at most of those that did not move: some are enough to show it is no driver's."""


@pytest.fixture(scope="session")
def neighbours(kube: Kube, judgement: JudgeRequest, journals_of: Journals) -> Callable[[str, float], Beside]:
    """Application errors of the other judged nodes that are new there, and those of nodes that did not move.

    Asked with a node and the hours that it is judged for.
    """

    def moved(node: str) -> list[Seen]:
        try:
            lines, _ = kernel.parse(journals_of(node, 0))
        except (KnowngoodError, ValueError):
            return []  # its own gate says so
        window = judgement.loads.get(node) or judgement.windows.get(node)
        log = kernel.KernelLog(tuple(lines), 1)
        log = log.since(window) if window else log
        before = before_of(judgement.baseline.get(f"{GATE}/{node}"))
        return new(seen(log.lines, ("gpu",)), Action.APP, before, None)

    def still(node: str, seconds: float) -> tuple[set[str], str]:
        try:
            lines, lost = kernel.parse(journals.read(kube, node, since=0.0, up=seconds))
        except (KnowngoodError, ValueError) as error:
            return set(), str(error)
        return {s.event.key for s in seen(lines, ("gpu",)) if s.event.action is Action.APP}, lost

    def ask(node: str, hours: float) -> Beside:
        places: dict[str, set[Place]] = {}
        for other in judgement.nodes:
            for one in moved(other) if other not in (node, *judgement.still) else ():
                places.setdefault(one.event.key, set()).add(one.place(other))
        with ThreadPoolExecutor(AT_ONCE) as hands:
            asked = list(hands.map(lambda other: still(other, hours * 3600), judgement.still[:MOST]))
        troubles = [trouble for _, trouble in asked]
        unread = troubles[0] if troubles and all(troubles) else ""
        return Beside(places, set().union(*(kinds for kinds, _ in asked)), unread)

    return ask


@pytest.fixture(scope="session")
def remap_failed(request: pytest.FixtureRequest) -> Callable[[str, str], bool | None]:
    """Whether the driver shows a failed row remap of a node's GPU; None: it does not say."""

    def ask(node: str, address: str) -> bool | None:
        reports: Reports = request.getfixturevalue("reports")
        told = reports.told.get(node)
        if told is None or told.report is None:
            return None
        of = [g for g in told.report.gpus if g.address.lower().endswith(f"{address[-10:]}.0")]
        said = of[0].values.get("remapFailure", "").lower() if of else ""
        return {"yes": True, "1": True, "no": False, "0": False}.get(said)

    return ask
