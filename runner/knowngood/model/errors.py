"""Every error a user can meet, in one tree; each class owns an exit code.

    KnowngoodError
    ├── UsageError            2   the command line, a file or a kubeconfig is wrong
    │   ├── DataError         2   a matrix or cluster file is wrong, with file and line
    │   └── JournalDamaged    2   a journal is damaged elsewhere than in its torn last line
    ├── Refused               1   a verdict or a rule said no; nothing was changed
    │   ├── FieldTaken        1   somebody else changed the same field in Git (ports/gitops.py)
    │   ├── RenderMismatch    1   a commit would change more than was planned (ports/gitops.py)
    │   └── SyncFailed        1   Argo CD tried our commit and failed (ports/delivery.py)
    ├── Inconclusive          3   it could not be told; nothing was changed
    │   ├── Unreachable       3   an API, a remote or a node does not answer
    │   │   ├── NoPodError    3   no driver's pod is there to be asked of a node (adapters)
    │   │   └── NoUptimeError 3   nobody knows of which boot a kernel log's file is (adapters)
    │   ├── DeadlineExceeded  3   a condition did not come true in time
    │   ├── ApiError          3   an API server's answer that is none of the above (adapters)
    │   ├── GitFailed         3   git said no (adapters)
    │   └── CouldNot          3   a step could not be done, for a reason that is not the node's nor the version's
    │       └── NodesCouldNot 3   some of its nodes could not be done, by name (engine/work.py)
    ├── LockHeld              4   another run holds the cluster, or took it over
    └── Interrupted         130   stopped by a signal, a lost Lease, an abort or trouble in mid-run; resumable
        └── Paused          130   stands still where it was told to

Exit code 5, a human is needed, is how a run ends (`model.state.End`) and no error.
A message says what happened, where, and (`hint`) what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from knowngood.model.text import printable


class ExitCode(IntEnum):
    """The program's exit codes with what each means; the list is an interface and is never renumbered."""

    meaning: str

    DONE = 0, "done, or every gate passed"
    REFUSED = 1, "a verdict or a rule said no; nothing was changed"
    USAGE = 2, "the command line, a file or a kubeconfig is wrong"
    INCONCLUSIVE = 3, "inconclusive; nothing was changed"
    LOCKED = 4, "another run holds the cluster"
    HUMAN = 5, "quarantined or held: a human is needed"
    RESTORED = 6, "changed and restored"
    INTERRUPTED = 130, "interrupted; `resume` goes on"

    def __new__(cls, code: int, meaning: str = "") -> ExitCode:
        """A number that knows what it means."""
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a file: `line` and `column` count from 1; None where unknown."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [printable(self.file), *(str(n) for n in (self.line, self.column) if n is not None)]
        return ":".join(parts)


class KnowngoodError(Exception):
    """The root. `message` says what and where, `hint` what to do next.

    Both may quote what others wrote, so they become printable here, where they enter: one line each.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "", where: Location | str | None = None) -> None:
        self.message = printable(message)
        super().__init__(self.message)
        self.hint = printable(hint)
        self.where = printable(where) if isinstance(where, str) else where

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UsageError(KnowngoodError):
    """The command line, a file or a kubeconfig is wrong."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding in a data file. `rule` is a stable number such as `KG102`; `expected` is what should have been there,
    "" where the rule's own title says it.
    """

    where: Location
    message: str
    rule: str = "KG002"
    hint: str = ""
    severity: str = "error"  # error | warning
    expected: str = ""


class DataError(UsageError):
    """Matrix or cluster data is wrong; carries every problem found."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(first.message + more, hint=first.hint, where=first.where)
        self.problems = problems


class Refused(KnowngoodError):
    """A verdict or a rule said no; nothing was changed."""

    exit_code = ExitCode.REFUSED


class Inconclusive(KnowngoodError):
    """It could not be told; nothing was changed."""

    exit_code = ExitCode.INCONCLUSIVE


class Unreachable(Inconclusive):
    """An API, a Git remote or a node does not answer within its deadline."""


class DeadlineExceeded(Inconclusive):
    """A condition did not come true in time; the message names the condition and the time waited."""


class CouldNot(Inconclusive):
    """A step could not be done or told, for a reason that says nothing of the nodes or the versions."""


class LockHeld(KnowngoodError):
    """Another run holds the cluster, or has taken it over from us."""

    exit_code = ExitCode.LOCKED


class Interrupted(KnowngoodError):
    """Stopped by a signal, a lost Lease, an abort or trouble in mid-run; `knowngood resume` goes on."""

    exit_code = ExitCode.INTERRUPTED


class Paused(Interrupted):
    """Stands still where it was told to; `knowngood resume` goes on."""


class JournalDamaged(UsageError):
    """A journal is damaged somewhere else than in its torn last line."""
