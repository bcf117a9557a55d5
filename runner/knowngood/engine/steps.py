"""A step: one verb on some nodes, with a path that is its key in the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from knowngood.model.plan import Hop, PlannedRing
from knowngood.model.steppath import StepPath


class Verb(StrEnum):
    """What a step does; `verbs.py` has one function for each."""

    OBSERVE = "observe"
    PREFLIGHT = "preflight"
    CHECK = "check"  # judge before anything is written
    WAY_BACK = "way-back"
    HOLD = "hold"  # pause others who act on the nodes
    LET_GO = "let-go"
    WINDOW = "window"  # does the next ring, and its undo, end before the window does
    DECLARE = "declare"
    DELIVER = "deliver"
    APPROVE = "approve"  # what the commit only asked for
    SETTLE = "settle"  # what was declared once for all nodes is there
    BACK = "back"  # the class's own way back, where a revert is not all
    WATCH = "watch"  # has a node outside the open ring taken what is declared for all
    CLAIM = "claim"
    DRAIN = "drain"
    BASELINE = "baseline"
    APPLY = "apply"
    SECOND_LOAD = "second-load"  # load once more what was proven
    JUDGE = "judge"
    RETEST = "retest"
    RELEASE = "release"
    SOAK = "soak"
    CONFIRM = "confirm"  # judge after the soak, passive gates
    PROVE = "prove"
    PROMOTE = "promote"
    RECORD = "record"  # what speaks against the release, in the matrix
    QUARANTINE = "quarantine"
    LOOK = "look"  # which nodes an undo must bring back
    VERIFY = "verify"  # the proof of `restored`
    RECLAIM = "reclaim"


LONG = frozenset(
    {
        Verb.CHECK,
        Verb.DELIVER,
        Verb.SETTLE,
        Verb.DRAIN,
        Verb.BASELINE,
        Verb.APPLY,
        Verb.SECOND_LOAD,
        Verb.JUDGE,
        Verb.RETEST,
        Verb.SOAK,
        Verb.CONFIRM,
        Verb.PROVE,
    }
)
"""Verbs that wait for others, so that an abort cuts them short: whatever they leave, an undo brings back."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `hop`: the one before which it is done, None for one of the whole run.

    `undo` turns a verb around: declare reverts, apply and judge expect the old versions.
    """

    path: StepPath
    verb: Verb
    nodes: tuple[str, ...] = ()
    hop: Hop | None = None
    undo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RingStep(Step):
    """One step of a ring, or of a hop's fleet part, which is one without nodes.

    `why` maps a node to the reason, for quarantine. `drained`: a baseline of nodes that we hold idle, by active gates;
    without, of nodes at their tenants' work, by passive ones.
    """

    hop: Hop
    ring: PlannedRing
    why: tuple[tuple[str, str], ...] = ()
    drained: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a run's script a part's steps are made: the ring or fleet part itself, a batch of it, its way back."""

    hop: Hop
    ring: PlannedRing
    path: StepPath

    @classmethod
    def of(cls, hop: Hop, ring: PlannedRing, *words: str) -> Place:
        """The ring, or a part of it."""
        return cls(hop, ring, StepPath(hop.name).child(ring.name, *words))

    def part(self, *words: str) -> Place:
        """A part of this place."""
        return replace(self, path=self.path.child(*words))

    def step(self, verb: Verb, nodes: Iterable[str] | None = None, *, drained: bool = False) -> RingStep:
        """A step on these nodes, without any on the whole ring."""
        out = self.ring.nodes if nodes is None else tuple(nodes)
        return RingStep(self.path.child(verb), verb, out, hop=self.hop, ring=self.ring, drained=drained)

    def back(self, verb: Verb, nodes: Iterable[str] | None = None) -> RingStep:
        """The same, turned around."""
        return replace(self.step(verb, nodes), undo=True)
