"""Evidence: what a finished run can show for its release, or against it. `planner.status` says what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from knowngood.engine.steps import Verb
from knowngood.engine.work import Work
from knowngood.model.evidence import FAILED, INCONCLUSIVE, GateSuite
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.node import NodeState, Workload, node_from
from knowngood.model.plan import Plan
from knowngood.model.record import Status
from knowngood.model.state import RunState
from knowngood.model.steppath import NOWHERE, StepPath
from knowngood.model.values import Object
from knowngood.model.verdict import WAIVED, GateResult, Judgement, Verdict
from knowngood.planner.gates import applicable_on
from knowngood.planner.status import expiry, max_age_days

Load = Callable[[str], Any]


def not_running(workloads: Iterable[Workload]) -> dict[str, tuple[str, ...]]:
    """Tenant -> workloads with fewer ready than desired."""
    waiting: dict[str, list[str]] = {}
    for w in workloads:
        if w.ready < w.desired:
            waiting.setdefault(w.tenant, []).append(f"{w.namespace}/{w.name} {w.ready}/{w.desired}")
    return {tenant: tuple(told) for tenant, told in waiting.items()}


def evidence(work: Work) -> Object:
    """What a run that passed every gate can show (JSON values); what that is worth is for the matrix to say."""
    proved = work.state.results.get(StepPath("prove"))
    taken = (proved.ended if proved else "") or work.ports.clock.now()
    return {
        **_bound_to(work),
        "time": taken,
        "expires": expiry(taken, min(max_age_days(work.cluster, one) for one in work.hardware.profiles)),
        "nodes": measured(_proven(work)),
        "verdicts": _verdicts(final_results(work.state, work.load)),
    }


def _proven(work: Work) -> Mapping[str, NodeState]:
    """The nodes as they were when all was proven, but for those that are gone since; where nobody kept it, as now."""
    gpu, proved = work.cluster.gpu, work.state.results.get(StepPath("prove"))
    if proved is None or "nodes" not in proved.files:
        return work.observe(gpu)
    kept = {name: node_from(node, ()) for name, node in work.load(proved.files["nodes"]).items()}
    now = work.ports.cluster.standing(gpu)
    return {name: kept[name] if now[name].reachable else now[name] for name in gpu}


def failure(work: Work) -> Object | None:
    """What a restored run can show against its release (JSON values); None where nothing speaks against it.

    The undo cured the nodes, so the release made them fail. A commit that Argo CD did not take, a tenant that did not
    let us drain, an abort, a bug of ours: they stopped the run and say nothing of the release.
    """
    state = work.state
    stopped = stopped_by(state)
    if not stopped or state.results[stopped].detail.bug:
        return None
    result = state.results[stopped]
    status = FAILED if _ran_it(work.plan, stopped) and said_no_twice(state, stopped) else INCONCLUSIVE
    data = result.files.get("judgement")
    bad = from_json(Judgement, work.load(data)).results if data else ()
    nodes = {*result.detail.failed, *(r.node for r in bad if r.verdict is not Verdict.PASS)}
    return {
        **_bound_to(work),
        **_pools_that_said_no(work, nodes),
        "status": status,
        "because": result.detail.why or f"{stopped}: {result.status}",
        "time": result.ended,
        "verdicts": _verdicts(bad),
    }


def _ran_it(plan: Plan, stopped: StepPath) -> bool:
    """Whether the release itself was judged, and not a resting state on the way to it."""
    return stopped.hop in ("", plan.hops[-1].name)


def said_no_twice(state: RunState, stopped: StepPath) -> bool:
    """Whether gates measured a fail on a node that ran the release, and again when that node was tested once more.

    Or once, where the profile says that such a fail needs no second look.
    """
    last = state.results[stopped]
    if stopped.verb != "retest":
        return last.detail.at_once
    first = [stopped.sibling(verb) for verb in ("judge", "confirm", "prove")]
    before = {n for p in first if p in state.results for n in state.results[p].detail.measured}
    return bool(before & set(last.detail.measured))


JUDGING = (Verb.JUDGE, Verb.RETEST, Verb.CONFIRM, Verb.PROVE, Verb.APPLY, Verb.SECOND_LOAD, Verb.SETTLE)
"""Steps whose end says something of the release."""


def stopped_by(state: RunState) -> StepPath:
    """The step of the way forward that stopped the line, where it speaks of the release; else ""."""
    forward = [p for p in state.results if not p.is_undo and not p.is_hold]
    bad = [p for p in forward if state.results[p].status is not Status.OK and not _outlived(state, p)]
    last = bad[-1] if bad and not any(state.results[p].abort for p in forward) else NOWHERE
    return last if last.verb in JUDGING else NOWHERE


def _outlived(state: RunState, path: StepPath) -> bool:
    """Whether a judgement that did not pass was taken back when its nodes were tested once more."""
    again = state.results.get(path.sibling("retest"))
    return again is not None and again.status is Status.OK


def measured(nodes: Mapping[str, NodeState]) -> Object:
    """What the evidence keeps of each node: kernel, driver, firmware and the operands' images."""
    return {
        name: {"versions": dict(node.versions), "images": dict(node.images)}
        if node.reachable
        else {"trouble": node.trouble or "unreachable"}
        for name, node in nodes.items()
    }


def _bound_to(work: Work) -> Object:
    plan = work.plan
    return {
        "run": work.run,
        "cluster": plan.cluster,
        **_hardware(plan),
        "release": plan.to_release,
        "from": plan.from_release,
        "versions": dict(plan.to_versions),
        "matrixCommit": plan.matrix_commit,
        "gates": to_json(suite(work.state)),
        "gatesLeftOut": list(applicable_on(work.hardware).left_out),
        "identity": to_json(work.ports.cluster.identity()),
        "commits": commits(work.state),
    }


def _hardware(plan: Plan) -> Object:
    """Which machines it speaks of: those of one profile, or of each of its pools by itself."""
    if not plan.pools:
        return {"profile": plan.profile}
    return {"pools": {pool.profile: list(pool.nodes) for pool in plan.pools}}


def _pools_that_said_no(work: Work, nodes: Collection[str]) -> Object:
    """The pools of these nodes, of a cluster that has several; all of them where it is no node's fault."""
    bad = [pool for pool in work.plan.pools if {*pool.nodes} & {*nodes}]
    return {"pools": {pool.profile: list(pool.nodes) for pool in bad}} if bad else {}


def suite(state: RunState) -> GateSuite:
    """The gates that judged this run; without a digest where they changed while it ran."""
    found = [r.detail.suite for r in state.results.values() if r.detail.suite]
    return found[-1] if len({suite.digest for suite in found}) == 1 else GateSuite()


def _verdicts(results: Iterable[GateResult]) -> list[Object]:
    return [
        {"gate": r.gate, "node": r.node, "verdict": r.verdict.value, "backend": r.backend, **_waived(r)}
        for r in results
    ]


def _waived(result: GateResult) -> Object:
    """The known bad parts that a gate did not count: why, and until when."""
    said = {k.removeprefix(WAIVED): v for k, v in result.measured.items() if k.startswith(WAIVED)}
    found = [f"{part} until {v['until']}: {v['reason']}" for part, v in sorted(said.items())]
    return {"waived": found} if found else {}


def final_results(state: RunState, load: Load) -> tuple[GateResult, ...]:
    """The last result of each gate on each node, from judgements after the change."""
    last: dict[tuple[str, str], GateResult] = {}
    for path in state.intended:
        result = state.results.get(path)
        judged = path.verb in ("judge", "retest", "confirm", "prove")
        if result and judged and "judgement" in result.files:
            for r in from_json(Judgement, load(result.files["judgement"])).results:
                last[(r.gate, r.node)] = r
    return tuple(last.values())


def commits(state: RunState) -> list[Mapping[str, str]]:
    """The commits a run pushed to the GitOps repository, in order."""
    return [
        {"step": path, "commit": state.results[path].detail.commit}
        for path in state.intended
        if path.verb == Verb.DECLARE and path in state.results and state.results[path].detail.commit
    ]
