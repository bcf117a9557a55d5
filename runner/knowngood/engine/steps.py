"""A step: one verb on some nodes, with a path that is its key in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from knowngood.model.plan import Hop, PlannedRing
from knowngood.model.steppath import StepPath


class Verb(StrEnum):
    """What a step does; `verbs.py` has one function for each."""

    OBSERVE = "observe"
    PREFLIGHT = "preflight"
    CHECK = "check"  # judge before anything is written
    WAY_BACK = "way-back"
    WINDOW = "window"  # does the next ring, and its undo, end before the window does
    DECLARE = "declare"
    DELIVER = "deliver"
    CLAIM = "claim"
    DRAIN = "drain"
    BASELINE = "baseline"
    APPLY = "apply"
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
        Verb.DRAIN,
        Verb.BASELINE,
        Verb.APPLY,
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
    """One step. `undo` turns a verb around: declare reverts, apply and judge expect the old versions.

    `why` maps a node to the reason, for quarantine. `drained`: a baseline of nodes that we hold idle, by active gates;
    without, of nodes at their tenants' work, by passive ones.
    """

    path: StepPath
    verb: Verb
    hop: Hop | None = None
    ring: PlannedRing | None = None
    nodes: tuple[str, ...] = ()
    undo: bool = False
    why: tuple[tuple[str, str], ...] = ()
    drained: bool = False
