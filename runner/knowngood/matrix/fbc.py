"""An OLM file-based catalog, as a cluster really has it: `opm render`, or the catalog.yaml of a mirrored image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from knowngood.matrix.reading import display, read_text
from knowngood.matrix.yamltext import Mapping, Scalar, parse, refusal
from knowngood.model.errors import DataError, Location, UsageError
from knowngood.model.graph import Bundle, Catalog
from knowngood.planner.edges.following import SEMVER
from knowngood.planner.ranges import parse_range, without_v

MAX_BYTES = 64 * 1024 * 1024
"""A catalog carries its bundles' icons and objects; one package has some megabytes."""
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HINT = "give the catalog.yaml or catalog.json of one package, or the folder that holds it"


def catalog(path: Path, package: str = "") -> Catalog:
    """The package's channels; `package` "" means the only one there is. `openshift` is left empty: a file can't tell.

    UsageError where there is no such file; DataError, with the file, where it is no catalog or lacks the package.
    """
    where = Location(display(path))
    blobs = [blob for file in _files(path) for blob in _blobs(file)]
    names = sorted({_text(b, "name") for b in blobs if b.get("schema") == "olm.package"})
    if not package and len(names) != 1:
        raise refusal(
            where, f"this catalog has {len(names)} packages: {', '.join(names[:5]) or 'none'}", _HINT
        )
    package = package or names[0]
    if package not in names:
        raise refusal(where, f"no package {package}; there are {', '.join(names[:5]) or 'none'}", _HINT)
    head = next((b for b in blobs if b.get("schema") == "olm.package" and b.get("name") == package), {})
    own = [b for b in blobs if b.get("package") == package]
    versions = {_text(b, "name"): _version(b) for b in own if b.get("schema") == "olm.bundle"}
    channels = {
        _text(b, "name"): tuple(_Entry(e, versions, where).bundle() for e in _list(b, "entries"))
        for b in own
        if b.get("schema") == "olm.channel"
    }
    if not channels:
        raise refusal(where, f"package {package} has no channels", _HINT)
    return Catalog("", _text(head, "defaultChannel"), channels, (), where)


def package_of(matrix: Path, component: str) -> str:
    """The package that the component's shipped catalogs are of; "" where they do not say."""
    path = matrix / "edges" / component / "olm.yaml"
    root = parse(read_text(path), display(path))
    found = root.get("package") if isinstance(root, Mapping) else None
    return found.text if isinstance(found, Scalar) else ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a channel; names of bundles become versions."""

    value: Any
    versions: dict[str, str]
    where: Location

    def bundle(self) -> Bundle:
        entry = self.value if isinstance(self.value, dict) else {}
        return Bundle(
            version=self._of(_text(entry, "name")),
            replaces=self._of(_text(entry, "replaces")),
            skips=tuple(self._of(name) for name in _list(entry, "skips") if isinstance(name, str)),
            skip_range=self._range(_text(entry, "skipRange")),
        )

    def _range(self, text: str) -> str:
        """Refused where it can't be read: else the updates that it offers would be missing without a word."""
        text = without_v(text)
        try:
            if text:
                parse_range(SEMVER, text)
        except ValueError as error:
            hint = "OLM's ranges: `>=1.2.0 <1.4.0`"
            raise refusal(self.where, f"skipRange: {error}", hint) from None
        return text

    def _of(self, name: str) -> str:
        """The bundle's version: as its own properties say, else what follows the `v` in its name."""
        return self.versions.get(name) or name.partition(".")[2].removeprefix("v") or name


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml", ".json") and p.is_file())
        if found:
            return found
        raise UsageError("there is no catalog in this folder", where=str(path), hint=_HINT)
    if not path.is_file():
        raise UsageError("there is no such catalog", where=str(path), hint=_HINT)
    return [path]


def _blobs(file: Path) -> Iterator[dict[str, Any]]:
    """The file's documents; JSON may be one after the other."""
    where = Location(display(file))
    try:
        if file.stat().st_size > MAX_BYTES:
            raise refusal(where, f"larger than {MAX_BYTES // 1024 // 1024} MiB", _HINT)
        text = file.read_text("utf-8")
        found = list(_json(text)) if text.lstrip().startswith("{") else list(yaml.load_all(text, _Loader))
    except DataError:
        raise
    except OSError as error:
        raise refusal(where, f"cannot be read: {error.strerror}", "check the file and its rights") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = where if line is None else Location(where.file, line + 1)
        raise refusal(at, f"no catalog: {str(error).splitlines()[0]}", _HINT) from None
    for blob in found:
        if isinstance(blob, dict):
            yield blob


def _json(text: str) -> Iterator[Any]:
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        value, place = decoder.raw_decode(text, place)
        yield value


def _version(blob: dict[str, Any]) -> str:
    """What a bundle says of its version in its properties; "" where it does not."""
    for one in _list(blob, "properties"):
        if isinstance(one, dict) and one.get("type") == "olm.package" and isinstance(one.get("value"), dict):
            return _text(one["value"], "version")
    return ""


def _text(blob: dict[str, Any], key: str) -> str:
    value = blob.get(key)
    return value if isinstance(value, str) else ""


def _list(blob: dict[str, Any], key: str) -> list[Any]:
    value = blob.get(key)
    return value if isinstance(value, list) else []
