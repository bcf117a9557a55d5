"""Judgements: which gates, on which nodes, since when, against which baseline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowngood.engine.ports import Ports
from knowngood.engine.steps import Step, Verb
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Cluster, Profile
from knowngood.model.node import NodeState
from knowngood.model.plan import Plan
from knowngood.model.record import Status
from knowngood.model.state import RunState, verb_of
from knowngood.model.verdict import Judgement, Verdict
from knowngood.ports.clock import Cancel

STATUS = {
    Verdict.PASS: Status.OK,
    Verdict.FAIL: Status.FAIL,
    Verdict.INCONCLUSIVE: Status.INCONCLUSIVE,
}
REASON_LENGTH = 240
"""Characters of a reason kept in the journal's record; the whole is in the judgement's file."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a judgement needs of the run."""

    ports: Ports
    plan: Plan
    cluster: Cluster
    profile: Profile
    run: str
    state: RunState
    load: Callable[[str], Any]
    cancel: Cancel


def judge(bench: Bench, step: Step) -> tuple[Status, dict[str, Any], dict[str, str]]:
    """Run the gates for a step; returns the outcome record's status, detail and files."""
    request = request_for(bench, step)
    suite = bench.ports.gates.suite()
    judgement = bench.ports.gates.judge(request, bench.cancel)
    data = _dump(judgement)
    files = {"judgement": bench.ports.journal.put("judgement.json", data)}
    bench.ports.checkpoint.keep(bench.run, files["judgement"], data)
    if judgement.verdict is Verdict.PASS and not _complete(request, judgement):
        return Status.INCONCLUSIVE, {"why": "a required gate gave no result"}, files
    failed = _failed(request, judgement)
    detail: dict[str, Any] = {
        "verdict": judgement.verdict.value,
        "results": len(judgement.results),
        "gates": sorted({r.gate for r in judgement.results}),
        "suite": to_json(suite),
    }
    if judgement.verdict is not Verdict.PASS:
        why = judgement.trouble or "; ".join(f"{n}: {w}" for n, w in list(failed.items())[:3])
        detail |= {"failed": failed, "why": why[: 3 * REASON_LENGTH]}
    return STATUS[judgement.verdict], detail, files


def _dump(judgement: Judgement) -> bytes:
    return json.dumps(to_json(judgement), sort_keys=True).encode()


def _complete(request: JudgeRequest, judgement: Judgement) -> bool:
    """Whether each required gate gave a result on each node: the engine counts itself, whatever the port says."""
    seen = {(r.gate, r.node) for r in judgement.results}
    return all((g, n) in seen or (g, "") in seen for g in request.gates for n in request.nodes)


def _failed(request: JudgeRequest, judgement: Judgement) -> dict[str, str]:
    """Node -> every gate that did not pass on it, and why.

    A session that can't be trusted judged no node to its end, also not those whose results were good so far.
    """
    reasons: dict[str, list[str]] = {}
    for result in judgement.bad():
        for node in (result.node,) if result.node else request.nodes:
            reasons.setdefault(node, []).append(f"{result.gate}: {result.reason}"[:REASON_LENGTH])
    for gate, node in judgement.missing:
        for named in (node,) if node else request.nodes:
            reasons.setdefault(named, []).append(f"{gate}: gave no result")
    for node in request.nodes if judgement.trouble else ():
        reasons.setdefault(node, []).append(f"not judged to the end: {judgement.trouble}"[:REASON_LENGTH])
    return {node: "; ".join(dict.fromkeys(why))[: 2 * REASON_LENGTH] for node, why in reasons.items()}


def request_for(bench: Bench, step: Step) -> JudgeRequest:
    """What a step's judgement asks."""
    plan, passive = bench.plan, tuple(bench.plan.passive_gates)
    gates, nodes, claimed, baseline = passive, step.nodes, False, False
    match step.verb:
        case Verb.CHECK:
            baseline = True
        case Verb.BASELINE:
            gates, claimed, baseline = tuple(plan.active_gates), True, True
        case Verb.JUDGE | Verb.RETEST:
            # The load first: what it does to the node is what the passive gates must see.
            gates, claimed = tuple(plan.active_gates) + passive, True
        case Verb.PROVE:
            nodes = bench.cluster.gpu
    return JudgeRequest(
        name=step.path,
        run=bench.run,
        gates=gates,
        nodes=nodes,
        expect={n: expected(bench, step, n) for n in nodes},
        windows=windows_for(bench, step, nodes),
        baseline={} if baseline else baselines(bench, step),
        claimed=claimed,
        taking_baseline=baseline,
        deadline=bench.cluster.limits.judge,
        schemes=plan.schemes,
    )


def expected(bench: Bench, step: Step, node: str) -> Mapping[str, str]:
    """The versions that must run on a node while this step judges it."""
    plan = bench.plan
    if step.hop is None:
        return plan.starts_with(node) if step.verb is Verb.CHECK else plan.to_versions
    before = step.undo or step.verb is Verb.BASELINE or node not in step.nodes
    number = plan.hops.index(step.hop) + (0 if before else 1)
    return plan.versions_after(number) if number else plan.starts_with(node)


def windows_for(bench: Bench, step: Step, nodes: Sequence[str]) -> dict[str, Window]:
    """Since when each node is judged: an undo's look, else its last claim, else the whole present boot."""
    windows: dict[str, Window] = {}
    if (first := bench.state.results.get("observe")) is not None:
        for node, data in bench.load(first.files["nodes"]).items():
            if data["boot_id"]:
                windows[node] = Window(data["boot_id"], 0.0, "")
    if step.verb is Verb.CHECK:
        return {n: windows[n] for n in nodes if n in windows}
    undo = f"{step.path.rsplit('/', 1)[0]}/" if step.undo else ""
    for path in bench.state.intended:
        result = bench.state.results.get(path)
        mine = path.startswith(undo) if undo else "/undo/" not in path
        opens = path.endswith("/look") if undo else path.endswith("/claim")
        if result and mine and opens:
            found = result.detail.get("windows", {})
            windows |= {n: from_json(Window, w) for n, w in found.items()}
    return {n: windows[n] for n in nodes if n in windows}


COUNTERS = "counters"
"""The key of `measured` that holds counters since boot: an undo compares with their newest reading, or what grew
because of the change would fail its undo for ever."""


def baselines(bench: Bench, step: Step) -> dict[str, Mapping[str, Any]]:
    """Figures measured before the change, "<gate>/<node>" -> measured; the latest before it wins."""
    found: dict[str, Mapping[str, Any]] = {}
    newest: dict[str, Mapping[str, Any]] = {}
    for path in bench.state.intended:
        result = bench.state.results.get(path)
        if result is None or "judgement" not in result.files or "/undo/" in path:
            continue
        judgement = from_json(Judgement, bench.load(result.files["judgement"]))
        measured = {f"{r.gate}/{r.node}": r.measured for r in judgement.results}
        newest |= measured
        if verb_of(path) in (Verb.CHECK, Verb.BASELINE):
            found |= measured
    if step.undo:
        for key, before in found.items():
            if COUNTERS in before and COUNTERS in newest[key]:
                found[key] = {**before, COUNTERS: newest[key][COUNTERS]}
    return found


def open_windows(ports: Ports, nodes: Iterable[str]) -> dict[str, Window]:
    """A window that begins now on each node that can be read."""
    return windows_of(ports.cluster.observe(tuple(nodes)))


def windows_of(seen: Mapping[str, NodeState], since: str = "") -> dict[str, Window]:
    """Windows that begin at these measurements, on the nodes that could be read; `since`: that moment's wall time."""
    return {
        n: Window(s.boot_id, s.uptime_seconds, since)
        for n, s in seen.items()
        if s.boot_id and s.uptime_seconds is not None
    }
