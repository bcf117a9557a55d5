"""What goes wrong around OLM when somebody says so: a catalog that moves, a neighbour's version, an orphan.

The other faults change what a controller does and are asked for there.
"""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.twin.behaviours.context import FaultHandler, Twin
from knowngood.twin.behaviours.kube import name_of, namespace_of, stamp
from knowngood.twin.behaviours.olm_catalog import Catalog, next_patch
from knowngood.twin.behaviours.olm_catalogs import Offered, Packages
from knowngood.twin.behaviours.olm_objects import API, CATALOG, SUBSCRIPTION
from knowngood.twin.behaviours.olm_resolver import source_of
from knowngood.twin.behaviours.olm_subscriptions import Subscriptions
from knowngood.twin.faults import Fault
from knowngood.twin.values import Object

NEIGHBOUR = "neighbour-operator"
FORGOTTEN = ("installedCSV", "currentCSV", "state", "installPlanRef", "installplan", "installPlanGeneration")


class OlmFaults:
    """Each does once what its fault says, to the Subscription of `package`, or to the first there is."""

    def __init__(
        self, twin: Twin, offered: Offered, subscriptions: Subscriptions, packages: Packages
    ) -> None:
        self._twin = twin
        self._offered = offered
        self._subscriptions = subscriptions
        self._packages = packages

    def handlers(self) -> Mapping[str, FaultHandler]:
        """By the fault's name."""
        return {
            "olm-catalog-moves": self._catalog_moves,
            "olm-plan-carries-more": self._carries_more,
            "olm-orphan-csv": self._orphan,
        }

    def _subscription(self, fault: Fault) -> Object | None:
        package = fault.param("package")
        for sub in self._twin.cache.all(SUBSCRIPTION):
            if package in {"", sub["spec"]["name"]}:
                return sub
        return None

    def _catalog(self, sub: Object) -> Catalog | None:
        space, name = source_of(sub)
        source = self._twin.cache.get(CATALOG, name, space)
        return self._offered.of(source) if source else None

    async def _catalog_moves(self, fault: Fault, _node: str) -> None:
        """A newer version appears at the head of the Subscription's channel."""
        sub = self._subscription(fault)
        catalog = self._catalog(sub) if sub else None
        if sub is None or catalog is None:
            return
        package = sub["spec"]["name"]
        channel = sub["spec"].get("channel") or catalog.default_channel(package)
        head = catalog.names(package, channel)[0]
        version = fault.param("to") or next_patch(catalog.bundles[head].version)
        catalog.add(_version(package, channel, version, head))
        self._twin.faults.hit(fault, package=package, version=version)
        self._packages.enqueue(source_of(sub))
        self._subscriptions.catalog_moved()

    async def _carries_more(self, fault: Fault, _node: str) -> None:
        """Somebody subscribes to another package in the same namespace: the next plan brings it along."""
        sub = self._subscription(fault)
        catalog = self._catalog(sub) if sub else None
        if sub is None or catalog is None:
            return
        space, source = source_of(sub)
        catalog.add(_version(NEIGHBOUR, "stable", "1.0.0"))
        spec = {
            "name": NEIGHBOUR,
            "channel": "stable",
            "source": source,
            "sourceNamespace": space,
            "installPlanApproval": "Manual",
        }
        metadata = {"name": NEIGHBOUR, "namespace": namespace_of(sub)}
        await self._twin.api.create(
            {"apiVersion": API, "kind": SUBSCRIPTION[1], "metadata": metadata, "spec": spec}
        )
        self._twin.faults.hit(fault, namespace=namespace_of(sub), package=NEIGHBOUR)

    async def _orphan(self, fault: Fault, _node: str) -> None:
        """The Subscription forgets what it installed, as one that was made anew beside a living version."""
        sub = self._subscription(fault)
        if sub is None:
            return
        self._twin.faults.hit(fault, subscription=name_of(sub))
        await self._twin.api.status(sub, {**dict.fromkeys(FORGOTTEN), "lastUpdated": stamp()})


def _version(package: str, channel: str, version: str, replaces: str = "") -> list[Object]:
    name = f"{package}.v{version}"
    entry = {"name": name, **({"replaces": replaces} if replaces else {})}
    value = {"packageName": package, "version": version}
    return [
        {"schema": "olm.channel", "package": package, "name": channel, "entries": [entry]},
        {
            "schema": "olm.bundle",
            "name": name,
            "package": package,
            "properties": [{"type": "olm.package", "value": value}],
        },
    ]
