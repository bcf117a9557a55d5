"""PackageManifests: what clients read to learn which versions a catalog still offers. Pure."""

from __future__ import annotations

from knowngood.twin.behaviours.kube import Key, Kind
from knowngood.twin.behaviours.olm_catalog import Catalog
from knowngood.twin.values import Object

PACKAGE: Kind = ("packages.operators.coreos.com/v1", "PackageManifest")


def package(catalog: Catalog, name: str, source: Key) -> Object:
    """A package's manifest, in the namespace of its CatalogSource."""
    channels = [_channel(catalog, name, channel) for channel in catalog.channels(name)]
    return {
        "apiVersion": PACKAGE[0],
        "kind": PACKAGE[1],
        "metadata": {"name": name, "namespace": source[0], "labels": {"catalog": source[1]}},
        "spec": {},
        "status": {
            "catalogSource": source[1],
            "catalogSourceNamespace": source[0],
            "packageName": name,
            "defaultChannel": catalog.default_channel(name),
            "channels": channels,
        },
    }


def _channel(catalog: Catalog, package: str, channel: str) -> Object:
    names = catalog.names(package, channel)
    entries = [
        {"name": one, "version": catalog.bundles[one].version} for one in names if one in catalog.bundles
    ]
    return {"name": channel, "currentCSV": names[0], "entries": entries}
