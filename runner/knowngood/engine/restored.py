"""What `restored` means, as a comparison of measurements: a closed list per node, judged key by key. Pure.

Judged is what was measured of the stack that moved, and what we and its drainers write on nodes. What others write
(labels, annotations, taints, allocatable) is reported. A reading that the profile requires and nobody could take is
neither equal nor different: it is unread, and nothing is claimed.

A node in the rings that moved may have a newer load of the same module, or a newer boot. A GPU node outside must show
the very same load and boot; a CPU node's reboot is its own affair and only reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from knowngood.model import names
from knowngood.model.mover import Mark
from knowngood.model.node import NOT_LOADED, NodeState
from knowngood.model.plan import Hop, Plan, PlannedRing
from knowngood.model.record import Status
from knowngood.model.state import RunState
from knowngood.model.steppath import StepPath
from knowngood.planner.readings import RESOURCES
from knowngood.planner.version import TEXT, runs

VOLATILE_LABELS = frozenset({"nvidia.com/gfd.timestamp"})
"""Written anew at each start of GPU Feature Discovery: nothing worth a report."""
START = ("boot", "load")
"""Readings that a node of a moved ring may show anew."""
NAMES = {
    "gpus": "GPU",
    "mig": "MIG instances of",
    "modules": "module",
    "operands": "operand",
    "rdma-devices": "RDMA device",
    "vfs": "VFs of",
}
NAMED = 12
"""Changes of one kind that a text names for a node; the file beside the record has them all."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One node, after against before: what measurably differs, what could not be read, what is only told."""

    differs: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.differs + other.differs, self.unread + other.unread, self.reported + other.reported
        )

    def __bool__(self) -> bool:
        return bool(self.differs or self.unread or self.reported)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared.

    `required` and `optional` are readings, by node, of the cluster file's GPU nodes; `gpu` are all nodes with GPUs.
    `moved` are the nodes of the rings that came back. `taken_back` maps a component to the version that no node of
    those rings may run, `kept` names the rings that keep it. `called` is what people call a component's pods.
    """

    required: Mapping[str, frozenset[str]]
    gpu: frozenset[str]
    moved: frozenset[str]
    optional: Mapping[str, frozenset[str]] = field(default_factory=dict)
    taken_back: Mapping[str, str] = field(default_factory=dict)
    schemes: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    called: Mapping[str, str] = field(default_factory=dict)


def undone_and_kept(plan: Plan, state: RunState) -> tuple[list[PlannedRing], list[str]]:
    """The rings that were taken back, and the nodes of the others of their hop: proven, they keep what they have.

    A way back ends at the resting state before one hop. That a later hop was asked for its commit, and there was none,
    makes nothing of that hop undone.
    """
    for hop in plan.hops:
        back = [part for part in hop.parts if _asked_back(hop, part, state)]
        if back:
            return back, [n for r in hop.rings if r not in back and _proven(hop, r, state) for n in r.nodes]
    return [], []


def _asked_back(hop: Hop, part: PlannedRing, state: RunState) -> bool:
    """Whether the way back came to it: to its commit, or to its nodes where that is the whole hop's."""
    at = StepPath(hop.name).child(part.name, state.undo)
    return any(at.child(verb) in state.results for verb in ("declare", "look"))


def _proven(hop: Hop, ring: PlannedRing, state: RunState) -> bool:
    proofs = (state.results.get(StepPath(hop.name).child(ring.name, last)) for last in ("confirm", "retest"))
    return any(proof and proof.status is Status.OK for proof in proofs)


def without_our_hold(before: NodeState, now: NodeState) -> NodeState:
    """A node that we hold, as it would be without our claim: the release, which follows the proof, takes that away."""
    ours = {names.CLAIM_ANNOTATION, names.SNAPSHOT_ANNOTATION}
    annotations = {k: v for k, v in now.annotations.items() if k not in ours}
    taints = tuple(t for t in now.taints if not t.startswith(f"{names.MAINTENANCE_TAINT}="))
    marks = (f"taint {names.MAINTENANCE_TAINT}", *(f"annotation {key}=" for key in sorted(ours)))
    return replace(
        now,
        annotations=annotations,
        taints=taints,
        unschedulable=before.unschedulable,
        written=tuple(m for m in now.written if not m.startswith(marks)),
    )


def compare(
    before: Mapping[str, NodeState], after: Mapping[str, NodeState], asked: Asked
) -> dict[str, Comparison]:
    """Node -> what is to be said of it; nodes that are as they were are left out. `after`: the nodes that are there."""
    found = {}
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if new is None:
            one = _by_kind(name, asked, "the node is gone")
        elif old is None:
            one = _joined(new, asked)
        elif name in asked.gpu:
            one = _gpu_node(old, new, asked)
        else:
            one = _cpu_node(old, new)
        if one:
            found[name] = one
    return found


def missing(state: NodeState, required: frozenset[str]) -> tuple[str, ...]:
    """The required readings that a node does not give."""
    return tuple(sorted(key for key in required if _reading(state, key) is None))


def _by_kind(name: str, asked: Asked, text: str) -> Comparison:
    return Comparison(differs=(text,)) if name in asked.gpu else Comparison(reported=(text,))


def _joined(new: NodeState, asked: Asked) -> Comparison:
    """A node that was not there before: it must not run what was taken back."""
    text = "it joined during the run"
    if new.name not in asked.gpu or new.labels.get(names.RING_LABEL) in asked.kept:
        return Comparison(reported=(text,))
    if not new.reachable:
        return Comparison(unread=(f"{text} and can't be read: {new.trouble or 'unreachable'}",))
    running = {c: new.versions.get(c, "") for c in asked.taken_back}
    bad = [
        f"{text} and runs {component} {version}, which was taken back"
        for component, version in running.items()
        if version and runs(asked.schemes.get(component, TEXT), asked.taken_back[component], version)
    ]
    unread = [f"{text} and its {component} can't be read" for component, v in running.items() if not v]
    return Comparison(tuple(bad), tuple(unread), () if bad or unread else (text,))


def _cpu_node(old: NodeState, new: NodeState) -> Comparison:
    """Nothing that moved runs there: ours is judged, a reboot or another kernel is told."""
    told = [
        f"{what} was {was or 'unread'}, is {now or 'unread'}"
        for what, was, now in (
            ("boot id", old.boot_id, new.boot_id),
            ("kernel", _text(old.versions), _text(new.versions)),
        )
        if was != now
    ]
    if old.ready and not new.ready:
        told.append(new.trouble or "the node is not Ready")
    return _marks(old, new) + Comparison(reported=tuple(told)) + _of_others(old, new, judged="")


def _gpu_node(old: NodeState, new: NodeState, asked: Asked) -> Comparison:
    name, moved = old.name, old.name in asked.moved
    found = _marks(old, new)
    if old.unschedulable != new.unschedulable:
        text = "it is cordoned" if new.unschedulable else "it was cordoned and is not any more"
        found += Comparison(differs=(text,)) if moved else Comparison(reported=(text,))
    known = name in asked.required
    if not new.reachable:
        found += _unread(f"can't be read: {new.trouble or 'unreachable'}", known or old.reachable)
        return found + _of_others(old, new, judged="")
    if not new.ready:
        found += Comparison(differs=("the node is not Ready",))
    found += _start(old, new, asked, moved=moved)
    # On a node that the cluster file does not name, the profile asks for nothing.
    required = asked.required.get(name, frozenset())
    read = {*required, *old.versions, *new.versions, *old.inventory, *new.inventory, "operands"}
    for key in sorted(read - {*START}):
        was, now = _reading(old, key), _reading(new, key)
        if was is not None and now is not None:
            found += _same(key, was, now)
        elif was is not None or key in required:
            found += _unread(_why_unread(key, was, now), key not in asked.optional.get(name, ()))
        elif now is not None:
            found += Comparison(reported=(f"{key} could not be read before",))
    for key in START:
        was, now = _reading(old, key), _reading(new, key)
        if was is None or now is None:
            found += _unread(_why_unread(key, was, now), key in required)
    return found + _of_others(old, new, judged=RESOURCES)


def _why_unread(key: str, was: object, now: object) -> str:
    times = [when for when, value in (("before", was), ("after", now)) if value is None]
    return f"{key} could not be read {' and '.join(times)}"


def _unread(text: str, counts: bool) -> Comparison:
    return Comparison(unread=(text,)) if counts else Comparison(reported=(text,))


def _reading(state: NodeState, key: str) -> Mapping[str, str] | None:
    """One reading as a mapping, None where it could not be taken."""
    match key:
        case "boot":
            return {"": state.boot_id} if state.boot_id else None
        case "load":
            return {name: mark.version for name, mark in state.marks.items()} or None
        case "operands":
            images = {f"{name}'s image": image for name, image in state.images.items()}
            return {**state.operands, **images} or None
    if key in state.inventory:
        return state.inventory[key]
    return {"": state.versions[key]} if state.versions.get(key) else None


def _same(key: str, was: Mapping[str, str], now: Mapping[str, str]) -> Comparison:
    differs: list[str] = []
    told: list[str] = []
    for part in sorted({*was, *now}):
        old, new = was.get(part, ""), now.get(part, "")
        if old != new:
            text = f"{NAMES.get(key, key)} {part}".strip() + f" was {old or 'nothing'}, is {new or 'nothing'}"
            # A module that somebody's mount or program has asked for since is nothing lost.
            (told if old == NOT_LOADED else differs).append(text)
    return Comparison(differs=tuple(differs), reported=tuple(told))


def _start(old: NodeState, new: NodeState, asked: Asked, *, moved: bool) -> Comparison:
    """Boot and load."""
    if old.boot_id and new.boot_id and old.boot_id != new.boot_id:
        text = "it was rebooted"
        if not moved:
            return Comparison(differs=(f"{text} although it is outside the rings that moved",))
        rebooted = Comparison(reported=(text,))
    else:
        rebooted = Comparison()
    found = rebooted
    for component in sorted({*old.marks, *new.marks} if old.marks and new.marks else ()):
        found += _arrival(component, old.marks.get(component), new.marks.get(component), asked, moved=moved)
    return found


def _arrival(component: str, was: Mark | None, now: Mark | None, asked: Asked, *, moved: bool) -> Comparison:
    """One component's mark: outside the rings that moved the very same, inside them of the same version."""
    if was is None or now is None:
        return Comparison(unread=(f"when {component} came can't be told",))
    if was == now:
        return Comparison()
    if not moved:
        its = asked.called.get(component, component)
        return Comparison(
            differs=(f"its {its} was loaded anew although the node is outside the rings that moved",)
        )
    if was.version != now.version:
        return Comparison(
            differs=(f"the kernel log says that {now.version} was loaded last, it was {was.version}",)
        )
    return Comparison()


def _marks(old: NodeState, new: NodeState) -> Comparison:
    """What we and the drainers wrote on the node."""
    gone = [f"{mark} is gone" for mark in old.written if mark not in new.written]
    left = [f"{mark} is left" for mark in new.written if mark not in old.written]
    return Comparison(differs=(*gone, *left))


def _of_others(old: NodeState, new: NodeState, *, judged: str) -> Comparison:
    """Labels, annotations, taints and allocatable; of the last, those under `judged` must be as they were."""
    differs: list[str] = []
    told: list[str] = []
    for kind, was, now in (
        ("label", old.labels, new.labels),
        ("annotation", old.annotations, new.annotations),
        ("allocatable", old.allocatable, new.allocatable),
    ):
        for key in sorted({*was, *now} - VOLATILE_LABELS):
            a, b = was.get(key, ""), now.get(key, "")
            ours = kind != "allocatable" and any(key in mark for mark in (*old.written, *new.written))
            if a != b and not ours:
                bad = kind == "allocatable" and judged and key.startswith(judged)
                text = f"{kind} {key} was {a or 'nothing'}, is {b or 'nothing'}"
                (differs if bad else told).append(text)
    told += _taints(old, new)
    return Comparison(differs=tuple(differs), reported=tuple(told))


def _taints(old: NodeState, new: NodeState) -> Iterator[str]:
    for text, some, others in (("is gone", old, new), ("is new", new, old)):
        for taint in some.taints:
            if taint not in others.taints and not taint.startswith(f"{names.DOMAIN}/"):
                yield f"taint {taint} {text}"


def _text(values: Mapping[str, str]) -> str:
    return ", ".join(f"{v}" for _, v in sorted(values.items()))


def listed(changes: tuple[str, ...]) -> str:
    """Changes as one text of bounded length."""
    more = len(changes) - NAMED
    return "; ".join(changes[:NAMED]) + (f"; and {more} more" if more > 0 else "")
