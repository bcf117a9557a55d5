"""The nodes' baseboard management controllers, read only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from knowngood.model.bmcs import BmcState


class BmcReader(Protocol):
    """Reads BMCs."""

    def look(self, nodes: Sequence[str]) -> Mapping[str, BmcState]:
        """What each node's BMC tells now; nothing where the cluster file names none.

        UsageError where the credentials are not to be had.
        """
        ...
