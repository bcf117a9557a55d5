"""Who may run: one Lease a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from knowngood.ports.cancel import Cancel

Beat = Callable[[float], None]
"""Called at each heartbeat, on the renewing thread, with the seconds it may take. Its errors are swallowed."""


def no_beat(_seconds: float) -> None:
    """Nothing to do at a heartbeat."""


class Lock(Protocol):
    """A coordination.k8s.io Lease, renewed by a thread of its own while held."""

    def acquire(self, run: str, cancel: Cancel, beat: Beat = no_beat, *, above: int = 0) -> int:
        """Take it for a run and renew it from now on; returns the Lease's transitions (the fence).

        The fence is more than the Lease's last one and more than `above`, which others remember: a Lease may have
        been deleted. One that is deleted, or is another by its uid, is lost at the next renewal: `cancel` is set.
        A run's own Lease is taken over at once where its process ended on this machine (resume), any other once it
        has run out. Raises LockHeld naming the holder of one that is renewed, also where that is the same run.
        When it can't be renewed for two thirds of its duration, `cancel` is set. `beat` follows each renewal.
        """
        ...

    def release(self) -> None:
        """Give it back (only if still ours) and stop renewing. Does nothing when not held."""
        ...
