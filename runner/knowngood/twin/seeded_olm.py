"""What stands at the start where OLM has installed operators: CatalogSources, OperatorGroups, Subscriptions. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.twin.behaviours import olm_v1_objects
from knowngood.twin.olm_seed import InstalledSeed
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object


def spaces(seed: Seed) -> list[str]:
    """The namespaces that OLM works in."""
    if not seed.olm:
        return []
    return [*(one.namespace for one in seed.olm.sources), *(one.namespace for one in seed.olm.installed)]


def installs(seed: Seed, package: str, namespace: str) -> bool:
    """Whether OLM installed an operator there whose package is called so, or begins so."""
    rows = seed.olm.installed if seed.olm else ()
    return any(one.package.startswith(package) and one.namespace == namespace for one in rows)


def objects(seed: Seed) -> Iterator[Object]:
    """Everything but what OLM makes itself."""
    if not seed.olm:
        return
    for source in seed.olm.sources:
        spec = {"sourceType": "grpc", "displayName": source.name}
        place = "address" if ":" in source.place and "/" not in source.place else "image"
        yield _made("CatalogSource", source.name, source.namespace, {**spec, place: source.place})
    for space in dict.fromkeys(one.namespace for one in seed.olm.installed):
        group = _made("OperatorGroup", space, space, {"targetNamespaces": [space]})
        yield {**group, "apiVersion": "operators.coreos.com/v1"}
    for one in seed.olm.installed:
        yield _subscription(one)


def catalogs(seed: Seed) -> Iterator[Object]:
    """The ClusterCatalogs of OLM v1, and the Service that serves their content."""
    if seed.olm_v1:
        yield olm_v1_objects.service(seed.olm_v1.namespace)
        for name in seed.olm_v1.catalogs:
            yield olm_v1_objects.catalog(name, seed.olm_v1.namespace)


def _subscription(one: InstalledSeed) -> Object:
    spec = {
        "name": one.package,
        "channel": one.channel,
        "source": one.source,
        "sourceNamespace": one.sourceNamespace,
        "startingCSV": one.csv,
        "installPlanApproval": "Manual",
    }
    return _made("Subscription", one.package, one.namespace, spec)


def _made(kind: str, name: str, namespace: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "operators.coreos.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
