"""A plan as text: what moves, whom it disturbs, how it is undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowngood.model.declared import Scope
from knowngood.model.matrix import Disruption, UndoClass
from knowngood.model.plan import Expected, Hop, Plan, PlannedPool, SecondLoad
from knowngood.model.text import ENDLESS, Page, page
from knowngood.report.columns import columns, folded, move, wrapped
from knowngood.report.estimate import words

DISRUPTIONS = {
    Disruption.NONE: "disturbs nobody",
    Disruption.PODS: "restarts pods",
    Disruption.DRAIN: "drains each node once",
    Disruption.REBOOT: "drains and reboots each node",
    Disruption.POWER_CYCLE: "drains and power-cycles each node",
}
UNDOS = {
    UndoClass.REVERT: "undone by a Git revert",
    UndoClass.REVERT_DISRUPTIVE: "undone by a Git revert and one more drain",
    UndoClass.PROCEDURE: "undone by a procedure",
    UndoClass.FORWARD_ONLY: "can't be undone",
}

_WITHOUT_CANARY = (
    "prove it first on another cluster of this profile, or take it by --accept-no-canary COMPONENT"
)


def plan_text(plan: Plan, width: int = ENDLESS) -> Page:
    """One screen for a short plan; a long one hop by hop. `width`: of the terminal."""
    lines = [f"{plan.cluster}: {move(plan.from_release, plan.to_release)}   profile {plan.profile}"]
    if plan.channel:
        lines.append(f"  channel {plan.channel}" + _accepted(plan))
    lines += [f"  {name}: edges from {origin}" for name, origin in plan.catalogs.items()]
    if not plan.hops:
        lines.append(f"  nothing to do: Git declares {plan.to_release} already")
    told: dict[str, str] = {}  # procedure -> the hop that tells it
    for hop in plan.hops:
        lines += ["", *_hop(hop, told.setdefault(hop.procedure, hop.name))]
        if hop.name == plan.point_of_no_return:
            lines.append("  POINT OF NO RETURN: once this began, nothing before it can be undone either")
    lines += ["", "gates"]
    lines += wrapped(
        [
            ("active, on drained nodes", ", ".join(plan.active_gates) or "none"),
            ("passive, any time", ", ".join(plan.passive_gates) or "none"),
            *([("of a second load", ", ".join(plan.second_load_gates))] if plan.second_load_gates else []),
            *((f"only {pool.profile}", ", ".join(own)) for pool in plan.pools if (own := _own(plan, pool))),
            *((f"not applicable: {gate}", why) for gate, why in plan.not_applicable.items()),
        ],
        width=width,
    )
    if plan.holds:
        lines += ["", f"held while nodes are out, where it is there: {', '.join(plan.holds)}"]
    if plan.warnings:
        lines += ["", "warnings", *(f"  {w}" for w in plan.warnings)]
    if plan.accepts:
        lines += [
            "",
            f"{plan.to_release} accepts",
            *(f"  {rule}: {why}" for rule, why in plan.accepts.items()),
        ]
    lines += ["", *_time_in_all(plan), *_point_of_no_return(plan), *_no_canary(plan), *_by_hand(plan)]
    return page(folded(lines, width))


def hop_text(plan: Plan, hop: Hop) -> Page:
    """Everything about one hop: what it needs, what holds it at its place, where one rests afterwards."""
    lines = list(_hop(hop, hop.name))
    if len(hop.why) > 1:
        lines += ["", "held at its place by", *(f"  {why}" for why in hop.why)]
    if hop.risks:
        lines += ["", "risks on the way", *(f"  {risk}" for risk in hop.risks)]
    if hop.proves_again:
        lines += ["", f"a new kernel voids what was proven before: {', '.join(hop.proves_again)} run again"]
    if hop.without_canary:
        lines += ["", f"no canary for {', '.join(hop.without_canary)}", f"  {_WITHOUT_CANARY}"]
    resting = next((r for r in plan.resting if r.after == hop.name), None)
    if resting is not None:
        lines += ["", "afterwards the cluster rests on", *columns(sorted(resting.versions.items()))]
    if hop.name == plan.point_of_no_return:
        lines += ["", "this is the point of no return"]
    return page(lines)


def _own(plan: Plan, pool: PlannedPool) -> list[str]:
    """Gates that judge this pool, and not every one."""
    return [gate for gate in pool.gates if any(gate not in other.gates for other in plan.pools)]


def _accepted(plan: Plan) -> str:
    return f", accepted risks {', '.join(plan.accepted)}" if plan.accepted else ""


def _hop(hop: Hop, told: str) -> Iterator[str]:
    """A hop; `told` is the hop that tells its procedure."""
    moves = ", ".join(f"{m.component} {m.from_version} → {m.to_version}" for m in hop.moves)
    yield f"{hop.name}  {moves}"
    if hop.follows:
        yield "  with it " + ", ".join(
            f"{m.component} {m.from_version or 'unknown'} → {m.to_version or 'unknown'}" for m in hop.follows
        )
    disruption = "the workers stay paused on the minor before" if hop.paused else DISRUPTIONS[hop.disruption]
    yield f"  scope {_scope(hop)}, {disruption}, {UNDOS[hop.undo]} ({hop.undo})"
    if hop.undo not in (UndoClass.REVERT, UndoClass.REVERT_DISRUPTIVE) and hop.procedure:
        yield f"  undo: {hop.procedure}" if told == hop.name else f"  undo: as for {told}"
    if hop.why:
        yield f"  why now: {hop.why[0]}"
    yield from (f"  {reason}" for reason in hop.not_movable)
    if hop.allowed_by and hop.not_movable:
        yield f"  allowed by: {'; '.join(dict.fromkeys(hop.allowed_by))}"
    if hop.risks:
        yield f"  risks: {', '.join(risk.partition(':')[0] for risk in hop.risks)}"
    yield from (f"  rests on what is not advised: {warning}" for warning in hop.warnings)
    if hop.proves_again:
        yield f"  proven again on the new kernel: {', '.join(hop.proves_again)}"
    if time := _time(hop.expected):
        yield f"  time: {time}"
    yield from columns(list(_parts(hop)))
    yield from _second_load(hop.again) if hop.again else ()
    if hop.leaky:
        yield f"  from the first commit on {hop.leaky}: each ring starts only if no node did so before its turn"
    yield from (f"  one object a ring instead? {told}" for told in hop.to_rings)


def _second_load(again: SecondLoad) -> Iterator[str]:
    """What the canary loads once more, how long that takes, and what it does not show."""
    if again.how:
        yield f"  once proven, {', '.join(again.rings)}: a second {again.how}, judged again"
    if again.lacks:
        yield f"  {'not shown by it' if again.how else 'no second load'}: {again.lacks}"


def _scope(hop: Hop) -> str:
    if hop.fleet and hop.rings:
        return "cluster, then ring by ring"
    return "cluster (no canary)" if hop.scope is Scope.CLUSTER else str(hop.scope)


def _parts(hop: Hop) -> Iterator[tuple[str, str, str, str]]:
    """The fleet part and the rings: name, what is special of it, nodes, what is edited."""
    for part in hop.parts:
        batches = " then ".join(", ".join(batch) for batch in part.batches) or "declared once for all nodes"
        note = "canary" if hop.rings and part is hop.rings[0] else ""
        yield part.name, note, batches, "; ".join(f"{c.file}: {c.path}" for c in part.changes)


def _time(expected: Expected) -> str:
    """`about 4 h: 3 x 20 min, 3 soaks of 60 min`; "" where nothing is known."""
    parts = []
    if expected.turns and expected.minutes:
        rest = expected.soaks * expected.soak + expected.again
        alike = expected.seconds == expected.turns * expected.minutes * 60 + rest
        most = "" if alike else "at most "
        parts.append(f"{expected.turns} x {most}{words(expected.minutes * 60)}")
    if expected.soaks and expected.soak:
        parts.append(f"{_count(expected.soaks, 'soak')} of {words(expected.soak)}")
    if expected.again:
        parts.append(f"{words(expected.again)} of second loads")
    if not parts:
        return ""
    if not expected.whole:
        return f"{words(expected.seconds)} and more: {', '.join(parts)}, {_unknown(expected.turns)}"
    return f"about {words(expected.seconds)}: {', '.join(parts)}"


def _time_in_all(plan: Plan) -> list[str]:
    seconds = sum(hop.expected.seconds for hop in plan.hops)
    unknown = sum(hop.expected.turns for hop in plan.hops if not hop.expected.whole)
    if len(plan.hops) < 2 or not (seconds or unknown):
        return []
    if not unknown:
        return [f"time in all: about {words(seconds)}"]
    return [f"time in all: {words(seconds)} and more, {_unknown(unknown)}"]


def _unknown(turns: int) -> str:
    return f"{_count(turns, 'turn')} of unknown length (minutesOut in the profile)"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _hops(plan: Plan, wanted: Sequence[Hop]) -> str:
    """`hop-1 to hop-8, hop-10`: neighbours as a range."""
    names = {hop.name for hop in wanted}
    ranges: list[list[str]] = []
    before = False
    for hop in plan.hops:
        here = hop.name in names
        if here and before:
            ranges[-1][1:] = [hop.name]
        elif here:
            ranges.append([hop.name])
        before = here
    return ", ".join(" to ".join(ends) for ends in ranges)


def _no_canary(plan: Plan) -> list[str]:
    found = [h for h in plan.hops if h.without_canary]
    return [f"no canary: {_hops(plan, found)}", f"  {_WITHOUT_CANARY}"] if found else []


def _point_of_no_return(plan: Plan) -> list[str]:
    closed = [h for h in plan.hops if h.undo is UndoClass.FORWARD_ONLY]
    if closed:
        first = closed[0].name
        named = first if len(closed) == 1 else f"{first}; {_hops(plan, closed)} can't be undone"
        return [
            f"point of no return: {named}",
            "  nothing before it can be undone once it began",
        ]
    by_hand = [h for h in plan.hops if h.undo is UndoClass.PROCEDURE]
    if by_hand:
        return [f"no point of no return, but {_hops(plan, by_hand)} can be undone by a procedure only"]
    return ["no point of no return: a gate that says no takes it back"] if plan.hops else []


def _by_hand(plan: Plan) -> list[str]:
    """What `upgrade` does not do yet."""
    left = [h for h in plan.hops if h.not_movable]
    if not left:
        return []
    which = "every hop" if len(left) == len(plan.hops) else _hops(plan, left)
    them = "it" if len(left) == 1 else "them"
    return [
        f"not yet movable by knowngood: {which}; make {them} by hand, then pin the release that has {them}"
    ]
