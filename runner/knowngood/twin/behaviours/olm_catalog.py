"""A file-based catalog: packages, channels with their update graph, bundles with their manifests. Pure.

Documents are those that `opm render` prints: olm.package, olm.channel, olm.bundle. A bundle's manifests are its
properties `olm.bundle.object`; one without any gets a ClusterServiceVersion with one Deployment.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from knowngood.twin.behaviours import olm_objects as objects
from knowngood.twin.values import Object

Document = Mapping[str, Any]
Api = tuple[str, str]
"""A group and a kind."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_LIMIT = re.compile(r"(>=|<=|>|<|=)?\s*(v?\d+\.\d+\.\d+\S*)")
_MANIFEST, _API, _PACKAGE = "olm.bundle.object", "olm.gvk", "olm.package"


@dataclass(frozen=True, slots=True)
class Bundle:
    """One version of an operator: its manifests, and which kinds it brings."""

    name: str
    package: str
    version: str
    image: str
    manifests: tuple[Object, ...]
    provides: frozenset[Api]

    @property
    def service_version(self) -> Object:
        """Its ClusterServiceVersion."""
        return next(m for m in self.manifests if m["kind"] == objects.SERVICE_VERSION[1])


@dataclass(frozen=True, slots=True)
class Entry:
    """A bundle's place in a channel."""

    name: str
    replaces: str = ""
    skips: tuple[str, ...] = ()
    skip_range: str = ""


class Catalog:
    """What one catalog offers. It only grows: a bundle that was offered once can still be read."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._channels: dict[tuple[str, str], dict[str, Entry]] = {}
        self._defaults: dict[str, str] = {}
        self.bundles: dict[str, Bundle] = {}
        self.add(documents)

    def add(self, documents: Iterable[Document]) -> None:
        """Take documents in; a channel that is there already gains entries."""
        for row in documents:
            match row["schema"]:
                case "olm.package":
                    self._defaults[row["name"]] = row.get("defaultChannel", "")
                case "olm.channel":
                    entries = self._channels.setdefault((row["package"], row["name"]), {})
                    entries |= {entry["name"]: _entry(entry) for entry in row["entries"]}
                case "olm.bundle":
                    self.bundles[row["name"]] = _bundle(row)

    def packages(self) -> list[str]:
        """The names of all packages."""
        return sorted({package for package, _ in self._channels})

    def channels(self, package: str) -> list[str]:
        """The names of a package's channels."""
        return sorted(channel for owner, channel in self._channels if owner == package)

    def default_channel(self, package: str) -> str:
        """The channel of a Subscription that names none."""
        return self._defaults.get(package) or next(iter(self.channels(package)), "")

    def names(self, package: str, channel: str) -> list[str]:
        """A channel's bundles, the newest first."""
        return [entry.name for entry in self._newest_first(package, channel)]

    def entry(self, package: str, channel: str, name: str) -> Entry | None:
        """A bundle's place in a channel."""
        return self._channels.get((package, channel), {}).get(name)

    def successor(self, package: str, channel: str, installed: str, version: str) -> Entry | None:
        """The newest entry that may follow what is installed: it replaces it, skips it, or skips its range."""
        for entry in self._newest_first(package, channel):
            if entry.name != installed and (
                entry.replaces == installed
                or installed in entry.skips
                or (entry.skip_range and in_range(version, entry.skip_range))
            ):
                return entry
        return None

    def _newest_first(self, package: str, channel: str) -> Iterator[Entry]:
        entries = self._channels.get((package, channel), {})
        older = {name for entry in entries.values() for name in (entry.replaces, *entry.skips)}
        following = [name for name in entries if name not in older]
        seen: set[str] = set()
        while following:
            name = following.pop(0)
            if name in entries and name not in seen:
                seen.add(name)
                yield entries[name]
                following += [entries[name].replaces, *entries[name].skips]


def in_range(version: str, limits: str) -> bool:
    """Whether a version lies in a range like `>=25.3.0 <26.7.0`; alternatives stand between `||`."""
    return any(
        all(
            _holds(_parts(version), sign or "=", _parts(limit)) for sign, limit in _LIMIT.findall(alternative)
        )
        for alternative in limits.split("||")
    )


def next_patch(version: str) -> str:
    """The version after this one, by its last number."""
    major, minor, patch = _parts(version) or (0, 0, 0)
    return f"{major}.{minor}.{patch + 1}"


def _holds(version: tuple[int, ...], sign: str, limit: tuple[int, ...]) -> bool:
    match sign:
        case ">=":
            return version >= limit
        case "<=":
            return version <= limit
        case ">":
            return version > limit
        case "<":
            return version < limit
    return version == limit


def _parts(version: str) -> tuple[int, ...]:
    found = _VERSION.match(version)
    return tuple(int(part) for part in found.groups()) if found else ()


def _entry(row: Document) -> Entry:
    return Entry(row["name"], row.get("replaces", ""), tuple(row.get("skips", ())), row.get("skipRange", ""))


def _bundle(row: Document) -> Bundle:
    properties = [(entry["type"], entry["value"]) for entry in row.get("properties", ())]
    version = next((value["version"] for kind, value in properties if kind == _PACKAGE), "")
    found = [json.loads(base64.b64decode(value["data"])) for kind, value in properties if kind == _MANIFEST]
    if not any(manifest["kind"] == objects.SERVICE_VERSION[1] for manifest in found):
        found.append(objects.service_version(row["name"], row["package"], version, found))
    provides = {(value["group"], value["kind"]) for kind, value in properties if kind == _API}
    provides |= {
        (manifest["spec"]["group"], manifest["spec"]["names"]["kind"])
        for manifest in found
        if manifest["kind"] == objects.DEFINITION[1]
    }
    return Bundle(
        row["name"], row["package"], version, row.get("image", ""), tuple(found), frozenset(provides)
    )
