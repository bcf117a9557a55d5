"""YAML as text with places: a small tree in which every value knows its file, line and column.

Stricter than YAML on purpose: one document, no anchors or aliases, no tags, no doubled keys, bounded size and
depth. Scalars stay text (`550.100` is not a number); who wants a number asks the schema (`matrix.schema`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import yaml

from knowngood.model.errors import DataError, Location, Problem

MAX_BYTES = 1024 * 1024
"""Of one file. The largest shipped file has some 5 KiB."""
MAX_DEPTH = 32
MAX_NODES = 100_000
_ONE_FACT = "a data file holds one fact set; split it"

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value stands: offsets in characters, line and column from 1."""

    start: int
    end: int
    line: int
    column: int
    end_line: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. `style` is "" (plain), `'`, `"`, `|` or `>`."""

    text: str
    style: str
    span: Span


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the file's order; keys may be doubled (see `doubled`)."""

    entries: tuple[tuple[Scalar, Node], ...]
    span: Span
    _index: dict[str, tuple[Scalar, Node]] = field(default_factory=dict, compare=False, repr=False)

    def get(self, key: str) -> Node | None:
        """The first value of that key, None where there is none."""
        found = self.entry(key)
        return found[1] if found else None

    def entry(self, key: str) -> tuple[Scalar, Node] | None:
        """The first such key with its value. Found by an index: a hostile file has a hundred thousand keys."""
        if not self._index and self.entries:
            self._index.update((name.text, (name, value)) for name, value in reversed(self.entries))
        return self._index.get(key)

    def keys(self) -> list[str]:
        """All keys, doubled ones too."""
        return [name.text for name, _ in self.entries]


Node = Scalar | Sequence | Mapping


def parse(text: str, file: str) -> Node:
    """The tree of one document; DataError at the first thing that is not allowed."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise refusal(Location(file), f"larger than {MAX_BYTES // 1024} KiB", _ONE_FACT)
    try:
        return _Builder(_events(text, file), file).document()
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        message = f"not valid YAML: {error.problem or error.context}"
        raise refusal(where, message, "check the indentation and the quotes here") from None
    except (yaml.YAMLError, UnicodeError) as error:
        message = f"not valid YAML: {str(error).splitlines()[0]}"
        raise refusal(Location(file), message, "the file must be UTF-8 text") from None


def parse_strict(text: str, file: str) -> Node:
    """Like `parse`, and DataError with every doubled key."""
    node = parse(text, file)
    problems = tuple(doubled(node, file))
    if problems:
        raise DataError(problems)
    return node


def doubled(node: Node, file: str) -> Iterator[Problem]:
    """A problem for each key that stands twice in one mapping."""
    if isinstance(node, Sequence):
        for item in node.items:
            yield from doubled(item, file)
    if isinstance(node, Mapping):
        first: dict[str, int] = {}
        for key, value in node.entries:
            if key.text in first:
                message = f"the key {key.text!r} stands twice (first in line {first[key.text]})"
                yield Problem(at(key, file), message, "KG001", "keep one of them")
            first.setdefault(key.text, key.span.line)
            yield from doubled(value, file)


def at(node: Node, file: str) -> Location:
    """The place of a node."""
    return Location(file, node.span.line, node.span.column)


def refusal(where: Location, message: str, hint: str, rule: str = "KG001") -> DataError:
    """A DataError of one problem."""
    return DataError((Problem(where, message, rule, hint),))


def _events(text: str, file: str) -> Iterator[yaml.Event]:
    """The parser's events, with what is not allowed refused before anything is built from it."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        where = _where(event, file)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise refusal(where, "a second YAML document begins here", "one document a file; split it")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise refusal(where, "anchors and aliases are not allowed", "write the value out")
        if tag := getattr(event, "tag", None):
            raise refusal(where, f"the tag {tag!r} is not allowed", "write a plain or a quoted value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise refusal(where, f"nested deeper than {MAX_DEPTH} levels", "a data file is flat")
        if nodes > MAX_NODES:
            raise refusal(where, f"more than {MAX_NODES} values", _ONE_FACT)
        yield event


class _Builder:
    """Builds the tree from events; recursion is bounded by MAX_DEPTH."""

    def __init__(self, events: Iterator[yaml.Event], file: str) -> None:
        self._events = events
        self._file = file

    def document(self) -> Node:
        node: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.NodeEvent):
                node = self._node(event)
        if node is None:
            raise refusal(Location(self._file, 1), "the file is empty", "see docs/matrix.md for its keys")
        return node

    def _node(self, event: yaml.Event) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, (event.style or "").replace("\0", ""), _span(event, event))
        children: list[Node] = []
        end = event
        for end in self._events:
            if isinstance(end, yaml.CollectionEndEvent):
                break
            children.append(self._node(end))
        span = _span(event, end)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(tuple(children), span)
        return Mapping(tuple(self._pairs(children)), span)

    def _pairs(self, children: list[Node]) -> Iterator[tuple[Scalar, Node]]:
        for key, value in list(pairwise(children))[::2]:
            if not isinstance(key, Scalar):
                raise refusal(at(key, self._file), "a key must be plain text", "remove the brackets")
            yield key, value


def _span(first: yaml.Event, last: yaml.Event) -> Span:
    start: Any = first.start_mark
    end: Any = last.end_mark
    return Span(start.index, end.index, start.line + 1, start.column + 1, end.line + 1)


def _where(event: yaml.Event, file: str) -> Location:
    mark: Any = event.start_mark
    return Location(file, mark.line + 1, mark.column + 1)
