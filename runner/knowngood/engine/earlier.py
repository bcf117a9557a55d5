"""What earlier runs on this cluster answer for: the time in which they had moved a node, by the checkpoints there.

Errors of that time are theirs. They are no measure of a module that a later run judges, on whatever machine it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from knowngood.engine import proof
from knowngood.engine.steps import Verb
from knowngood.model.context import Span, Window
from knowngood.model.jsonable import from_json
from knowngood.model.node import NodeState, node_from
from knowngood.model.plan import Plan
from knowngood.model.record import Status
from knowngood.model.state import RunState
from knowngood.model.steppath import StepPath
from knowngood.model.values import Values
from knowngood.planner.again import Failure, Proof
from knowngood.ports.checkpoint import Checkpoint


def states(checkpoint: Checkpoint, *, without: str = "", to_release: str = "") -> Iterator[RunState]:
    """The runs that began to change this cluster, the newest first; `to_release`: only those that went there."""
    for run in checkpoint.runs():
        if run.changed and run.run != without and to_release in ("", run.to_release):
            state = checkpoint.load(run.run)
            if state is not None:
                yield state


def spans(checkpoint: Checkpoint, present: Mapping[str, NodeState], *, without: str) -> dict[str, list[Span]]:
    """Node -> the parts of its present boot that earlier runs answer for."""
    found: dict[str, list[Span]] = {}
    for state in states(checkpoint, without=without):
        moved = _moved(state)
        ends = _ends(checkpoint, state) if moved else {}
        for node, (began, version) in moved.items():
            now = present.get(node)
            if now and now.boot_id and (span := _span(now, began, version, ends.get(node))):
                found.setdefault(node, []).append(span)
    return found


def _span(now: NodeState, began: Window | None, version: str, end: Window | None) -> Span | None:
    """A run's part of the present boot. One that never brought the node to an end answers as long as it left it so."""
    start = began.monotonic if began and began.boot_id == now.boot_id else 0.0
    if end is None:
        gone = bool(version and now.newest and now.newest.version != version)
        return None if gone else Span(now.boot_id, start)
    return Span(now.boot_id, start, end.monotonic) if end.boot_id == now.boot_id else None


def _moved(state: RunState) -> dict[str, tuple[Window | None, str]]:
    """Nodes whose driver a run may have restarted: since when it held them, and what was loaded, "" if unknown."""
    moved: dict[str, tuple[Window | None, str]] = {}
    for path in state.intended:
        if path.verb != Verb.APPLY or path.is_undo:
            continue
        claimed = state.results.get(path.sibling(Verb.CLAIM))
        applied = state.results.get(path)
        loaded = applied.detail.loaded if applied else {}
        for node in claimed.detail.done if claimed else ():
            began = claimed.detail.windows.get(node) if claimed else None
            moved.setdefault(node, (began, loaded.get(node, "")))
    return moved


def _ends(checkpoint: Checkpoint, state: RunState) -> dict[str, Window]:
    """When a run was over on each node: its nodes as they were measured when all was proven, or proven restored."""
    ends: dict[str, Window] = {}
    for path in state.intended:
        result = state.results.get(path)
        over = path.verb in (Verb.PROVE, Verb.VERIFY) and result and result.status is Status.OK
        if result and over and "nodes" in result.files:
            for name, data in _file(checkpoint, state.run, result.files["nodes"]).items():
                node = node_from(data, ())
                if node.boot_id and node.uptime_seconds is not None:
                    ends[name] = Window(node.boot_id, node.uptime_seconds, "")
    return ends


def _file(checkpoint: Checkpoint, run: str, digest: str) -> Values:
    return dict(json.loads(checkpoint.fetch(run, digest)))


def tries(checkpoint: Checkpoint, release: str) -> tuple[list[Failure], list[Proof]]:
    """What this cluster's own runs say of a release: those in which a gate said no to it, those that proved it."""
    failures, proofs = [], []
    for state in states(checkpoint, to_release=release):
        cluster = str(state.frozen.get("cluster", ""))
        if state.end is not None and state.end.name == "done":
            proofs.append(Proof(cluster, state.updated))
        stopped = proof.stopped_by(state)
        if stopped and state.results[stopped].status is Status.FAIL:
            failures.append(_failure(checkpoint, state, cluster, stopped))
    return failures, proofs


def _failure(checkpoint: Checkpoint, state: RunState, cluster: str, stopped: StepPath) -> Failure:
    result, began = state.results[stopped], state.results.get(StepPath("observe"))
    plan = from_json(Plan, _file(checkpoint, state.run, state.plan_digest))
    nodes = _file(checkpoint, state.run, began.files["nodes"]) if began and "nodes" in began.files else {}
    return Failure(
        run=state.run,
        cluster=cluster,
        time=result.ended,
        because=result.detail.why or f"{stopped}: {result.status}",
        from_release=plan.from_release,
        gates=proof.suite(state).digest,
        versions=plan.to_versions,
        nodes=tuple(result.detail.failed),
        images={name: dict(node.get("images", {})) for name, node in nodes.items() if node.get("images")},
    )
