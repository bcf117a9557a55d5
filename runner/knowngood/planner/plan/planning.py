"""From what Git declares to a release: the hops, or a refusal that names every reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from knowngood.model.errors import Inconclusive, Refused
from knowngood.model.matrix import Matrix, ReleaseStatus, Severity, UndoClass
from knowngood.model.mover import MoverSpec
from knowngood.model.plan import Hop, Plan, Resting
from knowngood.planner.digest import cluster_digest
from knowngood.planner.gates import applicable, applicable_on, meeting, planned_pools, why_left_out
from knowngood.planner.plan.case import Case, Declared, Wishes
from knowngood.planner.plan.hops import Hops
from knowngood.planner.plan.no_plan import why_not
from knowngood.planner.plan.reasons import Reason, reasons
from knowngood.planner.rules.evaluation import Outcome, asks_about, broken, evaluate
from knowngood.planner.search.a_star import TooLarge
from knowngood.planner.search.cost import unpacked
from knowngood.planner.search.question import OPENSHIFT
from knowngood.planner.search.solve import Solved, solve

CUDA = "cuda"
"""The component that rules name when they ask for a driver that is new enough."""


def plan(
    matrix: Matrix,
    cluster: str,
    to_release: str,
    *,
    declared: Declared | None = None,
    wishes: Wishes | None = None,
) -> Plan:
    """The cheapest sound plan that brings `cluster` to `to_release`; one without hops where there is nothing to do.

    `declared` is what was read in Git; what it leaves out, and None, means: as observed, else as the pinned release
    says. UsageError: no such cluster or release. Refused: every reason why not, with rule and source. Inconclusive:
    the search gave up.
    """
    case = Case.of(matrix, cluster, to_release, declared or {}, wishes or Wishes())
    refusals = list(reasons(case))
    if refusals:
        raise _refused(case, refusals)
    question = case.question()
    try:
        solved = solve(question)
        if solved is None:
            raise _refused(case, why_not(case, question))
    except TooLarge:
        raise Inconclusive(
            f"{cluster} to {to_release}: too many states to tell whether there is a plan",
            hint="name a release in between as the first goal",
        ) from None
    return _made(case, solved)


def _made(case: Case, solved: Solved) -> Plan:
    gates, hardware = applicable_on(case.hardware, case.cluster), case.hardware
    hops = Hops(case, solved.space, gates).all(solved.states)
    closed = [h.name for h in hops if h.undo is UndoClass.FORWARD_ONLY]
    states = [solved.space.versions(state) for state in solved.states[1:-1]]
    resting = [Resting(h.name, v) for h, v in zip(hops, states, strict=False) if not h.paused]
    graph = any(
        case.matrix.edges[m.component].channels
        for h in hops
        for m in h.moves
        if m.component in case.matrix.edges
    )
    return Plan(
        cluster=case.cluster.name,
        profile=hardware.names,
        pools=planned_pools(hardware, case.cluster.gpu, case.cluster),
        from_release=case.pinned.name,
        to_release=case.target.name,
        to_versions=dict(case.target.components),
        from_versions=dict(case.pinned.components),
        hops=hops,
        active_gates=gates.active,
        passive_gates=gates.passive,
        second_load_gates=gates.second_load,
        meeting_gates=meeting(hardware, gates.active, case.cluster),
        not_applicable=gates.not_applicable,
        warnings=(*_warnings(case), *_by_themselves(case, hops)),
        matrix_commit=case.matrix.commit,
        cluster_digest=cluster_digest(case.cluster),
        schemes=case.matrix.schemes,
        reported=case.matrix.reported,
        point_of_no_return=closed[0] if closed else "",
        resting=tuple(resting),
        catalogs=dict(_catalogs(case, hops)),
        channel=case.wishes.channel if graph else "",
        accepted=tuple(sorted(case.wishes.accepted)),
        accepts=dict(case.target.accepts),
        cost=unpacked(solved.cost)._asdict(),
        movers=_movers(case, hops),
    )


def _movers(case: Case, hops: Sequence[Hop]) -> dict[str, MoverSpec]:
    """Of what moves; where none of it comes to nodes, of drivers, too: by them nodes are read and shown untouched.

    Where we boot for it (firmware, a system), of all drivers that the release names: they are loaded anew by that.
    """
    moved = tuple(_moved(hops))
    read: Iterable[str] = (
        () if any(hop.rings for hop in hops) else (d.component for d in case.cluster.declarations)
    )
    if any(spec.loads_anew for name in moved if (spec := case.component(name).mover)):
        read = case.pinned.components
    specs = {name: case.component(name).mover for name in dict.fromkeys((*moved, *read))}
    return {name: spec for name, spec in specs.items() if spec and (name in moved or _reads(spec))}


def _reads(spec: MoverSpec) -> bool:
    return spec.proof is not None and not spec.beside


def _moved(hops: Iterable[Hop]) -> Iterable[str]:
    """The components that move, or are made anew on the nodes because others do."""
    own = (m.component for h in hops for ring in h.rings for m in ring.moves)
    return dict.fromkeys((*(m.component for h in hops for m in h.moves), *own))


def refuse_unmovable(plan: Plan) -> None:
    """Refused where knowngood can't make every hop of the plan: before anything is written."""
    reasons = [reason for hop in plan.hops for reason in hop.not_movable]
    if reasons:
        raise Refused(
            f"{plan.cluster} can't go from {plan.from_release} to {plan.to_release}: {'; '.join(reasons)}",
            hint="move it by hand, then pin the release that has it",
        )


def _catalogs(case: Case, hops: tuple[Hop, ...]) -> Iterator[tuple[str, str]]:
    """Where the edges of each operator that moves come from."""
    for name in _moved(hops):
        given = [
            f"{g.file} for OpenShift {minor}" if minor else g.file
            for (component, minor), g in case.wishes.catalogs.items()
            if component == name
        ]
        edges = case.matrix.edges.get(name)
        if given:
            yield (
                name,
                ", ".join(given) + ("; other minors: shipped facts" if edges and edges.catalogs else ""),
            )
        elif edges and edges.catalogs:
            yield name, "shipped facts"


def _warnings(case: Case) -> Iterator[str]:
    """What a person should read before saying yes."""
    target, pinned = case.target, case.pinned
    for profile in case.hardware.profiles:
        yield from (why_left_out(gate, profile.name) for gate in applicable(profile).left_out)
    if target.status is ReleaseStatus.DEPRECATED:
        yield f"{target.name} is deprecated"
    if pinned.status is ReleaseStatus.REVOKED:
        yield f"{pinned.name} is revoked ({pinned.reason}): an undo returns to it"
    rules, components, start = case.matrix.rules.values(), case.matrix.components, case.start()
    moved = {name for name, version in target.components.items() if start.get(name) != version}
    traits = case.traits
    findings = evaluate(rules, components, target.components, traits)
    for finding in broken(findings, Severity.WARN):
        yield finding.sentence()
    for finding in findings:
        if finding.outcome is Outcome.UNKNOWN and finding.rule.severity is not Severity.INFO:
            unnamed = "" if finding.version else f"{target.name} does not name {finding.component}, so "
            yield f"{unnamed}this can't be told: {finding.sentence()}"
        elif finding.outcome is Outcome.NOTE and not moved.isdisjoint(asks_about(finding.rule)):
            yield finding.sentence()
    for finding in broken(evaluate(rules, components, pinned.components, traits), Severity.BLOCK):
        yield f"an undo returns to a state that breaks a blocking rule: {finding.sentence()}"
    yield from _newer_than_a_driver(case)
    yield from _departures(case)
    asked = case.cluster.gitops.pull_requests
    if asked and not asked.merge:
        yield f"undo needs a human: {case.cluster.gitops.branch} takes pull requests, and no command merges one"


def _by_themselves(case: Case, hops: Iterable[Hop]) -> Iterator[str]:
    """Nodes that a release of OpenShift boots without us: their pools are no ring's, so no run holds them."""
    moves = (m for hop in hops if hop.fleet for m in hop.fleet.moves if m.component == OPENSHIFT)
    first, nodes = next(moves, None), ", ".join(case.cluster.cpu)
    if waiting := [hop for hop in hops if hop.paused]:
        yield from _waiting(waiting, nodes)
    elif first and nodes:
        yield (
            f"{nodes}: of no ring, so OpenShift drains and boots them itself while {first.to_version} settles, within"
            " budgets, deleting pods of no controller; a pool of theirs that Git pauses waits"
        )


def _waiting(hops: Sequence[Hop], nodes: str) -> Iterator[str]:
    """What must be known where nodes wait over a minor: their pools stay paused up to their turn."""
    over = ", ".join(m.to_version for hop in hops for m in hop.moves if m.component == OPENSHIFT)
    yield (
        f"all pools of workers stay paused over {over}: no certificate of theirs is renewed meanwhile, which the alert"
        " MachineConfigControllerPausedPoolKubeletCA tells, and that is not silenced; trouble on the minor in between"
        " may want the workers there, so it is no place to rest"
    )
    if nodes:
        yield f"{nodes}: of no ring, so OpenShift drains and boots them itself, once, when the run lets their pool go"


def _newer_than_a_driver(case: Case) -> Iterator[str]:
    """Where the probe's image has a CUDA that the driver before or after does not run: an undo must be judged, too."""
    cuda = case.cluster.probe.cuda
    rules = [r for r in case.matrix.rules.values() if CUDA in asks_about(r)]
    for release in (case.pinned, case.target) if cuda else ():
        findings = evaluate(rules, case.matrix.components, {**release.components, CUDA: f"{cuda}.0"})
        for finding in broken(findings, Severity.BLOCK):
            yield (
                f"the probe's image has CUDA {cuda}: on {release.name} the smoke gates would be inconclusive:"
                f" {finding.sentence()}"
            )


def _departures(case: Case) -> Iterator[str]:
    """Where what is there differs from what is pinned."""
    for name, version in case.wishes.observed.items():
        if name in case.pinned.components and version != case.pinned.components[name]:
            yield f"{name} {version} was observed, {case.pinned.name} has {case.pinned.components[name]}"
    for name, to in case.target.components.items():
        if not case.by_ring(name):
            continue
        open_rings = case.open_rings(name)
        for ring in open_rings if case.target is case.pinned else ():
            yield f"Git declares {name} {case.before(name, ring.name)} for {ring.name}: an undo returns to it"
        done = [r.name for r in case.cluster.rings if r not in open_rings]
        if done and open_rings:
            rings = ", ".join(done)
            yield f"Git declares {name} {to} for {rings} already; this run moves the other rings only"


def _refused(case: Case, reasons: list[Reason]) -> Refused:
    """One refusal with every reason."""
    head = f"{case.cluster.name} can't go from {case.pinned.name} to {case.target.name}: "
    return Refused(head + "; ".join(r.text for r in reasons), hint=reasons[0].hint, where=case.target.where)
