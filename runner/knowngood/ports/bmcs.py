"""The nodes' baseboard management controllers, as they are asked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from knowngood.model.bmcs import BmcState
from knowngood.model.finding import Finding


class BmcReader(Protocol):
    """Reads BMCs."""

    def look(self, nodes: Sequence[str]) -> Mapping[str, BmcState]:
        """What each node's BMC tells now; nothing where the cluster file names none.

        UsageError where the credentials are not to be had.
        """
        ...

    def ready(self, nodes: Sequence[str], versions: Mapping[str, Sequence[str]]) -> Sequence[Finding]:
        """Why these nodes' BMCs could not flash these versions of each component, or not flash them back.

        UsageError as `look`.
        """
        ...
