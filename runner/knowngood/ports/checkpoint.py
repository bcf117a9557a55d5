"""The run's state where another engineer's laptop finds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Checkpoint(Protocol):
    """One ConfigMap a run, compare-and-swapped on its resourceVersion."""

    def save(self, run: str, state: Mapping[str, Any]) -> None:
        """Write the folded state. Raises LockHeld when somebody else wrote in between."""
        ...

    def keep(self, run: str, name: str, data: bytes) -> None:
        """Keep a larger file (plan, baselines) beside it: gzipped, immutable; twice is no error."""
        ...

    def load(self, run: str) -> Mapping[str, Any] | None:
        """The state last saved, None where there is none."""
        ...

    def fetch(self, run: str, name: str) -> bytes:
        """A kept file."""
        ...

    def runs(self) -> tuple[str, ...]:
        """All runs with a checkpoint, newest first."""
        ...

    def ask_abort(self, run: str, mode: str) -> None:
        """Annotate the checkpoint so that the run stops: `stop` or `hold`."""
        ...

    def abort_asked(self, run: str, within: float | None = None) -> str:
        """`stop`, `hold` or "". `within`: one attempt of so many seconds, else an outage is waited out."""
        ...
