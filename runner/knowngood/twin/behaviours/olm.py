"""The Operator Lifecycle Manager (v0): its controllers, around the catalogs that the seed names."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.olm_catalogs import CatalogSources, Offered, Packages
from knowngood.twin.behaviours.olm_faults import OlmFaults
from knowngood.twin.behaviours.olm_marketplace import Marketplace
from knowngood.twin.behaviours.olm_plans import Plans
from knowngood.twin.behaviours.olm_subscriptions import Subscriptions
from knowngood.twin.behaviours.olm_versions import ServiceVersions


class Olm(Controller):
    """Two operators of one name: started together, left out together."""

    name = "olm"

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        offered = Offered(twin.seed.olm.catalogs if twin.seed.olm else {})
        self._subscriptions = Subscriptions(twin, offered)
        versions = ServiceVersions(twin)
        self._packages = Packages(twin, offered)
        sources = CatalogSources(twin, offered)
        self._parts: tuple[Controller, ...] = (
            *(sources, self._packages, self._subscriptions),
            *(Plans(twin), versions),
        )
        if twin.seed.cluster_version is not None:
            self._parts = (*self._parts, Marketplace(twin, offered))
        self._faults = OlmFaults(twin, offered, self._subscriptions, self._packages)

    async def start(self) -> None:
        """Start them all."""
        for part in self._parts:
            await part.start()
        self.twin.handlers |= self._faults.handlers()
