"""What OLM's resolver decides for one namespace: one answer for all its Subscriptions together. Pure.

A Subscription whose operator is installed may only go on along its channel: neither a channel nor a startingCSV
set backwards leads anywhere. startingCSV counts only while nothing is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from knowngood.twin.behaviours.kube import Key, deleting, name_of
from knowngood.twin.behaviours.olm_catalog import Bundle, Catalog
from knowngood.twin.values import Object


class Unsatisfiable(Exception):
    """No set of bundles satisfies everything; the message is what OLM writes into the condition."""

    reason = "ConstraintsNotSatisfiable"


class Unavailable(Unsatisfiable):
    """A catalog does not answer: nothing is resolved in any namespace that refers to it."""

    reason = "ErrorPreventedResolution"


@dataclass(frozen=True, slots=True)
class Choice:
    """A bundle that a Subscription leads to. `replaces`: what it follows in the channel."""

    subscription: Object
    bundle: Bundle
    source: Key
    replaces: str

    @property
    def new(self) -> bool:
        """Whether the Subscription did not know it before."""
        known = (self.subscription.get("status") or {}).get("currentCSV")
        return bool(known != self.bundle.name)


def resolve(
    subscriptions: Sequence[Object], versions: Iterable[Object], catalogs: Mapping[Key, Catalog | str]
) -> list[Choice]:
    """What is to be installed, sorted by name: also what waits in another plan already.

    Unsatisfiable: one Subscription that can't be served holds up all of them. Where a catalog does not answer,
    its address stands in its place.
    """
    present = {name_of(csv): csv for csv in versions}
    unavailable(subscriptions, catalogs)
    found = []
    for sub in subscriptions:
        source = source_of(sub)
        catalog = catalogs.get(source)
        if not isinstance(catalog, Catalog):
            continue  # no such CatalogSource: its Subscription waits alone
        choice = _choose(sub, catalog, source, present)
        if choice is not None:
            found.append(choice)
    _check_orphans(subscriptions, present, found)
    return sorted(found, key=lambda choice: choice.bundle.name)


def unavailable(subscriptions: Iterable[Object], catalogs: Mapping[Key, Catalog | str]) -> None:
    """Raise Unavailable if a catalog that somebody refers to does not answer."""
    for space, name in sorted({source_of(sub) for sub in subscriptions}):
        place = catalogs.get((space, name))
        if isinstance(place, str):
            dialing = f"transport: Error while dialing: dial tcp {place}: connect: connection refused"
            why = f'rpc error: code = Unavailable desc = connection error: desc = "{dialing}"'
            raise Unavailable(f"error using catalogsource {space}/{name}: failed to list bundles: {why}")


def source_of(sub: Object) -> Key:
    """Namespace and name of the CatalogSource that a Subscription names."""
    return sub["spec"]["sourceNamespace"], sub["spec"]["source"]


def installed_by(sub: Object) -> str:
    """The ClusterServiceVersion that a Subscription believes installed."""
    return str((sub.get("status") or {}).get("installedCSV") or "")


def _choose(sub: Object, catalog: Catalog, source: Key, present: Mapping[str, Object]) -> Choice | None:
    spec = sub["spec"]
    package, channel = spec["name"], spec.get("channel") or catalog.default_channel(spec["name"])
    installed = present.get(installed_by(sub))
    if installed is not None:
        version = str(installed["spec"].get("version", ""))
        entry = catalog.successor(package, channel, name_of(installed), version)
        if entry is None:
            return None
        return Choice(sub, catalog.bundles[entry.name], source, name_of(installed))
    name = _first(sub, catalog, package, channel)
    entry = catalog.entry(package, channel, name)
    return Choice(sub, catalog.bundles[name], source, entry.replaces if entry else "")


def _first(sub: Object, catalog: Catalog, package: str, channel: str) -> str:
    """Where a Subscription begins: at its startingCSV, else at the head of its channel."""
    tail = f"in the catalog referenced by subscription {name_of(sub)}, subscription {name_of(sub)} exists"
    if package not in catalog.packages():
        raise Unsatisfiable(f"constraints not satisfiable: no operators found from package {package} {tail}")
    names = catalog.names(package, channel)
    if not names:
        raise Unsatisfiable(
            f"constraints not satisfiable: no operators found in channel {channel} of package {package} {tail}"
        )
    starting = sub["spec"].get("startingCSV")
    if starting and starting not in names:
        raise Unsatisfiable(
            f"constraints not satisfiable: no operators found with name {starting} in channel {channel} "
            f"of package {package} {tail}"
        )
    return starting or names[0]


def _check_orphans(
    subscriptions: Iterable[Object], present: Mapping[str, Object], choices: Iterable[Choice]
) -> None:
    """A ClusterServiceVersion that no Subscription owns can't be replaced: it blocks its whole namespace."""
    claimed = {installed_by(sub) for sub in subscriptions}
    followed = {str(csv["spec"].get("replaces", "")) for csv in present.values()}
    for name, csv in present.items():
        leaving = deleting(csv) or (csv.get("status") or {}).get("phase") in {"Replacing", "Deleting"}
        if name in claimed or (leaving and name in followed):
            continue
        for choice in choices:
            shared = _provides(csv) & {kind for _, kind in choice.bundle.provides}
            if shared or name.split(".")[0] == choice.bundle.package:
                raise Unsatisfiable(
                    f"constraints not satisfiable: clusterserviceversion {name} exists and is not referenced by a "
                    f"subscription, subscription {name_of(choice.subscription)} exists, "
                    f"subscription {name_of(choice.subscription)} requires {choice.bundle.name}"
                )


def _provides(csv: Object) -> set[str]:
    owned = (csv["spec"].get("customresourcedefinitions") or {}).get("owned") or ()
    return {entry["kind"] for entry in owned}
