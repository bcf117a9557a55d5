"""YAML as text with places: a small tree in which every value knows its file, line and column.

Stricter than YAML on purpose: one document (manifests of a GitOps repository may have several), no anchors or
aliases, no tags, no doubled keys, bounded size and depth. Scalars stay text (`550.100` is not a number); who wants a
number asks the schema (`matrix.schema`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import yaml

from knowngood.model.errors import DataError, Location, Problem

T = TypeVar("T")
MAX_BYTES = 1024 * 1024
"""Of one file. The largest shipped file has some 5 KiB."""
MAX_DEPTH = 32
MAX_NODES = 100_000
_ONE_FACT = "a data file holds one fact set; split it"

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Span(NamedTuple):
    """Where a value stands: offsets in characters, line and column from 1."""

    start: int
    end: int
    line: int
    column: int
    end_line: int


class Scalar(NamedTuple):
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
    return _parsed(text, file, _Builder.document)


def parse_all(text: str, file: str) -> tuple[Node, ...]:
    """The trees of a file's documents, without empty ones; DataError as `parse`."""
    return _parsed(text, file, _Builder.documents)


def _parsed(text: str, file: str, read: Callable[[_Builder], T]) -> T:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise refusal(Location(file), f"larger than {MAX_BYTES // 1024} KiB", _ONE_FACT)
    try:
        return read(_Builder(text, file))
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        message = f"not valid YAML: {error.problem or error.context}"
        raise refusal(where, message, "check the indentation and the quotes here") from None
    except (yaml.YAMLError, UnicodeError) as error:
        message = f"not valid YAML: {str(error).splitlines()[0]}"
        raise refusal(_unprintable(text, file), message, "take the control character out") from None


def _unprintable(text: str, file: str) -> Location:
    """Where the first character is that no YAML file may hold."""
    found = _CONTROL.search(text)
    before = text[: found.start()] if found else ""
    return Location(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


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


class _Builder:
    """Builds the tree from the parser's events; what is not allowed is refused before anything is built from it.

    Recursion is bounded by MAX_DEPTH.
    """

    def __init__(self, text: str, file: str) -> None:
        # A byte order mark is none of the text, but counts in the offsets by which a file is edited.
        self._mark = len(text) - len(text.removeprefix("\ufeff"))
        self._next = _Loader(text[self._mark :]).get_event
        self._file = file
        self._nodes = 0

    def document(self) -> Node:
        node, after = self._first()
        if type(after) is not yaml.StreamEndEvent:
            raise self._refused(after, "a second YAML document begins here", "one document a file; split it")
        return node

    def documents(self) -> tuple[Node, ...]:
        node, after = self._first()
        found = [node]
        while type(after) is not yaml.StreamEndEvent:
            found.append(self._node(self._next(), 0))
            self._next()  # the document ends
            after = self._next()
        return tuple(one for one in found if not (isinstance(one, Scalar) and not one.text and not one.style))

    def _first(self) -> tuple[Node, Any]:
        """The first document and the event after it."""
        self._next()  # the stream begins
        if type(self._next()) is yaml.StreamEndEvent:
            raise refusal(Location(self._file, 1, 1), "the file is empty", "see docs/matrix.md for its keys")
        node = self._node(self._next(), 0)
        self._next()  # the document ends
        return node, self._next()

    def _node(self, event: Any, depth: int) -> Node:
        kind = type(event)
        if kind is yaml.AliasEvent or event.anchor:
            raise self._refused(event, "anchors and aliases are not allowed", "write the value out")
        if event.tag:
            raise self._refused(
                event, f"the tag {event.tag!r} is not allowed", "write a plain or a quoted value"
            )
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refused(event, f"more than {MAX_NODES} values", _ONE_FACT)
        if kind is yaml.ScalarEvent:
            return Scalar(event.value, (event.style or "").replace("\0", ""), self._span(event, event))
        if depth == MAX_DEPTH:
            raise self._refused(event, f"nested deeper than {MAX_DEPTH} levels", "a data file is flat")
        children: list[Node] = []
        following, ends = self._next, (yaml.SequenceEndEvent, yaml.MappingEndEvent)
        while type(end := following()) not in ends:
            children.append(self._node(end, depth + 1))
        if kind is yaml.SequenceStartEvent:
            return Sequence(tuple(children), self._span(event, end))
        return Mapping(tuple(self._pairs(children)), self._span(event, end))

    def _pairs(self, children: list[Node]) -> Iterator[tuple[Scalar, Node]]:
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise refusal(at(key, self._file), "a key must be plain text", "remove the brackets")
            yield key, value

    def _refused(self, event: Any, message: str, hint: str) -> DataError:
        mark = event.start_mark
        return refusal(Location(self._file, mark.line + 1, mark.column + 1), message, hint)

    def _span(self, first: Any, last: Any) -> Span:
        start, end = first.start_mark, last.end_mark
        offsets = start.index + self._mark, end.index + self._mark
        return Span(*offsets, start.line + 1, start.column + 1, end.line + 1)
