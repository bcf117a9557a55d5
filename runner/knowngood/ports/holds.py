"""Holds: somebody else's work on nodes, paused by us for the time that nodes are out.

Whatever is held says so itself: whose hold it is and until when stands on the object, for people, for `clear` and for
a runner on another machine. What others had paused before us stays theirs: it is neither marked nor let go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from knowngood.model.node import Leftover


@dataclass(frozen=True, slots=True)
class Term:
    """What stands on a held object: the run, who (user@host) runs it, and `until` (RFC 3339) it needs the hold."""

    run: str
    who: str
    until: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking holds.

    `held` are ours now; `others` somebody else had paused before; `busy` can't be paused now, with the reason: it is at
    work on our nodes, or another run holds it; `failed` could not be paused, which says nothing of it. `told` must be
    known all the same: what is left alone, and why.
    """

    held: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    busy: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LetGo:
    """What came of letting go: `done` go on with their work, `failed` may still be paused, with the reason."""

    done: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


class Holds(Protocol):
    """Each call is idempotent. Objects are named in words: `MachineConfigPool gpu`. Raises Unreachable.

    `kinds` are those of `model.mover.HOLDS`; what of them this cluster does not have is not held.
    """

    def bound(self, kinds: Collection[str]) -> tuple[str, str]:
        """Until when (RFC 3339) these may be held at most, and why; empty where nothing bounds it."""
        ...

    def take(self, kinds: Collection[str], nodes: Sequence[str], term: Term) -> Taken:
        """Pause those that act on these nodes."""
        ...

    def keep(self, held: Sequence[str], term: Term) -> Mapping[str, str]:
        """See that what was taken is still held, with this term; what was found lifted is held again.

        Name -> what was found, for those that were not as we left them.
        """
        ...

    def standing(self) -> Sequence[Leftover]:
        """Every hold that stands on this cluster, whichever run's."""
        ...

    def let_go(self, kinds: Collection[str], run: str) -> LetGo:
        """Let all go that `run` holds, found by what stands on the objects."""
        ...
