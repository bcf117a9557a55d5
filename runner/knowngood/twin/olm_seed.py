"""The part of a seed that says what the Operator Lifecycle Manager offers and has installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowngood.twin.values import Values


@dataclass(frozen=True, slots=True)
class SourceSeed:
    """A CatalogSource. place: the image or address of its catalog."""

    name: str
    namespace: str
    place: str


@dataclass(frozen=True, slots=True)
class InstalledSeed:
    """An operator that OLM installed before the story begins, by a Subscription that waits for approvals."""

    package: str
    namespace: str
    channel: str
    csv: str
    source: str
    sourceNamespace: str  # noqa: N815


@dataclass(frozen=True, slots=True)
class OlmSeed:
    """The Operator Lifecycle Manager: its catalogs by image or address, and what it installed already."""

    catalogs: Mapping[str, Sequence[Values]]
    sources: tuple[SourceSeed, ...] = ()
    installed: tuple[InstalledSeed, ...] = ()


@dataclass(frozen=True, slots=True)
class OlmV1Seed:
    """OLM v1: its ClusterCatalogs by name, each with its documents, and the namespace that serves them."""

    catalogs: Mapping[str, Sequence[Values]]
    namespace: str = "openshift-catalogd"
