"""What must be so on the cluster before a run's first commit. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding


class Readiness(Protocol):
    """Each answer is empty where all is well; what could not be asked is a finding, too. Raises Unreachable."""

    def rights(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        """Every right of the run, and of its undo, that we do not have. `changes`: the objects it moves."""
        ...

    def lease(self, run: str) -> Sequence[Finding]:
        """Who else than this run holds the cluster."""
        ...

    def clock(self) -> Sequence[Finding]:
        """How far this machine's time of day is from the cluster's, where that is too far."""
        ...

    def probes(self, active: Sequence[str]) -> Sequence[Finding]:
        """Why a probe's pod would not be made. `active`: the gates that ask for one."""
        ...

    def declared(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        """What the live objects that declare drivers and operands say against moving them with `changes`.

        Their upgrade policies and tolerations, which nodes they select, whether their operator took them, and
        whether the fields that name an image belong together.
        """
        ...

    def systems(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        """Why machines could not be asked to take the systems that `changes` name: the program here, and they."""
        ...

    def booting(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        """Who would boot the nodes that `changes` label: such a boot is nobody's who judges."""
        ...
