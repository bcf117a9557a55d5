"""OLM's file-based catalogs: blobs `olm.package`, `olm.channel` and `olm.bundle` in YAML documents or a JSON stream.

`opm render` prints one, a mirrored image and the certified operators' repository hold one. A catalog is somebody
else's and large (some hold whole manifests): it is read blob by blob, within limits, and only the blobs of the package
that is asked for are looked at. What is wrong in one of these is refused with its file: an edge that is missing without
a word would be an update that is not offered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from knowngood.matrix.reading import display
from knowngood.model.errors import Location, UsageError
from knowngood.model.graph import Bundle, Catalog
from knowngood.model.values import Object
from knowngood.planner.edges.following import SEMVER
from knowngood.planner.ranges import parse_range, without_v

MAX_BYTES = 128 * 1024 * 1024
SUFFIXES = (".yaml", ".yml", ".json")
_MINOR = re.compile(r"v?([0-9]{1,3}[.][0-9]{1,3})", re.ASCII)
_VERSION = re.compile(r"[.]v?([0-9][0-9A-Za-z.+-]*)$", re.ASCII)
_TEXT = re.compile(r"[0-9A-Za-z.+_-]{1,64}", re.ASCII)
_HINT = "give the catalog.yaml or catalog.json of one package, or the folder that holds it"

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """PyYAML's safe loader without merge keys, by which a small file can grow without end."""

    def flatten_mapping(self, node: Any) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "merge keys are not allowed here", node.start_mark
            )


def catalog(path: Path, package: str) -> Catalog:
    """The package's catalog in a file or a folder. `openshift` is left empty: a file can't tell. UsageError."""
    return _package(_files(path), path, package, "")


def checkout(source: Path, package: str, openshift: str = "") -> dict[str, Catalog]:
    """The package's catalogs by OpenShift minor.

    `source` is a checkout with catalogs/v<minor>/<package>/catalog.yaml (or .json), or one catalog file, whose minor
    `openshift` names. UsageError says what is missing or wrong.
    """
    if source.is_file():
        minor = _MINOR.fullmatch(openshift)
        if minor is None:
            raise UsageError(
                "which OpenShift minor is this catalog of?", where=display(source), hint="--openshift 4.18"
            )
        return {minor[1]: _package([source], source, package, minor[1])}
    found: dict[str, Catalog] = {}
    for path in sorted(source.glob(f"catalogs/v*/{package}/catalog.*")):
        minor = _MINOR.fullmatch(path.parents[1].name)
        wanted = minor and openshift in ("", minor[1])
        if minor and wanted and path.suffix in SUFFIXES:
            found[minor[1]] = _package([path], path, package, minor[1])
    if not found:
        raise UsageError(
            f"there is no catalog of {package}",
            where=display(source),
            hint=f"a checkout holds catalogs/v4.18/{package}/catalog.yaml; or name one file and --openshift",
        )
    return found


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        if not found:
            raise UsageError("there is no catalog in this folder", where=display(path), hint=_HINT)
        return found
    if not path.is_file():
        raise UsageError("there is no such catalog", where=display(path), hint=_HINT)
    return [path]


def _package(files: Iterable[Path], path: Path, package: str, openshift: str) -> Catalog:
    gathered = _Gathered(package)
    for file in files:
        where = Location(display(file))
        for blob in _blobs(file, where):
            gathered.take(blob, where)
    return gathered.catalog(openshift, Location(display(path)))


@dataclass(slots=True)
class _Gathered:
    """What the blobs say of one package."""

    package: str
    default: str = ""
    others: set[str] = field(default_factory=set)
    channels: dict[str, list[Any]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def take(self, blob: Object, where: Location) -> None:
        """Keep what one blob says of the package."""
        schema, name = blob.get("schema"), blob.get("name")
        if schema == "olm.package":
            if name != self.package:
                self.others.add(str(name)[:60])
                return
            self._once(bool(self.default), "package", self.package, where)
            self.default = _text(blob.get("defaultChannel"), "defaultChannel", where)
        elif blob.get("package") != self.package:
            return
        elif schema == "olm.channel":
            channel = _text(name, "a channel's name", where)
            self._once(channel in self.channels, "channel", channel, where)
            self.channels[channel] = _list(blob.get("entries"), "entries", where)
        elif schema == "olm.bundle":
            bundle = _text(name, "a bundle's name", where, 200)
            self._once(bundle in self.versions, "bundle", bundle, where)
            self.versions[bundle] = _of_bundle(blob, bundle, where)

    def catalog(self, openshift: str, where: Location) -> Catalog:
        """All of it; UsageError where the package is not there, or has no channel."""
        if not self.default:
            there = ", ".join(sorted(self.others)[:5]) or "none"
            raise UsageError(f"no package {self.package}; there are {there}", where=where, hint=_HINT)
        if not self.channels:
            raise UsageError(f"package {self.package} has no channels", where=where, hint=_HINT)
        channels = {
            name: tuple(self._entry(entry, where) for entry in entries)
            for name, entries in self.channels.items()
        }
        return Catalog(openshift, self.default, channels, (), where)

    def _entry(self, entry: Any, where: Location) -> Bundle:
        if not isinstance(entry, dict):
            raise UsageError("a channel's entry must hold keys and values", where=where, hint=_HINT)
        skip_range = without_v(str(entry.get("skipRange") or ""))
        try:
            if skip_range:
                parse_range(SEMVER, skip_range)
        except ValueError as error:
            hint = "OLM's ranges: `>=1.2.0 <1.4.0`"
            raise UsageError(f"skipRange: {error}", where=where, hint=hint) from None
        replaces = entry.get("replaces")
        return Bundle(
            self._version(entry.get("name"), where),
            self._version(replaces, where) if replaces else "",
            tuple(self._version(s, where) for s in _list(entry.get("skips") or [], "skips", where)),
            skip_range,
        )

    def _version(self, name: Any, where: Location) -> str:
        text = _text(name, "a bundle's name", where, 200)
        return self.versions.get(text) or _from_name(text, where)

    @staticmethod
    def _once(again: bool, kind: str, name: str, where: Location) -> None:
        """Which of two would OLM take? That is not for us to guess."""
        if again:
            hint = "render it again with opm, or name the one file that counts"
            raise UsageError(f"the {kind} {name} stands twice", where=where, hint=hint)


def _of_bundle(blob: Object, name: str, where: Location) -> str:
    """The version in the bundle's own properties, else the one in its name."""
    properties = blob.get("properties")
    for each in properties if isinstance(properties, list) else ():
        value = each.get("value") if isinstance(each, dict) and each.get("type") == "olm.package" else None
        if isinstance(value, dict) and value.get("version"):
            return _text(value["version"], "a bundle's version", where)
    return _from_name(name, where)


def _from_name(name: str, where: Location) -> str:
    """`26.7.0` of `gpu-operator-certified.v26.7.0`: what follows the package's name."""
    head, dot, tail = name.partition(".")
    found = _VERSION.fullmatch(dot + tail)
    if found is None:
        raise UsageError(f"the bundle {head}{dot}{tail[:60]} names no version", where=where, hint=_HINT)
    return found[1]


def _blobs(path: Path, where: Location) -> Iterator[Object]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"larger than {MAX_BYTES >> 20} MiB", where=where, hint=_HINT)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError("not UTF-8 text", where=where, hint=_HINT) from None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=where, hint="check its rights") from None
    json_stream = text.lstrip()[:1] in ("{", "[")
    blobs: Iterable[Any] = _json(text, where) if json_stream else _yaml(text, where)
    for blob in blobs:
        if not isinstance(blob, dict):
            raise UsageError("a blob must hold keys and values", where=where, hint=_HINT)
        yield blob


def _json(text: str, where: Location) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        try:
            blob, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            at = Location(where.file, text.count("\n", 0, place) + 1)
            said = getattr(error, "msg", None) or "nested too deep"
            raise UsageError(
                f"not valid JSON in the blob that begins here: {said}", where=at, hint=_HINT
            ) from None
        yield blob


def _yaml(text: str, where: Location) -> Iterator[Any]:
    try:
        yield from (blob for blob in yaml.load_all(text, Loader=_Loader) if blob is not None)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = Location(where.file, mark.line + 1) if mark else where
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"not valid YAML: {problem}", where=at, hint=_HINT) from None


def _text(found: Any, what: str, where: Location, limit: int = 100) -> str:
    if not isinstance(found, str) or not 0 < len(found) <= limit or not _TEXT.fullmatch(found[:64]):
        raise UsageError(f"{what} is {str(found)[:60]!r}, not a name", where=where, hint=_HINT)
    return found


def _list(found: Any, what: str, where: Location) -> list[Any]:
    if not isinstance(found, list):
        raise UsageError(f"{what} must be a list", where=where, hint=_HINT)
    return found
