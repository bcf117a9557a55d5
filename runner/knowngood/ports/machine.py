"""The machine that a run is driven from: what it must have. Nothing here changes anything but a file that is tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from knowngood.model.finding import Finding


class Machine(Protocol):
    """Each answer is empty where all is well."""

    def tools(self) -> Sequence[Finding]:
        """Programs that a run calls and that are not here."""
        ...

    def room(self) -> Sequence[Finding]:
        """Why the run's folder would not hold its journal: no right to write there, or no space."""
        ...
