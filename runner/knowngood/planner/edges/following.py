"""Which version may follow which, by the published graph and by the vendor's step rule; and the risks on the way.

OLM's ranges are semantic versioning, whatever scheme the component has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from knowngood.model.graph import Bundle, Catalog, Edges, Risk, Steps
from knowngood.planner.edges.olm import line, targets
from knowngood.planner.expression import compiled
from knowngood.planner.ranges import parse_range
from knowngood.planner.version import Key, key

SEMVER = "openshift"
ARCHITECTURE = "+amd64"
"""Risks are declared for a version with its architecture."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What is known of one move.

    `kind` is where the target's edges come from: real, derived, or "" where nothing is known of them. The risks are
    those declared for this start and this target, whether or not the edge exists.
    """

    exists: bool
    kind: str = ""
    always: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()


def edge(edges: Edges, a: str, b: str) -> Edge:
    """The move from `a` to `b`, in any catalog; versions that are unknown have no edges."""
    met = risks(edges, a, b)
    kind = _kind(edges, b)
    return Edge(
        exists=published(edges, a, b) and allowed(edges.steps, a, b),
        kind=kind,
        always=tuple(r.name for r in met if r.always),
        conditional=tuple(r.name for r in met if not r.always),
    )


def moves(
    edges: Edges, scheme: str, a: str, *, openshift: str = "", catalog: Catalog | None = None
) -> tuple[str, ...]:
    """Every version that may follow `a` directly, oldest first.

    `catalog` is what a cluster really has; else the shipped one of the OpenShift minor (`4.18`, `4.18.52`); else
    any. A minor that has no catalog offers nothing. With a graph or a catalog no move goes back; without, every
    known version can follow every other, within the vendor's steps.
    """
    if edges.graph:
        found = {b for b, version in edges.versions.items() if a in version.previous}
    elif edges.catalogs or catalog is not None:
        found = _offered(edges, catalogs(edges, openshift, catalog), a)
    else:
        found = set(edges.versions) - {a}
    forward = edges.graph or edges.catalogs or catalog is not None
    start = place(scheme, a)
    keys = {b: place(scheme, b) for b in found if allowed(edges.steps, a, b)}
    return tuple(sorted((b for b in keys if not forward or keys[b] > start), key=lambda b: (keys[b], b)))


def risks(edges: Edges, a: str, b: str) -> tuple[Risk, ...]:
    """The risks declared for the move from `a` to `b`, by name."""
    return tuple(
        risk
        for name, risk in sorted(edges.risks.items())
        if b in risk.targets and compiled(risk.targets[b]).search(a + ARCHITECTURE)
    )


def published(edges: Edges, a: str, b: str) -> bool:
    """Whether the graph has the edge; in any catalog; for components without either: both versions are known."""
    if edges.graph:
        return b in edges.versions and a in edges.versions[b].previous
    if edges.catalogs:
        return b in _offered(edges, edges.catalogs.values(), a)
    return a in edges.versions and b in edges.versions


def allowed(steps: Steps | None, a: str, b: str) -> bool:
    """Whether the vendor supports the step; a version of no known major is in no supported step."""
    if steps is None:
        return True
    first, last = major(steps, a), major(steps, b)
    if first is None or last is None:
        return False
    return 0 <= steps.order.index(last) - steps.order.index(first) <= steps.at_most


def major(steps: Steps, version: str) -> str | None:
    """The vendor's major that a version belongs to; None where the rule does not know it."""
    return _major(steps.order, version)


@lru_cache(maxsize=4096)
def _major(order: tuple[str, ...], version: str) -> str | None:
    return next((m for m in order if version == m or version.startswith((f"{m}.", f"{m}-"))), None)


def catalogs(edges: Edges, openshift: str, given: Catalog | None) -> tuple[Catalog, ...]:
    """What OLM can resolve from: the given catalog, else the minor's, else (no minor is named) all."""
    if given is not None:
        return (given,)
    if not openshift:
        return tuple(edges.catalogs.values())
    minor = ".".join(openshift.split(".")[:2])
    return (edges.catalogs[minor],) if minor in edges.catalogs else ()


def follows(bundle: Bundle, a: str) -> bool:
    """Whether OLM updates `a` to the bundle: it is replaced, skipped or in the range."""
    if a == bundle.version:
        return False
    return bundle.replaces == a or a in bundle.skips or _in_range(bundle.skip_range, a)


def by_reinstall(
    edges: Edges, a: str, b: str, *, openshift: str = "", catalog: Catalog | None = None, channel: str = ""
) -> bool:
    """Whether the step is one that no catalog offers, but the vendor supports: remove the operator, install `b`.

    `channel`: the one that the Subscription will name. It may hold `b` without a way to it: what another channel offers
    is no update there.
    """
    found = catalogs(edges, openshift, catalog)
    if b in _reinstalls(edges, found, a):
        return True
    entries = {bundle for one in found for bundle in one.channels.get(channel, ()) if bundle.version == b}
    supported = edges.steps is not None and edges.steps.reinstall and allowed(edges.steps, a, b)
    updates = {
        bundle for one in found for bundle in line(one.channels.get(channel, ())) if bundle.version == b
    }
    return supported and bool(entries) and not any(follows(bundle, a) for bundle in updates)


def holds(found: Iterable[Catalog], version: str) -> bool:
    """Whether an operator may be installed at this version from one of these catalogs, be it skipped or not."""
    return any(bundle.version == version for bundle in _bundles(found))


def _offered(edges: Edges, found: Iterable[Catalog], a: str) -> set[str]:
    found = tuple(found)
    return _updates(found, a) | _reinstalls(edges, found, a)


def _updates(found: Iterable[Catalog], a: str) -> set[str]:
    return {b.version for b in targets(found) if follows(b, a)}


def _reinstalls(edges: Edges, found: Iterable[Catalog], a: str) -> set[str]:
    """Later versions one supported step away, where the vendor's rule says so and the catalogs update to none."""
    found = tuple(found)
    if edges.steps is None or not edges.steps.reinstall or a not in edges.versions or _updates(found, a):
        return set()
    later = set(list(edges.versions)[list(edges.versions).index(a) + 1 :])
    return {b.version for b in _bundles(found) if b.version in later and allowed(edges.steps, a, b.version)}


def _bundles(found: Iterable[Catalog]) -> set[Bundle]:
    """Every entry once: catalogs and channels repeat each other. An operator may be installed at any of them."""
    return {bundle for catalog in found for entries in catalog.channels.values() for bundle in entries}


def _kind(edges: Edges, b: str) -> str:
    if edges.graph:
        version = edges.versions.get(b)
        return version.provenance.value if version and version.previous else ""
    return "real" if any(bundle.version == b for bundle in _bundles(edges.catalogs.values())) else ""


@lru_cache(maxsize=65536)
def _in_range(text: str, version: str) -> bool:
    if not text:
        return False
    try:
        return parse_range(SEMVER, text).contains(version)
    except ValueError:  # a version that is no semantic one lies in no OLM range
        return False


@lru_cache(maxsize=65536)
def place(scheme: str, version: str) -> Key:
    """The version's sort key, remembered: a search asks for the same ones again and again."""
    return key(scheme, version)
