"""OLM's file-based catalogs: blobs `olm.package`, `olm.channel` and `olm.bundle` in YAML documents or a JSON stream.

A catalog is somebody else's and large (some hold whole manifests): it is read blob by blob, within limits, and only the
blobs of the package that is asked for are looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from knowngood.matrix.reading import display
from knowngood.model.errors import Location, UsageError
from knowngood.model.graph import Bundle, Catalog
from knowngood.planner.edges.following import SEMVER
from knowngood.planner.ranges import parse_range, without_v

MAX_BYTES = 128 * 1024 * 1024
_MINOR = re.compile(r"v?([0-9]{1,3}[.][0-9]{1,3})", re.ASCII)
_VERSION = re.compile(r"[.]v?([0-9][0-9A-Za-z.+-]*)$", re.ASCII)
_TEXT = re.compile(r"[0-9A-Za-z.+_-]{1,64}", re.ASCII)

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """PyYAML's safe loader without merge keys, by which a small file can grow without end."""

    def flatten_mapping(self, node: Any) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "merge keys are not allowed here", node.start_mark
            )


def read(source: Path, package: str, openshift: str = "") -> dict[str, Catalog]:
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
        return {minor[1]: _catalog(source, package, minor[1])}
    found: dict[str, Catalog] = {}
    for path in sorted(source.glob(f"catalogs/v*/{package}/catalog.*")):
        minor = _MINOR.fullmatch(path.parents[1].name)
        wanted = minor and openshift in ("", minor[1])
        if minor and wanted and path.suffix in (".yaml", ".yml", ".json"):
            found[minor[1]] = _catalog(path, package, minor[1])
    if not found:
        raise UsageError(
            f"there is no catalog of {package}",
            where=display(source),
            hint=f"a checkout holds catalogs/v4.18/{package}/catalog.yaml; or name one file and --openshift",
        )
    return found


def _catalog(path: Path, package: str, openshift: str) -> Catalog:
    where = Location(display(path))
    default = ""
    channels: dict[str, list[Any]] = {}
    versions: dict[str, str] = {}
    for blob in _blobs(path, where):
        schema = blob.get("schema")
        if schema == "olm.package" and blob.get("name") == package:
            default = _text(blob.get("defaultChannel"), "defaultChannel", where)
        if blob.get("package") != package:
            continue
        if schema == "olm.channel":
            entries = blob.get("entries")
            channels[_text(blob.get("name"), "a channel's name", where)] = _list(entries, "entries", where)
        if schema == "olm.bundle":
            versions[_text(blob.get("name"), "a bundle's name", where, 200)] = _of_bundle(blob, where)
    if not default or not channels:
        missing = "olm.package blob" if not default else "olm.channel blob"
        raise UsageError(f"no {missing} of {package}", where=where, hint="is this its catalog?")
    return Catalog(
        openshift,
        default,
        {name: tuple(_entry(e, versions, where) for e in entries) for name, entries in channels.items()},
        (),
        where,
    )


def _entry(entry: Any, versions: dict[str, str], where: Location) -> Bundle:
    if not isinstance(entry, dict):
        raise UsageError("a channel's entry must hold keys and values", where=where, hint="see the catalog")

    def version(name: Any) -> str:
        text = _text(name, "a bundle's name", where, 200)
        return versions.get(text) or _from_name(text, where)

    skip_range = without_v(str(entry.get("skipRange") or ""))
    try:
        if skip_range:
            parse_range(SEMVER, skip_range)
    except ValueError as error:
        raise UsageError(f"skipRange: {error}", where=where, hint="OLM's ranges: `>=1.2.0 <1.4.0`") from None
    replaces = entry.get("replaces")
    return Bundle(
        version(entry.get("name")),
        version(replaces) if replaces else "",
        tuple(version(s) for s in _list(entry.get("skips") or [], "skips", where)),
        skip_range,
    )


def _of_bundle(blob: dict[str, Any], where: Location) -> str:
    """The version in the bundle's own properties, else the one in its name."""
    properties = blob.get("properties")
    for each in properties if isinstance(properties, list) else ():
        value = each.get("value") if isinstance(each, dict) and each.get("type") == "olm.package" else None
        if isinstance(value, dict) and value.get("version"):
            return _text(value["version"], "a bundle's version", where)
    return _from_name(_text(blob.get("name"), "a bundle's name", where, 200), where)


def _from_name(name: str, where: Location) -> str:
    """`26.7.0` of `gpu-operator-certified.v26.7.0`: what follows the package's name."""
    head, dot, tail = name.partition(".")
    found = _VERSION.fullmatch(dot + tail)
    if found is None:
        raise UsageError(
            f"the bundle {head}{dot}{tail[:60]} names no version", where=where, hint="see the catalog"
        )
    return found[1]


def _blobs(path: Path, where: Location) -> Iterator[dict[str, Any]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"larger than {MAX_BYTES >> 20} MiB", where=where, hint="is this a catalog?")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError("not UTF-8 text", where=where, hint="is this a catalog?") from None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=where, hint="check its rights") from None
    json_stream = text.lstrip()[:1] in ("{", "[")
    blobs: Iterable[Any] = _json(text, where) if json_stream else _yaml(text, where)
    for blob in blobs:
        if not isinstance(blob, dict):
            raise UsageError("a blob must hold keys and values", where=where, hint="is this a catalog?")
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
            line = text.count("\n", 0, place) + 1
            raise UsageError(
                f"not valid JSON in the blob of line {line}: {error}", where=where, hint="see the catalog"
            ) from None
        yield blob


def _yaml(text: str, where: Location) -> Iterator[Any]:
    try:
        yield from (blob for blob in yaml.load_all(text, Loader=_Loader) if blob is not None)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"not valid YAML{line}: {problem}", where=where, hint="see the catalog") from None


def _text(found: Any, what: str, where: Location, limit: int = 100) -> str:
    if not isinstance(found, str) or not 0 < len(found) <= limit or not _TEXT.fullmatch(found[:64]):
        raise UsageError(f"{what} is {str(found)[:60]!r}, not a name", where=where, hint="see the catalog")
    return found


def _list(found: Any, what: str, where: Location) -> list[Any]:
    if not isinstance(found, list):
        raise UsageError(f"{what} must be a list", where=where, hint="see the catalog")
    return found
