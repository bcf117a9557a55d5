"""CatalogSources: which catalog answers at which address, and what their status says of the connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowngood.twin.behaviours import olm_packages as objects
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import Key, deleting, key_of, name_of, stamp
from knowngood.twin.behaviours.olm_catalog import Catalog, Document
from knowngood.twin.behaviours.olm_objects import CATALOG
from knowngood.twin.behaviours.olm_packages import PACKAGE
from knowngood.twin.values import Object


class Offered:
    """The catalogs of this cluster, by the image or address under which a CatalogSource finds them."""

    def __init__(self, documents: Mapping[str, Sequence[Document]]) -> None:
        self.catalogs = {place: Catalog(rows) for place, rows in documents.items()}

    def of(self, source: Object) -> Catalog | None:
        """What a CatalogSource leads to; None where nothing answers."""
        return self.catalogs.get(place_of(source))


def place_of(source: Object) -> str:
    """The address of a CatalogSource, else its image."""
    return str(source["spec"].get("address") or source["spec"].get("image") or "")


class Packages(Controller):
    """What a catalog offers, as PackageManifests in its namespace; none while it does not answer."""

    name = "olm-packages"
    watches = (CATALOG, PACKAGE)

    def __init__(self, twin: Twin, offered: Offered) -> None:
        super().__init__(twin)
        self._offered = offered

    def listen(self) -> None:
        """A CatalogSource is new or points elsewhere."""
        self.every(CATALOG, key_of)

    async def reconcile(self, key: Key) -> None:
        """Create, change and delete until they say what the catalog says."""
        source = self.cache.get(CATALOG, key[1], key[0])
        catalog = self._offered.of(source) if source and not deleting(source) else None
        wanted = {name: objects.package(catalog, name, key) for name in catalog.packages()} if catalog else {}
        for live in self.cache.all(PACKAGE, key[0]):
            if live["status"].get("catalogSource") == key[1] and name_of(live) not in wanted:
                await self.api.delete(live)
        for name, made in wanted.items():
            known = self.cache.get(PACKAGE, name, key[0])
            if known is None:
                await self.api.create(made)
            elif known["status"] != made["status"]:
                await self.api.patch(known, {"status": made["status"]})


class CatalogSources(Controller):
    """Writes how the connection stands."""

    name = "olm-catalog-sources"
    watches = (CATALOG,)

    def __init__(self, twin: Twin, offered: Offered) -> None:
        super().__init__(twin)
        self._offered = offered

    def listen(self) -> None:
        """A CatalogSource is new or points elsewhere."""
        self.every(CATALOG, key_of)

    async def reconcile(self, key: Key) -> None:
        """First what serves it, then IDLE, then whether it answers: each a write of its own."""
        source = self.cache.get(CATALOG, key[1], key[0])
        if source is None or deleting(source):
            return
        status = source.get("status") or {}
        if "registryService" not in status:
            await self.api.status(source, {"registryService": {"createdAt": stamp(), "protocol": "grpc"}})
            return
        connection = status.get("connectionState") or {}
        state = "READY" if self._offered.of(source) else "TRANSIENT_FAILURE"
        if connection.get("address") != place_of(source):
            state = "IDLE"
        if connection.get("lastObservedState") != state:
            now = {"address": place_of(source), "lastConnect": stamp(), "lastObservedState": state}
            await self.api.status(source, {"connectionState": now})
