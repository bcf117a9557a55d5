"""The BMCs that a cluster file names, as ports.bmcs.BmcReader: many are asked at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from knowngood.adapters.cluster import bmc_update
from knowngood.adapters.cluster.redfish import WORKERS, Bmc, user_of
from knowngood.model.bmcs import Bmcs, BmcState
from knowngood.model.errors import Unreachable
from knowngood.model.finding import Finding
from knowngood.ports.bmcs import BmcReader


class RedfishReader(BmcReader):
    """Asks them by Redfish; nothing is changed there."""

    def __init__(self, at: Bmcs) -> None:
        self._at = at

    def look(self, nodes: Sequence[str]) -> Mapping[str, BmcState]:
        """See the port."""
        if not self._at.at or not nodes:
            return {}
        user = user_of(self._at)
        with ThreadPoolExecutor(max_workers=min(len(nodes), WORKERS)) as pool:
            found = pool.map(partial(_look, self._at, user), nodes)
            return dict(zip(nodes, found, strict=True))

    def ready(self, nodes: Sequence[str], versions: Mapping[str, Sequence[str]]) -> Sequence[Finding]:
        """See the port."""
        return bmc_update.ready(self._at, nodes, versions)


def _look(at: Bmcs, user: str, node: str) -> BmcState:
    """One BMC."""
    try:
        return Bmc(at.of_node(node), user, at.ca).state()
    except Unreachable as error:
        return BmcState(trouble=str(error))
