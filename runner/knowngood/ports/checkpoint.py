"""The run's state where another engineer's laptop finds it."""

from __future__ import annotations

from typing import Protocol

from knowngood.model.run_summary import RunSummary
from knowngood.model.state import RunState


class Checkpoint(Protocol):
    """One ConfigMap a run, compare-and-swapped on its resourceVersion."""

    def save(self, state: RunState, *, heed: bool = False) -> str:
        """Write the folded state, and its summary beside it; returns "".

        `heed`: where an abort is asked for, write nothing and return its mode. One write answers both, so none comes
        between a look and the write.

        Raises LockHeld where that would overwrite what somebody else wrote: in between, or a state that is newer, or
        one that has ended and from which this one was not reopened.
        """
        ...

    def keep(self, run: str, name: str, data: bytes) -> None:
        """Keep a larger file (plan, baselines) beside it: gzipped, immutable; twice is no error."""
        ...

    def load(self, run: str) -> RunState | None:
        """The state last saved, None where there is none. What is saved next must replace this one."""
        ...

    def fetch(self, run: str, name: str) -> bytes:
        """A kept file."""
        ...

    def runs(self) -> tuple[RunSummary, ...]:
        """All runs with a checkpoint, newest first. Reads no states."""
        ...

    def forget(self, run: str) -> None:
        """Delete a run's state and all its files; twice is no error."""
        ...

    def ask_abort(self, run: str, mode: str) -> None:
        """Annotate the checkpoint so that the run stops: `stop` or `hold`."""
        ...

    def abort_asked(self, run: str, within: float | None = None) -> str:
        """`stop`, `hold` or "". `within`: one attempt of so many seconds, else an outage is waited out."""
        ...
