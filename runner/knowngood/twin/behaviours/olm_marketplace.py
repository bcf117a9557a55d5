"""The marketplace operator: a source whose index is tagged by OpenShift's minor follows it to the next one.

As the default sources of OpenShift do (`certified-operator-index:v4.20`), once a release is complete. A place that the
seed's catalogs lack is not gone to: a mirror that does not hold the next index keeps the one that it has.
"""

from __future__ import annotations

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.cvo_payloads import CLUSTER_VERSION, minor
from knowngood.twin.behaviours.kube import Key, deleting, key_of
from knowngood.twin.behaviours.olm_catalogs import Offered, place_of
from knowngood.twin.behaviours.olm_objects import CATALOG


class Marketplace(Controller):
    """Points sources at the index of the minor that is complete."""

    name = "olm-marketplace"
    watches = (CATALOG, CLUSTER_VERSION)

    def __init__(self, twin: Twin, offered: Offered) -> None:
        super().__init__(twin)
        self._offered = offered

    def listen(self) -> None:
        """A release is complete, or a source is new."""
        self.every(CATALOG, key_of)
        self.cache.listen(CLUSTER_VERSION, lambda _event, _version: self._all())

    def _all(self) -> None:
        for source in self.cache.all(CATALOG):
            self.enqueue(key_of(source))

    async def reconcile(self, key: Key) -> None:
        """One source: its image's tag, where it is a minor's and not the cluster's."""
        source = self.cache.get(CATALOG, key[1], key[0])
        now = self._minor()
        if source is None or deleting(source) or not now or source["spec"].get("address"):
            return
        index, _, tag = place_of(source).rpartition(":v")
        wanted = f"{index}:v{now}"
        tagged = index and ".".join(map(str, minor(tag))) == tag
        if tagged and tag != now and wanted in self._offered.catalogs:
            await self.api.patch(source, {"spec": {"image": wanted}})

    def _minor(self) -> str:
        """The minor of the newest release that is complete, "" where none is on record."""
        version = self.cache.get(CLUSTER_VERSION, "version", "")
        history = ((version or {}).get("status") or {}).get("history") or ()
        done = next((one["version"] for one in history if one.get("state") == "Completed"), "")
        return ".".join(map(str, minor(done)))
