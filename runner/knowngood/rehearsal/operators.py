"""Operators that OLM installed: their Subscriptions in Git, and the catalogs, sources and versions of the twin's seed.

A catalog holds what `matrix/edges` knows of an OpenShift minor: the cluster's own, and each that the cluster file has
an image of, to which the source goes once that is complete. Of a package whose catalog nobody published each holds the
version that is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowngood.model.errors import UsageError
from knowngood.model.graph import Bundle
from knowngood.model.matrix import Declaration
from knowngood.model.values import Object
from knowngood.planner.readiness.rights import RELEASE
from knowngood.rehearsal.at_rest import AtRest

SUBSCRIPTION, EXTENSION = "Subscription", "ClusterExtension"
SOURCE, SOURCE_NAMESPACE = "certified-operators", "openshift-marketplace"
CHANNEL, CSV = "spec.channel", "spec.startingCSV"


@dataclass(frozen=True, slots=True)
class Operator:
    """One package as it is installed; `channels` are its catalog's on the minor that is asked for."""

    package: str
    namespace: str
    version: str
    channel: str
    prefix: str  # of its ClusterServiceVersions' names; the version follows
    channels: Mapping[str, Sequence[Bundle]]

    @property
    def csv(self) -> str:
        """The ClusterServiceVersion that is installed."""
        return self.named(self.version)

    def named(self, version: str) -> str:
        """The ClusterServiceVersion of a version."""
        return f"{self.prefix}{version}"


def operators(rest: AtRest) -> tuple[Operator, ...]:
    """Each component that a Subscription declares and the release has."""
    return tuple(operator(rest, d) for d in rest.cluster.declarations if _is_installed(rest, d))


def _is_installed(rest: AtRest, declaration: Declaration) -> bool:
    return declaration.kind == SUBSCRIPTION and declaration.component in rest.release.components


def _index(minor: str) -> str:
    """Where the catalog of a minor is, as OpenShift's own sources tag it."""
    return f"mirror.example.com/index:v{minor}"


def operator(rest: AtRest, declaration: Declaration, later: str = "") -> Operator:
    """The operator that a Subscription declares. UsageError: the declaration or the catalogs lack it.

    `later`: with the catalog of that minor, which may not hold what is installed.
    """
    name, version = declaration.component, rest.release.components[declaration.component]
    by_extension = declaration.kind == EXTENSION
    if not declaration.object.namespace and not by_extension:
        raise UsageError(
            f"declare.{name}: a Subscription lives in a namespace",
            where=rest.cluster.where,
            hint="add object.namespace",
        )
    edges = rest.edges.get(name)
    package = (edges.package if edges else "") or declaration.object.name
    minor = later or minor_of(rest.release.components.get("openshift", ""))
    catalog = edges.catalogs.get(minor) if edges else None
    texts = rest.texts(declaration)
    channels: Mapping[str, Sequence[Bundle]] = catalog.channels if catalog else {}
    with_it = [c for c, rows in channels.items() if version in {row.version for row in rows}]
    if channels and not with_it and not later:
        raise UsageError(
            f"{package} {version} is in no channel of the catalog of OpenShift {minor}",
            where=rest.release.where,
            hint=f"see knowngood show edge {name}",
        )
    channel = texts.get(CHANNEL) or (with_it[-1] if with_it else "stable")
    csv = texts.get(CSV) if declaration.component in rest.movers else ""
    return Operator(
        package,
        declaration.object.namespace or package,
        version,
        channel,
        csv.removesuffix(version) if csv else f"{package}.v",
        channels or {channel: (Bundle(version),)},
    )


def minor_of(version: str) -> str:
    """4.20 of 4.20.33."""
    return ".".join(version.split(".")[:2])


def subscription(rest: AtRest, declaration: Declaration) -> Object:
    """The spec in Git: nothing moves without an approval."""
    found = operator(rest, declaration)
    return {
        "name": found.package,
        "channel": found.channel,
        "source": SOURCE,
        "sourceNamespace": SOURCE_NAMESPACE,
        "startingCSV": found.csv,
        "installPlanApproval": "Manual",
    }


def extension(rest: AtRest, declaration: Declaration) -> Object:
    """The spec in Git of one that OLM v1 installs: pinned, with the fields that give way for a way back."""
    found = operator(rest, declaration)
    catalog = {"packageName": found.package, "upgradeConstraintPolicy": "CatalogProvided"}
    return {
        "namespace": found.namespace,
        "source": {"sourceType": "Catalog", "catalog": catalog},
        "install": {"preflight": {"crdUpgradeSafety": {"enforcement": "Strict"}}},
    }


def olm_v1(rest: AtRest) -> Object:
    """The seed's part `olmV1`; empty where no ClusterExtension declares anything."""
    found = [
        operator(rest, d)
        for d in rest.cluster.declarations
        if d.kind == EXTENSION and d.component in rest.release.components
    ]
    documents = [document for one in found for document in _documents(one)]
    return {"catalogs": {SOURCE: documents}} if found else {}


def olm(rest: AtRest) -> Object:
    """The seed's part `olm`; empty where nothing was installed by it."""
    found = operators(rest)
    if not found:
        return {}
    here = minor_of(rest.release.components.get("openshift", ""))
    ahead = {minor_of(v) for d in rest.cluster.declarations if d.kind == RELEASE for v in d.images} - {here}
    catalogs = {here: found} | {
        minor: tuple(operator(rest, d, minor) for d in rest.cluster.declarations if _is_installed(rest, d))
        for minor in sorted(ahead)
    }
    return {
        "catalogs": {_index(m): [d for one in of for d in _documents(one)] for m, of in catalogs.items()},
        "sources": [{"name": SOURCE, "namespace": SOURCE_NAMESPACE, "place": _index(here)}],
        "installed": [
            {
                "package": one.package,
                "namespace": one.namespace,
                "channel": one.channel,
                "csv": one.csv,
                "source": SOURCE,
                "sourceNamespace": SOURCE_NAMESPACE,
            }
            for one in found
        ],
    }


def _documents(one: Operator) -> Iterator[Object]:
    """A package as `opm render` prints it."""
    yield {"schema": "olm.package", "name": one.package, "defaultChannel": one.channel}
    for name, rows in one.channels.items():
        entries = [_entry(one, row) for row in rows]
        yield {"schema": "olm.channel", "package": one.package, "name": name, "entries": entries}
    for version in sorted({row.version for rows in one.channels.values() for row in rows}):
        value = {"packageName": one.package, "version": version}
        yield {
            "schema": "olm.bundle",
            "name": one.named(version),
            "package": one.package,
            "properties": [{"type": "olm.package", "value": value}],
        }


def _entry(one: Operator, row: Bundle) -> Object:
    """A bundle's place in a channel."""
    said = {
        "replaces": one.named(row.replaces) if row.replaces else "",
        "skips": [one.named(version) for version in row.skips],
        "skipRange": row.skip_range,
    }
    return {"name": one.named(row.version), **{key: value for key, value in said.items() if value}}
