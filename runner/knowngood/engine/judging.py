"""Judgements: which gates, on which nodes, since when, against which baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from knowngood.engine import again
from knowngood.engine.steps import RingStep, Step, Verb
from knowngood.engine.work import Done, Work
from knowngood.model.context import JudgeRequest, Span, Window
from knowngood.model.detail import Detail
from knowngood.model.errors import CouldNot
from knowngood.model.hardware import Hardware
from knowngood.model.jsonable import from_json
from knowngood.model.node import NodeState, node_from
from knowngood.model.plan import Plan
from knowngood.model.record import Status
from knowngood.model.steppath import StepPath
from knowngood.model.values import Values
from knowngood.model.verdict import GateResult, Judgement, Verdict

Key = Literal["windows", "loads"]

STATUS = {
    Verdict.PASS: Status.OK,
    Verdict.FAIL: Status.FAIL,
    Verdict.INCONCLUSIVE: Status.INCONCLUSIVE,
}
REASON_LENGTH = 240
"""Characters of a reason kept in the journal's record; the whole is in the judgement's file."""


def judge(work: Work, step: Step) -> Done:
    """Run the gates for a step.

    CouldNot where a session that nobody will repeat did not come to its end: it has judged nobody.
    """
    request = request_for(work, step)
    suite = work.ports.gates.suite()
    judgement = _counted(request, work.ports.gates.judge(request, work.cancel))
    last_word = step.undo or step.verb is Verb.BASELINE or step.path.verb == "retest"
    files = work.keep("judgement", replace(judgement, seen={}))
    if judgement.trouble and judgement.verdict is not Verdict.PASS and last_word:
        raise CouldNot(f"the gates could not judge: {judgement.trouble[:REASON_LENGTH]}")
    failed = _failed(request, judgement)
    measured = sorted({n for r in judgement.bad() if r.verdict is Verdict.FAIL for n in _nodes(r, request)})
    detail = Detail(
        verdict=judgement.verdict.value,
        results=len(judgement.results),
        gates=tuple(sorted({r.gate for r in judgement.results})),
        suite=suite,
    )
    if judgement.verdict is not Verdict.PASS:
        why = judgement.trouble or "; ".join(f"{n}: {w}" for n, w in list(failed.items())[:3])
        detail = replace(
            detail,
            failed=failed,
            why=why[: 3 * REASON_LENGTH],
            measured=tuple(measured),
            at_once=_at_once(judgement, work.hardware),
            trouble=judgement.trouble[:REASON_LENGTH],
        )
    return Done(STATUS[judgement.verdict], detail, files, judgement.seen)


def _nodes(result: GateResult, request: JudgeRequest) -> tuple[str, ...]:
    """The nodes that a result is about; one of the whole cluster is about all of the request."""
    return (result.node,) if result.node else request.nodes


def _at_once(judgement: Judgement, hardware: Hardware) -> bool:
    """Whether a gate failed for something that its profile lists as needing no second look (`failsAtOnce`).

    A gate names what it failed for in `measured.failed`. One of the whole cluster goes by any of its profiles.
    """
    return any(
        kind in profile.gates.get(result.gate, {}).get("failsAtOnce", ())
        for result in judgement.bad()
        if result.verdict is Verdict.FAIL
        for profile in ((hardware.of(result.node),) if result.node else hardware.profiles)
        for kind in result.measured.get("failed", ())
    )


def _counted(request: JudgeRequest, judgement: Judgement) -> Judgement:
    """The judgement with every required gate that gave no result on a node: counted here, whatever the port says.

    Also beside a fail: only the nodes that did not pass are tested once more, the others are released.
    """
    seen = {(r.gate, r.node) for r in judgement.results} | {*judgement.missing}
    missing = tuple((g, n) for g, n in request.asked if (g, n) not in seen and (g, "") not in seen)
    return replace(judgement, missing=(*judgement.missing, *missing)) if missing else judgement


def _failed(request: JudgeRequest, judgement: Judgement) -> dict[str, str]:
    """Node -> every gate that did not pass on it, and why.

    A session that can't be trusted judged no node to its end, also not those whose results were good so far.
    """
    reasons: dict[str, list[str]] = {}
    for result in judgement.bad():
        for node in _nodes(result, request):
            reasons.setdefault(node, []).append(f"{result.gate}: {result.reason}"[:REASON_LENGTH])
    for gate, node in judgement.missing:
        for named in (node,) if node else request.nodes:
            reasons.setdefault(named, []).append(f"{gate}: gave no result")
    for node in request.nodes if judgement.trouble else ():
        reasons.setdefault(node, []).append(f"not judged to the end: {judgement.trouble}"[:REASON_LENGTH])
    return {node: "; ".join(dict.fromkeys(why))[: 2 * REASON_LENGTH] for node, why in reasons.items()}


def request_for(work: Work, step: Step) -> JudgeRequest:
    """What a step's judgement asks."""
    plan, passive = work.plan, tuple(work.plan.passive_gates)
    gates, nodes, claimed, baseline, as_read = passive, step.nodes, False, False, False
    first: Mapping[str, Window] = {}
    missed: Mapping[str, str] = {}
    match step.verb:
        case Verb.CHECK:
            nodes, baseline = step.nodes or work.cluster.gpu, True
        case Verb.BASELINE:
            drained = isinstance(step, RingStep) and step.drained
            gates, claimed = (tuple(plan.active_gates), True) if drained else (passive, False)
            # At its tenants' work nothing that was read before counts: somebody may have restarted a driver since.
            baseline, as_read = True, not drained
        case Verb.JUDGE | Verb.RETEST:
            # The load first: what it does to the node is what the passive gates must see.
            gates, claimed = tuple(plan.active_gates) + passive, True
            if (second := again.judged_by(work, step)) is not None:
                gates, missed = again.gates(work, second), again.not_again(second)
                first = again.first_loads(work, step)
        case Verb.PROVE:
            nodes = work.cluster.gpu
        case Verb.CONFIRM:
            nodes = step.nodes or work.cluster.gpu  # a fleet part is all nodes' affair
    since = {} if as_read else loads_for(work, step, nodes)
    judges = {gate: plan.judged_by(gate, nodes) for gate in gates}
    gates = tuple(gate for gate in gates if judges[gate])
    return JudgeRequest(
        name=step.path,
        run=work.run,
        gates=gates,
        nodes=nodes,
        expect={n: expected(plan, step, n) for n in nodes},
        windows=windows_for(work, step, nodes),
        baseline={} if baseline else baselines(work, step, nodes),
        claimed=claimed,
        taking_baseline=baseline,
        deadline=work.cluster.limits.judge,
        schemes=plan.schemes,
        reported=plan.reported,
        loads=since,
        loads_as_read=as_read,
        movers=plan.movers,
        begun=step.verb is Verb.CHECK,
        first_loads=first,
        not_again=missed,
        moved=again.moved(step) if first else (),
        own_boots=again.own_boots(work, step, nodes),
        excluded=excluded(work, step, nodes, None if baseline else since),
        tenants_work=step.verb in (Verb.CONFIRM, Verb.PROVE),
        partners=_partners(work, step),
        still=_still(work, step),
        only={gate: judges[gate] for gate in gates if judges[gate] != tuple(nodes)},
    )


def _partners(work: Work, step: Step) -> tuple[str, ...]:
    """Whom a judged node may meet: the others of its batch, which are idle while it is tested once more or brought
    back, then those that the cluster file names."""
    if not isinstance(step, RingStep):
        return ()
    mates = nodes_of(work.plan, step.path) if step.verb is Verb.RETEST or step.undo else ()
    others = (*mates, *work.cluster.partners)
    return tuple(n for n in dict.fromkeys(others) if n not in step.nodes)


def _still(work: Work, step: Step) -> tuple[str, ...]:
    """GPU nodes to which nothing of this run came so far."""
    came = {n for path in _ways(work, step, Verb.APPLY) for n in _done(work, path)}
    return tuple(n for n in work.cluster.gpu if n not in came)


def expected(plan: Plan, step: Step, node: str) -> Mapping[str, str]:
    """The versions that must run on a node while this step judges it."""
    if step.hop is None:
        return plan.starts_with(node) if step.verb is Verb.CHECK else plan.to_versions
    before = step.undo or step.verb is Verb.BASELINE or node not in step.nodes
    number = plan.hops.index(step.hop) + (0 if before else 1)
    found = plan.versions_after(number) if number else plan.starts_with(node)
    return {**found, **_there_already(step)} if before else found


def _there_already(step: Step) -> Mapping[str, str]:
    """What the hop's fleet part has brought to the whole cluster before its rings; an undo takes it back first."""
    hop = step.hop
    if hop is None or hop.fleet is None or step.undo:
        return {}
    return {m.component: m.to_version for m in hop.moves if m.component in hop.without_canary}


def windows_for(work: Work, step: Step, nodes: Sequence[str]) -> dict[str, Window]:
    """Since when each node is judged: an undo's look, or its claim where that could not read it; else its last claim.

    A node that the run did not touch: since its module was loaded, else since the run began; for the check at the
    start, which refuses what is wrong already, the whole boot.
    """
    began = _began(work, nodes)
    if step.verb is Verb.CHECK:
        windows = {n: Window(s.boot_id, 0.0, "") for n, s in began.items() if s.boot_id}
    else:
        windows = windows_of(began) | loads_of(began) | _opened(work, step, nodes)
    return {n: windows[n] for n in nodes if n in windows}


def loads_for(work: Work, step: Step, nodes: Sequence[str]) -> dict[str, Window]:
    """Since when the module that a step judges is loaded on each node: as it was read when it was loaded.

    In an undo never before its look: what came earlier is not the old module's, or was judged already.
    """
    if step.undo:
        looked = _opened(work, step, nodes)
        found = looked | _later(_recorded(work, step, Verb.APPLY, "loads", nodes), looked)
    else:
        found = loads_of(_began(work, nodes))
        if step.verb is not Verb.CHECK:
            found |= _recorded(work, step, Verb.BASELINE, "loads", nodes)
        # What comes with its second load, and on the way there, is judged with both of them.
        both = again.judged_by(work, step) is not None
        for path in _ways(work, step, Verb.APPLY) if both else _ways(work, step, *again.ARRIVALS):
            # Where an arrival could not be told, no older load stands in for it: the node's window does.
            found = {n: w for n, w in found.items() if n not in _done(work, path)}
            found |= work.state.results[path].detail.loads
    return {n: found[n] for n in nodes if n in found}


def _began(work: Work, nodes: Sequence[str]) -> dict[str, NodeState]:
    """Nodes as the run's first look found them; only these are built, since a run judges many times."""
    first = work.state.results.get(StepPath("observe"))
    data = work.load(first.files["nodes"]) if first is not None else {}
    return {name: node_from(data[name], work.plan.movers) for name in nodes if name in data}


def _ways(work: Work, step: Step, *verbs: Verb) -> list[StepPath]:
    """The paths of these verbs on the way that the step is on, forth or its ring's way back, oldest first."""
    here = step.path.parent
    mine = [p for p in work.state.intended if (p.within(here) if step.undo else not p.is_undo)]
    return [p for p in mine if p.verb in verbs and p in work.state.results]


def _done(work: Work, path: StepPath) -> Sequence[str]:
    return work.state.results[path].detail.done


def _recorded(work: Work, step: Step, verb: Verb, key: Key, nodes: Sequence[str]) -> dict[str, Window]:
    """What that verb's outcomes say of these nodes' windows, the newest last."""
    windows: dict[str, Window] = {}
    asked = {*nodes}
    for path in _ways(work, step, verb):
        told = work.state.results[path].detail
        found = told.windows if key == "windows" else told.loads
        windows |= {n: w for n, w in found.items() if n in asked}
    return windows


def _opened(work: Work, step: Step, nodes: Sequence[str]) -> dict[str, Window]:
    """What opened these nodes' windows."""
    looked = _recorded(work, step, Verb.LOOK, "windows", nodes) if step.undo else {}
    return _recorded(work, step, Verb.CLAIM, "windows", nodes) | looked


def _later(loads: Mapping[str, Window], opened: Mapping[str, Window]) -> dict[str, Window]:
    """Those loads that came after the node's window opened: in the same boot, or in another, which is newer."""
    return {
        n: w
        for n, w in loads.items()
        if n not in opened or w.boot_id != opened[n].boot_id or w.monotonic > opened[n].monotonic
    }


def excluded(
    work: Work, step: Step, nodes: Sequence[str], judged: Mapping[str, Window] | None
) -> dict[str, tuple[Span, ...]]:
    """What earlier runs answer for on each node, as this run found it when it began. `judged` None: for a baseline.

    A judgement leaves it out only where it judges the load that its baseline measured: then both sides leave out the
    same. What a later load says is all its own.
    """
    first = work.state.results.get(StepPath("observe"))
    digest = first.files.get(EARLIER) if first is not None else None
    found = work.load(digest) if digest else {}
    spans = {n: tuple(from_json(Span, s) for s in found[n]) for n in nodes if n in found}
    if judged is None or not spans:
        return spans
    before = _recorded(work, step, Verb.BASELINE, "loads", nodes)
    began = windows_of(_began(work, nodes))
    return {
        n: tuple(replace(s, end=began[n].monotonic) if s.end is None else s for s in of_node)
        for n, of_node in spans.items()
        if n in judged and n in began and judged[n] == before.get(n)
    }


EARLIER = "earlier"
"""The name of the file in which a run's first look keeps the spans of earlier runs."""


COUNTERS = "counters"
"""The key of `measured` that holds counters since boot: an undo compares with their newest reading, or what grew
because of the change would fail its undo for ever."""
READ_AT = ("bootId", "uptimeSeconds", "loadedAt")
"""The keys that say when counters were read; they go with them."""


def baselines(work: Work, step: Step, nodes: Sequence[str]) -> dict[str, Values]:
    """Figures of these nodes measured before the change, "<gate>/<node>" -> measured; the latest before it wins."""
    asked = {*nodes, ""}
    hops = [hop.name for hop in work.plan.hops]
    # A later hop was measured on what this one brought.
    later = hops[work.plan.hops.index(step.hop) + 1 :] if step.hop else ()
    found: dict[str, Values] = {}
    newest: dict[str, Values] = {}
    passed: dict[str, Values] = {}
    for path in work.state.intended:
        result = work.state.results.get(path)
        if result is None or "judgement" not in result.files or path.is_undo:
            continue
        if asked.isdisjoint(nodes_of(work.plan, path) or asked):
            continue
        results = [r for r in work.load(result.files["judgement"])["results"] if r["node"] in asked]
        measured = {f"{r['gate']}/{r['node']}": r["measured"] for r in results}
        newest |= measured
        if path.verb in (Verb.CHECK, Verb.BASELINE) and path.hop not in later:
            found |= measured
            passed = {key: values for key, values in passed.items() if key not in measured}
        elif path.verb in (Verb.JUDGE, Verb.RETEST):
            good = {f"{r['gate']}/{r['node']}" for r in results if r["verdict"] == Verdict.PASS}
            passed |= {key: values for key, values in measured.items() if key in good}
    # What a restart of ours counted was judged with it: from there on nothing is excused.
    for key, read in (newest if step.undo else passed).items():
        if key in found and COUNTERS in found[key] and COUNTERS in read:
            found[key] = {**found[key], **{k: read[k] for k in (COUNTERS, *READ_AT) if k in read}}
    if step.undo:
        # A node that goes back before its idle baseline was taken: the profile's limits alone judge its load.
        found |= {
            f"{gate}/{node}": {}
            for gate in work.plan.active_gates
            for node in work.plan.judged_by(gate, step.nodes)
            if f"{gate}/{node}" not in found
        }
    return found


def nodes_of(plan: Plan, path: StepPath) -> Sequence[str]:
    """The nodes that a ring's step may be about; none for a step of the whole run."""
    for planned in (r for h in plan.hops if h.name == path.hop for r in h.rings if r.name == path.ring):
        number = path.part.removeprefix("batch-")
        own = (
            path.part.startswith("batch-") and number.isdecimal() and 0 < int(number) <= len(planned.batches)
        )
        return planned.batches[int(number) - 1] if own else planned.nodes
    return ()


def windows_of(seen: Mapping[str, NodeState], since: str = "") -> dict[str, Window]:
    """Windows that begin at these measurements, on the nodes that could be read; `since`: that moment's wall time."""
    return {
        n: Window(s.boot_id, s.uptime_seconds, since)
        for n, s in seen.items()
        if s.boot_id and s.uptime_seconds is not None
    }


def loads_of(seen: Mapping[str, NodeState]) -> dict[str, Window]:
    """Windows that begin with the newest arrival of what moves, on the nodes that show one."""
    marks = {n: s.newest for n, s in seen.items()}
    return {n: Window(mark.boot_id, mark.at, "") for n, mark in marks.items() if mark}
