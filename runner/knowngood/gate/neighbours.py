"""What a gate can ask about an error of one node: do others have it, and has its GPU lost a row of memory for good."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from knowngood.adapters.cluster import facts, journals, kernel_source
from knowngood.adapters.kubernetes.client import Kube
from knowngood.gate import kernel_log as kernel
from knowngood.gate.driver import Reports
from knowngood.gate.fixtures import Journals
from knowngood.gate.log_errors import Beside, Place, Seen, before_of, new, seen
from knowngood.gate.xid_table import Action
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import KnowngoodError
from knowngood.model.matrix import Cluster

GATE = "gpu_errors"
AT_ONCE, MOST = 8, 32
"""Nodes that are read at once, and at most of those that did not move: some are enough to show it is no driver's."""
NO_HOURS = "the node was rebooted since its window opened, so for how long they must be read is not known"
NO_UPTIME = "neither a ready driver pod nor the journal there tells for how long the node is up"
NO_LINE = "the kernel log has no line of the present boot"


@pytest.fixture(scope="session")
def neighbours(
    kube: Kube, cluster: Cluster, judgement: JudgeRequest, journals_of: Journals
) -> Callable[[str, float | None], Beside]:
    """Application errors of the other judged nodes that are new there, and those of nodes that did not move.

    Asked with a node and the hours that it is judged for; None: nobody knows, then those that did not move are unread.
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

    def still(node: str, hours: float) -> tuple[set[str], str]:
        try:
            up = _uptime(kube, node, cluster.operator_namespace)
            if up is None:
                return set(), NO_UPTIME
            since = max(0.0, up - hours * 3600 - journals.SETTLED)
            lines, lost = kernel.parse(journals.read(kube, node, since=since, up=up))
        except (KnowngoodError, ValueError) as error:
            return set(), str(error)
        late = [line for line in lines if line.until >= since]
        kinds = {s.event.key for s in seen(late, ("gpu",)) if s.event.action is Action.APP}
        return kinds, lost or ("" if lines else NO_LINE)

    def stayed(hours: float | None) -> tuple[set[str], str]:
        others = judgement.still[:MOST]
        if hours is None:
            return set(), NO_HOURS if others else ""
        with ThreadPoolExecutor(AT_ONCE) as hands:
            asked = list(hands.map(lambda other: still(other, hours), others))
        troubles = [trouble for _, trouble in asked]
        return set().union(*(kinds for kinds, _ in asked)), troubles[0] if troubles and all(troubles) else ""

    def ask(node: str, hours: float | None) -> Beside:
        places: dict[str, set[Place]] = {}
        for other in judgement.nodes:
            for one in moved(other) if other not in (node, *judgement.still) else ():
                places.setdefault(one.event.key, set()).add(one.place(other))
        return Beside(places, *stayed(hours))

    return ask


def _uptime(kube: Kube, node: str, namespace: str) -> float | None:
    """Seconds since the node booted, as its driver pod tells them; without a ready one the journal's newest entry does.

    That one is as old as the node is silent: then a little more is read than the window, which holds less against the
    change. A file's boot is only known by the node's uptime: there it tells nothing.
    """
    pods = [pod for pod in facts.pods_of_node(kube, node, namespace) if facts.is_driver_pod(pod)]
    if (ready := next(filter(facts.is_ready, pods), None)) is not None:
        return facts.uptime(kube, ready, facts.DRIVER_CONTAINER)
    told = list(kernel_source.ask(kube, node, {"output": "json", "boot": "0", "tail": "1"}))
    try:
        return int(json.loads(told[-1])["__MONOTONIC_TIMESTAMP"]) / 1e6
    except (LookupError, TypeError, ValueError):
        return None


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
