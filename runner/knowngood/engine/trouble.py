"""What can go wrong outside the verdicts, and what it means: "could not" is never "no", and never "yes".

One table. A row says how a trouble shows itself and what becomes of the step that meets it: before the first change, on
the way forward, and on the way back. docs/trouble.md says the same for people; a test sees that it has each row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from knowngood.engine.steps import Step, Verb
from knowngood.model.detail import Detail
from knowngood.model.errors import (
    CouldNot,
    DeadlineExceeded,
    Inconclusive,
    KnowngoodError,
    Refused,
    Unreachable,
    UsageError,
)
from knowngood.model.record import Status
from knowngood.ports.delivery import SyncFailed
from knowngood.ports.gitops import FieldTaken, RenderMismatch


class Phase(StrEnum):
    """Where in a run a step stands."""

    START = "start"  # nothing was changed yet
    FORWARD = "forward"
    BACK = "back"


class Meaning(StrEnum):
    """What becomes of a step that met trouble."""

    NO = "no"  # the step ends `fail`: somebody measured, and said no
    TAKEN = "taken"  # the step ends `foreign`: somebody else wrote what we write
    UNCHANGED = "unchanged"  # the run ends here, with nothing changed
    INTERRUPT = "interrupt"  # no outcome: `resume` repeats the step
    AGAIN = "again"  # tried again until the way back's own deadline, then interrupted
    UNSURE = "unsure"  # the step ends `inconclusive`


@dataclass(frozen=True, slots=True)
class Trouble:
    """One row. `shows` are the errors that it comes as; the first row that fits counts."""

    name: str
    shows: tuple[type[Exception], ...]
    start: Meaning
    forward: Meaning
    back: Meaning

    def at(self, phase: Phase) -> Meaning:
        """What it means there."""
        return {Phase.START: self.start, Phase.FORWARD: self.forward, Phase.BACK: self.back}[phase]


_U, _I, _A = Meaning.UNCHANGED, Meaning.INTERRUPT, Meaning.AGAIN
TABLE = (
    Trouble(
        "somebody else changed the same field in Git",
        (FieldTaken,),
        Meaning.TAKEN,
        Meaning.TAKEN,
        Meaning.TAKEN,
    ),
    Trouble(
        "our commit would change more than planned", (RenderMismatch,), Meaning.NO, Meaning.NO, Meaning.NO
    ),
    Trouble("Argo CD tried our commit and failed", (SyncFailed,), Meaning.NO, Meaning.NO, _A),
    Trouble("a rule or a person said no", (Refused,), Meaning.NO, Meaning.NO, Meaning.NO),
    Trouble("Argo CD does not get there", (DeadlineExceeded,), _U, _I, _A),
    Trouble("a child was killed, an image not pulled, a node taken by others", (CouldNot,), _U, _I, _A),
    Trouble("credentials, a right or the disk: what a user must mend", (UsageError,), _U, _I, _A),
    Trouble("no answer, 429, 5xx, a push race", (Inconclusive,), _U, _I, _A),
    Trouble("a bug of ours", (Exception,), Meaning.UNSURE, Meaning.UNSURE, Meaning.UNSURE),
)


def meaning(error: Exception, phase: Phase) -> Meaning:
    """What an error means in a phase."""
    return next(row for row in TABLE if isinstance(error, row.shows)).at(phase)


def phase_of(step: Step) -> Phase:
    """Where a step stands: those of the whole run before its first hop change nothing that any end would leave."""
    if step.undo or step.verb in (Verb.VERIFY, Verb.RECORD, Verb.QUARANTINE, Verb.LET_GO):
        return Phase.BACK
    return (
        Phase.FORWARD
        if step.path.parent or step.verb in (Verb.PROVE, Verb.PROMOTE, Verb.RETEST)
        else Phase.START
    )


SHORTEST, LONGEST = 1.0, 30.0
"""Seconds between two tries: quick at first, then as rarely as an API server or a Git remote takes to come back."""


@dataclass(slots=True)
class Patience:
    """How long a step is tried again: `forward` once more, a way back until `ends` on the monotonic clock."""

    monotonic: Callable[[], float]
    ends: float
    tries: int = 0

    def next_pause(self, phase: Phase, trouble: Exception) -> float | None:
        """Seconds until the next try, None where there is none. Forward only silence is worth a second try."""
        self.tries += 1
        pause = min(LONGEST, SHORTEST * 2 ** (self.tries - 1))
        if phase is Phase.BACK:
            return pause if self.monotonic() + pause <= self.ends else None
        return SHORTEST if self.tries < 2 and isinstance(trouble, Unreachable) else None


def status_of(meant: Meaning, error: Exception) -> Status:
    """The status of an outcome that an error became."""
    if meant is Meaning.TAKEN:
        return Status.FOREIGN
    if meant is Meaning.NO or (meant is Meaning.UNCHANGED and isinstance(error, UsageError)):
        return Status.FAIL
    return Status.INCONCLUSIVE


def told(error: Exception) -> Detail:
    """An error as an outcome's detail."""
    if not isinstance(error, KnowngoodError):
        return Detail(why=f"internal error: {type(error).__name__}: {error}"[:500], bug=True)
    return Detail(why=str(error), hint=error.hint, usage=isinstance(error, UsageError))
