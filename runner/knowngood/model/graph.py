"""How a component may move from version to version: what is published, what its vendor supports, what is risky.

Edges are facts of the outside world, kept in `matrix/edges/<component>/`. Two graphs can speak about one component
(an OLM catalog and the vendor's step rule); a move must be allowed by both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from knowngood.model.errors import Location
from knowngood.model.source import Source


class Provenance(StrEnum):
    """Where a published version's edges come from."""

    REAL = "real"  # the release's own metadata, or a catalog
    DERIVED = "derived"  # the vendor's build rule, applied by us


@dataclass(frozen=True, slots=True)
class Version:
    """One published version; `previous` are the versions that may update directly to it.

    `released` is YYYY-MM-DD or "" where it is unknown; `note` says what a person should know of it. Nothing is
    known of the edges to a version whose `previous` is empty, whatever `provenance` says. `promoted` maps a kind of
    channel (candidate, fast, stable, eus) to the day when the version came into it.
    """

    version: str
    released: str = ""
    previous: frozenset[str] = frozenset()
    provenance: Provenance = Provenance.REAL
    note: str = ""
    promoted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Risk:
    """A declared risk on edges of a graph. `always`: it holds for every cluster, so the edge is never recommended.

    `targets` maps a version to the expression that is searched (not anchored) in "<from>+amd64": who comes from
    there meets the risk. `declared` maps a version to the day when its declaration was published (YYYY-MM-DD).
    """

    name: str
    always: bool
    gist: str
    url: str
    gpu: str  # what it means for a bare-metal GPU cluster: high, medium, low, none
    targets: Mapping[str, str]
    sources: tuple[Source, ...]
    where: Location
    fixed_in: tuple[str, ...] = ()
    declared: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bundle:
    """One entry of a catalog's channel. A version updates to it if it is replaced, skipped or in the range."""

    version: str
    replaces: str = ""
    skips: tuple[str, ...] = ()
    skip_range: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What OLM resolves from on one OpenShift minor (`4.18`): channel -> its entries."""

    openshift: str
    default_channel: str
    channels: Mapping[str, tuple[Bundle, ...]]
    sources: tuple[Source, ...]
    where: Location


@dataclass(frozen=True, slots=True)
class Steps:
    """A vendor's step rule: majors in order; a move stays within one or goes to one of the next `at_most`.

    `reinstall`: the vendor supports steps that no catalog offers; they are made by removing the operator and
    installing the next one.
    """

    order: tuple[str, ...]  # "24.6", "24.9", ...: the beginnings of versions
    at_most: int
    message: str
    sources: tuple[Source, ...]
    where: Location
    reinstall: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    """A vendor's branch of versions and its life: `590.x`, kind, end of life as YYYY-MM-DD ("" unknown)."""

    range: str
    kind: str
    end: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Edges:
    """All that is known of one component's versions and moves.

    `versions` are all known ones, oldest first. `graph` is True where `previous` decides which moves exist
    (OpenShift); else catalogs decide where there are any; else every known version can follow every other.
    `channels` are OpenShift's: `stable-4.18` -> the versions that a cluster in it may be on or go to.
    `package` is what its catalogs call it, "" where there are none.
    """

    component: str
    versions: Mapping[str, Version] = field(default_factory=dict)
    graph: bool = False
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    catalogs: Mapping[str, Catalog] = field(default_factory=dict)
    steps: Steps | None = None
    risks: Mapping[str, Risk] = field(default_factory=dict)
    branches: tuple[Branch, ...] = ()
    package: str = ""
    sources: tuple[Source, ...] = ()
