"""The matrix's files as documents: parsed, typed and checked by schema, each value with its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from knowngood.matrix import json_text, schema
from knowngood.matrix.reading import display, entries, read_text
from knowngood.matrix.yaml_text import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    Span,
    at,
    doubled,
    parse,
)
from knowngood.model.errors import DataError, Location, Problem
from knowngood.model.values import Object

KINDS = {
    "components": "component",
    "releases": "release",
    "rules": "rule",
    "profiles": "profile",
    "clusters": "cluster",
}
"""Folder -> schema."""

FLEET = "fleet"
"""The one file beside the folders: fleet.yaml, where there are several clusters."""

PROBLEMS_A_FILE = 50
"""A file with more is none that a person would read to the end."""

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
    value: Object
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
                node = node.items[part] if part < len(node.items) else None
            else:
                node = node.get(str(part)) if isinstance(node, Mapping) else None
        found = node.entry(str(last)) if isinstance(node, Mapping) else None
        return at(found[0], self.file) if found else self.at(*path)

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
    value: Object


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

    `fleet` is None where there is no such file. `strangers` are files in the data folders that are not data. `edges`
    holds the files of edges/<component>/ by component and path (`risks/SomeRisk`); `edge_faults` is what `matrix.edges`
    found while it made values of them.
    """

    root: Path
    by_kind: dict[str, dict[str, Document]] = field(default_factory=lambda: {k: {} for k in KINDS})
    fleet: Document | None = None
    evidence: list[Evidence] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    strangers: list[Path] = field(default_factory=list)
    edges: dict[str, dict[str, Document]] = field(default_factory=dict)
    edge_faults: list[Fault] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many data files were read."""
        several = (*self.by_kind.values(), *self.edges.values())
        return len(self.evidence) + (self.fleet is not None) + sum(len(of) for of in several)

    def of(self, kind: str) -> dict[str, Document]:
        """The documents that passed their schema; only these can be turned into values."""
        return {name: d for name, d in self.by_kind[kind].items() if d.valid}

    def names(self, kind: str) -> set[str]:
        """All names of a kind, also of files that are broken: they are known, if not usable."""
        return set(self.by_kind[kind])


def read(root: Path, *, edges: bool = True) -> Documents:
    """Read every data file below `root`; findings are collected, nothing is raised. `edges`: the graphs too."""
    documents = Documents(root)
    shown = display(root)
    for folder, kind in KINDS.items():
        for path in _files(root / folder, ".yaml", documents):
            file = f"{shown}/{folder}/{path.name}"
            documents.by_kind[folder][path.stem] = _read(path, file, kind, documents)
    if (root / f"{FLEET}.yaml").is_file():
        documents.fleet = _read(root / f"{FLEET}.yaml", f"{shown}/{FLEET}.yaml", FLEET, documents)
    for component, is_folder in entries(root / "edges", root, documents.problems) if edges else ():
        if is_folder:
            documents.edges[component.name] = dict(_edge_files(component, shown, documents))
        else:
            documents.strangers.append(component)
    for cluster, is_folder in entries(root / "evidence", root, documents.problems):
        if not is_folder:
            documents.strangers.append(cluster)
        for path in _files(cluster, ".json", documents) if is_folder else ():
            _read_evidence(path, f"{shown}/evidence/{cluster.name}/{path.name}", documents)
    return documents


def _files(folder: Path, suffix: str, documents: Documents) -> Iterator[Path]:
    """The data files in a folder; what is none is kept as a stranger."""
    for path, is_folder in entries(folder, documents.root, documents.problems):
        if path.suffix == suffix and not is_folder:
            yield path
        else:
            documents.strangers.append(path)


def _edge_files(folder: Path, shown: str, documents: Documents) -> Iterator[tuple[str, Document]]:
    """A component's files by their place (`risks/SomeRisk`); what no kind of file claims is a stranger."""
    for path, is_folder in entries(folder, documents.root, documents.problems):
        within = path.name if is_folder else ""
        inner = entries(path, documents.root, documents.problems) if within else ((path, False),)
        for file, deeper in inner:
            place = f"{within}/{file.name}" if within else file.name
            kind = next((k for pattern, k in EDGE_KINDS.items() if fnmatchcase(place, pattern)), "")
            if kind and not deeper:
                yield (
                    place.removesuffix(".yaml"),
                    _read(file, f"{shown}/edges/{folder.name}/{place}", kind, documents),
                )
            else:
                documents.strangers.append(file)


def _read(path: Path, file: str, kind: str, documents: Documents) -> Document:
    try:
        return document(read_text(path, file), path.stem, file, kind, documents.problems)
    except DataError as error:
        documents.problems += error.problems
        return Document(path.stem, file, Scalar("", "", _NOWHERE), {}, valid=False)


def document(text: str, name: str, file: str, kind: str, problems: list[Problem]) -> Document:
    """A file's text as a document; what its schema says is added to `problems`. DataError where it can't be parsed."""
    node = parse(text, file)
    value = schema.typed(kind, node)
    found = [*doubled(node, file), *schema.problems(kind, node, value, file)]
    problems += found[:PROBLEMS_A_FILE]
    return Document(name, file, node, value if isinstance(value, dict) else {}, valid=not found)


def _read_evidence(path: Path, file: str, documents: Documents) -> None:
    try:
        found = evidence(read_text(path, file), path.parent.name, path.stem, file)
    except DataError as error:
        documents.problems += error.problems
    else:
        documents.evidence.append(found)


def evidence(text: str, cluster: str, name: str, file: str) -> Evidence:
    """An evidence file's text as values; DataError with what its schema says."""
    value = json_text.parse(text, file)
    if not schema.fits("evidence", value):
        found = tuple(schema.problems("evidence", json_text.tree(text, file), value, file))
        if found:
            raise DataError(found[:PROBLEMS_A_FILE])
    return Evidence(cluster, name, file, value)
