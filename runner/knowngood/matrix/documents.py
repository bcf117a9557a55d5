"""The matrix's files as documents: parsed, typed and checked by schema, each value with its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knowngood.matrix import schema
from knowngood.matrix.yamltext import (
    MAX_BYTES,
    Mapping,
    Node,
    Scalar,
    Sequence,
    Span,
    at,
    doubled,
    parse,
    refusal,
)
from knowngood.model.errors import DataError, Location, Problem

KINDS = {
    "components": "component",
    "releases": "release",
    "rules": "rule",
    "profiles": "profile",
    "clusters": "cluster",
}
"""Folder -> schema."""

EDGE_KINDS = {
    "releases-*.yaml": "edge-releases",
    "channels.yaml": "edge-channels",
    "risks/*.yaml": "edge-risk",
    "olm.yaml": "edge-olm",
    "steps.yaml": "edge-steps",
    "versions.yaml": "edge-versions",
}
"""Files in edges/<component>/ -> schema."""

_NOWHERE = Span(0, 0, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Document:
    """One data file. `valid`: its schema found nothing, so `value` has the schema's shape."""

    name: str
    file: str
    node: Node
    value: dict[str, Any]
    valid: bool

    def at(self, *path: str | int) -> Location:
        """The place of the value at a path; of its last existing part where the path ends earlier."""
        node: Node = self.node
        for part in path:
            child: Node | None = None
            if isinstance(node, Mapping):
                child = node.get(str(part))
            elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
                child = node.items[part]
            if child is None:
                break
            node = child
        return at(node, self.file)

    def at_key(self, *path: str | int) -> Location:
        """The place of the last key of a path, rather than of its value."""
        *parents, last = path
        node: Node | None = self.node
        for part in parents:
            if isinstance(node, Sequence) and isinstance(part, int):
                node = node.items[part]
            else:
                node = node.get(str(part)) if isinstance(node, Mapping) else None
        entries = node.entries if isinstance(node, Mapping) else ()
        found: Scalar | None = next((key for key, _ in entries if key.text == last), None)
        return at(found, self.file) if found else self.at(*path)

    @property
    def where(self) -> Location:
        """The file itself, at its first line of data."""
        return at(self.node, self.file)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One evidence file: its place and its JSON values."""

    cluster: str
    name: str
    file: str
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong between the files of a component's edges; `subject` says which lint rule it breaks."""

    subject: str
    where: Location
    message: str
    hint: str


@dataclass(slots=True)
class Documents:
    """All files of a matrix by folder and name, and what was wrong with them as files.

    `strangers` are files in the data folders that are not data. `edges` holds the files of edges/<component>/ by
    component and path (`risks/SomeRisk`); `edge_faults` is what `matrix.edges` found while it made values of them.
    """

    root: Path
    by_kind: dict[str, dict[str, Document]] = field(default_factory=lambda: {k: {} for k in KINDS})
    evidence: list[Evidence] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    strangers: list[Path] = field(default_factory=list)
    edges: dict[str, dict[str, Document]] = field(default_factory=dict)
    edge_faults: list[Fault] = field(default_factory=list)

    def of(self, kind: str) -> dict[str, Document]:
        """The documents that passed their schema; only these can be turned into values."""
        return {name: d for name, d in self.by_kind[kind].items() if d.valid}

    def names(self, kind: str) -> set[str]:
        """All names of a kind, also of files that are broken: they are known, if not usable."""
        return set(self.by_kind[kind])


def read(root: Path, *, edges: bool = True) -> Documents:
    """Read every data file below `root`; findings are collected, nothing is raised. `edges`: the graphs too."""
    documents = Documents(root)
    for folder, kind in KINDS.items():
        for path in _files(root / folder, documents):
            documents.by_kind[folder][path.stem] = _read(path, kind, documents)
    if edges:
        _read_edges(root / "edges", documents)
    for path in sorted((root / "evidence").glob("*/*.json")):
        _read_evidence(path, documents)
    return documents


def display(path: Path) -> str:
    """A path as messages show it: relative to the working directory where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read_text(path: Path) -> str:
    """A data file's text; DataError where it is too large, unreadable or not UTF-8."""
    where = Location(display(path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise refusal(where, f"larger than {MAX_BYTES // 1024} KiB", "a data file holds one fact set")
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal(where, f"not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None
    except OSError as error:
        raise refusal(where, f"cannot be read: {error.strerror}", "check the file and its rights") from None


def _files(folder: Path, documents: Documents) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".yaml" and path.is_file():
            yield path
        elif not path.name.startswith("."):
            documents.strangers.append(path)


def _read_edges(folder: Path, documents: Documents) -> None:
    """Every component's folder; what no kind of file claims is a stranger."""
    for component in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = documents.edges.setdefault(component.name, {}) if component.is_dir() else {}
        claimed = {path: kind for pattern, kind in EDGE_KINDS.items() for path in component.glob(pattern)}
        for path, kind in sorted(claimed.items()):
            found[path.relative_to(component).with_suffix("").as_posix()] = _read(path, kind, documents)
        present = component.rglob("*") if component.is_dir() else [component]
        documents.strangers += sorted(
            p for p in present if p not in claimed and p.is_file() and not p.name.startswith(".")
        )


def _read(path: Path, kind: str, documents: Documents) -> Document:
    file = display(path)
    try:
        node = parse(read_text(path), file)
    except DataError as error:
        documents.problems += error.problems
        return Document(path.stem, file, Scalar("", "", _NOWHERE), {}, valid=False)
    found = [*doubled(node, file), *schema.problems(kind, node, file)]
    documents.problems += found
    value = schema.typed(kind, node)
    return Document(path.stem, file, node, value if isinstance(value, dict) else {}, valid=not found)


def _read_evidence(path: Path, documents: Documents) -> None:
    file = display(path)
    try:
        value = json.loads(read_text(path))
    except DataError as error:
        documents.problems += error.problems
        return
    except ValueError as error:
        line = getattr(error, "lineno", None)
        documents.problems.append(Problem(Location(file, line), f"not valid JSON: {error}", "schema"))
        return
    found = list(schema.value_problems("evidence", value, file))
    documents.problems += found
    if not found:
        documents.evidence.append(Evidence(path.parent.name, path.stem, file, value))
