"""What a run took from people: how often and how long each node was out, whose work was moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowngood.model.claims import Held, Hold, held
from knowngood.model.marks import Marks
from knowngood.model.state import RunState, StepResult
from knowngood.planner.pace import seconds_between


@dataclass(frozen=True, slots=True)
class NodeTime:
    """One node: how often it was taken out of service, for how many seconds in all, how often reloaded.

    `why`: what does not agree about where it is now, and what to do.
    """

    times_out: int
    seconds_out: float
    reloads: int
    now: Hold
    why: str = ""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """One tenant: the workloads we evicted pods of, and how many pods."""

    workloads: tuple[str, ...]
    pods: int


@dataclass
class _Node:
    since: str = ""
    times: int = 0
    seconds: float = 0.0
    reloads: int = 0

    def out(self, time: str) -> None:
        if not self.since:
            self.since = time
            self.times += 1

    def back(self, time: str) -> None:
        if self.since:
            self.seconds += seconds_between(self.since, time)
            self.since = ""


def node_times(
    state: RunState, nodes: Sequence[str], marks: Mapping[str, Marks] | None = None
) -> dict[str, NodeTime]:
    """From claim to release; a node that is still out is counted up to the last record.

    Where it is now is what the node says (`marks`), else what the records say. A claim counts from its intent: the
    node may be tainted from then on.
    """
    known = {n: _Node() for n in nodes}
    for path in state.intended:
        if (result := state.results.get(path)) is not None:
            _fold(known, path.verb, result)
    now = held(state, tuple(known), marks)
    for name, found in now.items():
        if found.hold in (Hold.OUT, Hold.MARKED, Hold.QUARANTINED):
            known.setdefault(name, _Node()).out(state.open_since or state.updated)
    return {name: _closed(node, state.updated, now[name]) for name, node in known.items()}


def _fold(known: dict[str, _Node], verb: str, result: StepResult) -> None:
    for name in result.detail.done:
        node = known.setdefault(str(name), _Node())
        if verb in ("claim", "reclaim"):
            node.out(result.started)
        elif verb in ("apply", "second-load"):
            node.reloads += 1
        elif verb == "release":
            node.back(result.ended)
        elif verb == "quarantine":
            node.out(result.started)
    for name in result.detail.given_back:
        known.setdefault(str(name), _Node()).back(result.ended)


def _closed(node: _Node, last: str, now: Held) -> NodeTime:
    seconds = node.seconds + seconds_between(node.since, last)
    return NodeTime(node.times, round(seconds, 1), node.reloads, now.hold, now.why)


def disturbed(state: RunState, load: Callable[[str], Any]) -> dict[str, Disturbed]:
    """Tenant -> what we evicted, from the drains' details; a gang counts as one workload."""
    pods: dict[str, int] = {}
    work: dict[str, dict[str, None]] = {}
    for path, result in state.results.items():
        if path.verb != "drain" or "detail" not in result.files:
            continue
        for node in dict(load(result.files["detail"])).values():
            for row in node.get("evicted", ()):
                tenant = str(row.get("tenant") or row.get("namespace", ""))
                pods[tenant] = pods.get(tenant, 0) + int(row.get("pods", 1))
                work.setdefault(tenant, {})[f"{row.get('namespace', '')}/{row.get('name', '')}"] = None
    return {tenant: Disturbed(tuple(work[tenant]), pods[tenant]) for tenant in work}
