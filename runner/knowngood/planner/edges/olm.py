"""What OLM's resolver sees of a channel: the line of `replaces` back from its only head, and nothing beside it.

A bundle that another entry of the channel skips or replaces is no head; from the head the resolver follows `replaces`
alone, so that a skipped bundle is neither a target nor a way through. Several heads, or none, make it refuse the whole
channel (operator-framework/operator-lifecycle-manager pkg/controller/registry/resolver/resolver.go, sortChannel; seen
in operator-framework/olm-docs issue 243).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from knowngood.model.graph import Bundle, Catalog

Entries = tuple[Bundle, ...]


def heads(entries: Entries) -> tuple[str, ...]:
    """The versions that no other entry of the channel replaces or skips, as the channel has them."""
    behind = {bundle.replaces for bundle in entries} | {v for bundle in entries for v in bundle.skips}
    return tuple(bundle.version for bundle in entries if bundle.version not in behind)


@lru_cache(maxsize=4096)
def line(entries: Entries) -> Entries:
    """The entries that OLM updates to, newest first; none where the channel has not exactly one head."""
    found: list[Bundle] = []
    by_version = {bundle.version: bundle for bundle in entries}
    following = heads(entries)
    current = by_version[following[0]] if len(following) == 1 else None
    while current is not None and current not in found:
        found.append(current)
        current = by_version.get(current.replaces)
    return tuple(found)


def targets(catalogs: Iterable[Catalog]) -> set[Bundle]:
    """What a Subscription can be updated to: the lines of all channels."""
    return {bundle for one in catalogs for entries in one.channels.values() for bundle in line(entries)}


def skipped_for(catalogs: Iterable[Catalog], version: str) -> str:
    """The version that OLM goes to instead of a skipped one; "" where it is on a channel's line, or in none."""
    catalogs = tuple(catalogs)
    if any(bundle.version == version for bundle in targets(catalogs)):
        return ""
    return next((b.version for b in targets(catalogs) if version in b.skips), "")


def unresolved(catalogs: Iterable[Catalog]) -> Iterator[str]:
    """The channels that the resolver refuses, each with why."""
    for one in catalogs:
        for name, entries in one.channels.items():
            found = heads(entries)
            if entries and len(found) != 1:
                has = f"has several heads ({', '.join(found)})" if found else "has no head"
                yield f"channel {name} of {one.openshift} {has}"
