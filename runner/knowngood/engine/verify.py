"""The verb that proves `restored`: it measures the nodes that are there now and asks Git, objects and leftovers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from knowngood.engine import declaring, fleet, proof, restored
from knowngood.engine.steps import RingStep, Step
from knowngood.engine.work import Done, Work, named
from knowngood.model.detail import Detail
from knowngood.model.plan import Hop, PlannedRing
from knowngood.model.record import Status
from knowngood.planner import readings


def verify(work: Work, step: Step) -> Done:
    """The proof of `restored`: of one ring that we still hold before its release, at the end of the whole cluster."""
    return _ring_as_before(work, step) if isinstance(step, RingStep) else _all_as_before(work, step)


def _ring_as_before(work: Work, step: RingStep) -> Done:
    """The nodes of one ring are as they were, but for our own hold on them; Git and the live objects too."""
    ring, everything = step.ring, work.before(step.hop)
    before = {name: everything[name] for name in step.nodes if name in everything}
    seen = work.observe(step.nodes)
    after = {n: restored.without_our_hold(before[n], s) if n in before else s for n, s in seen.items()}
    found = restored.compare(before, after, _asked(work, step, work.ports.cluster.node_names(), [ring], ()))
    files = work.keep("nodes", seen) | work.keep("restored", found)
    differs = {n: restored.listed(one.differs) for n, one in found.items() if one.differs}
    if step.undo and not step.path.is_hold:  # a ring that is held keeps its commit
        differs |= _declared_otherwise(work, ring)
    unread = {n: restored.listed(one.unread) for n, one in found.items() if one.unread}
    reported = {n: restored.listed(one.reported) for n, one in found.items() if one.reported}
    detail = Detail(failed=unread | differs, unread=unread, reported=reported)
    if differs:
        return Done(Status.FAIL, replace(detail, why=named("not as before", differs)), files)
    if unread:
        return Done(Status.INCONCLUSIVE, replace(detail, why=named("not proven", unread)), files)
    return Done(Status.OK, Detail(reported=reported), files)


def _declared_otherwise(work: Work, ring: PlannedRing) -> dict[str, str]:
    """Node -> what Git or the live object holds otherwise than before the run."""
    other = _other_fields(work, ring)
    return dict.fromkeys(ring.nodes, other[-1]) if other else {}


def _other_fields(work: Work, part: PlannedRing) -> list[str]:
    return [text for change in part.changes for text in declaring.otherwise(work, change, change.before)]


def _all_as_before(work: Work, step: Step) -> Done:
    """Every node as before but those that keep what was proven, Git too, nothing left."""
    undone, kept = restored.undone_and_kept(work.plan, work.state)
    roles = work.ports.cluster.node_names()
    there = [n for n, role in roles.items() if role != "virtual" and n not in kept]
    hop = next((h for h in work.plan.hops if any(r in undone for r in h.parts)), None)
    before = {name: state for name, state in work.before(hop).items() if name not in kept}
    after = work.observe(there)
    found = restored.compare(before, after, _asked(work, step, roles, undone, kept))
    files = work.keep("nodes", after) | work.keep("restored", found)
    differs = {n: restored.listed(one.differs) for n, one in found.items() if one.differs}
    for ring in undone:
        differs |= _declared_otherwise(work, ring)
    wrong, silent = fleet.otherwise(work, (hop,) if hop else (), undone=True)
    wrong += [text for part in undone if not part.nodes for text in _other_fields(work, part)]
    left = _left(work, hop)
    unread = {n: restored.listed(one.unread) for n, one in found.items() if one.unread}
    detail = Detail(
        failed=differs,
        unread=unread,
        reported={n: restored.listed(one.reported) for n, one in found.items() if one.reported},
        left=tuple(left[:20]),
        not_running=proof.not_running(work.ports.cluster.workloads()),
    )
    if differs or wrong or left:
        told = [named("not as before", differs)] if differs else []
        told += [f"not as before: {'; '.join(wrong)}"] if wrong else []
        why = "; ".join(told) or "left over: " + "; ".join(left[:5])
        return Done(Status.FAIL, replace(detail, why=why), files)
    if unread or silent:
        why = "; ".join([*([named("not proven", unread)] if unread else []), *silent])
        unsure = replace(detail, failed=unread, why=why)
        return Done(Status.INCONCLUSIVE, unsure, files)
    return Done(Status.OK, detail, files)


def _left(work: Work, hop: Hop | None) -> list[str]:
    """What of ours is left on the cluster, and what a fleet part's way forth or back left behind."""
    every = (*work.ports.cluster.leftovers(), *work.ports.holds.standing())
    found = [x for x in every if x.kind != "lease" and not x.of_others(work.run)]
    if hop and hop.fleet:
        found += work.ports.fleet.residue(work.plan.moving(hop.fleet, undo=True))
    return [f"{x.kind} at {x.where}" for x in found]


def _asked(
    work: Work, step: Step, roles: Mapping[str, str], undone: Sequence[PlannedRing], kept: Sequence[str]
) -> restored.Asked:
    """What `restored` asks of the nodes after the rings `undone` came back."""
    back = [h for h in work.plan.hops if any(r in undone for r in h.parts)]
    of_nodes = [m for hop in back for ring in hop.rings for m in ring.moves]
    return restored.Asked(
        required={n: readings.required(work.hardware.of(n)) for n in work.cluster.gpu},
        optional={n: readings.optional(work.hardware.of(n)) for n in work.cluster.gpu},
        gpu=frozenset({*work.cluster.gpu, *(n for n, role in roles.items() if role == "gpu")}),
        moved=frozenset(step.nodes),
        taken_back={m.component: m.to_version for m in of_nodes if m.to_version != m.from_version},
        schemes=work.plan.schemes,
        called={name: spec.words.it for name, spec in work.plan.movers.items()},
        kept=frozenset(r.name for h in back for r in h.rings if set(r.nodes) & set(kept)),
    )
