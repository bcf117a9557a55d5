"""Edits of one scalar in a YAML or JSON file by its span: a diff of one line, all else byte for byte as it was.

A one-line diff is what lets a later revert apply after others have pushed. What can't be edited safely is
refused with file and line: anchors, tags, folded text, values over several lines, a missing or doubled
path. Which value is meant is found in `places`. After the edit the text is parsed again: only that
path may differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import yaml

from knowngood.matrix.places import Place, Step, documents_of, find, keyed, place_of
from knowngood.matrix.yaml_text import Mapping, Node, Scalar, Sequence, at, parse, refusal
from knowngood.model.errors import DataError, Location
from knowngood.model.field import ObjectRef

Names = Callable[[], Collection[str]]
_STRING_TAG = "tag:yaml.org,2002:str"
_resolver: Any = yaml.resolver.Resolver()


def read_scalar(
    text: str,
    path: str,
    *,
    file: str,
    of: ObjectRef | None = None,
    written: str = "",
    names: Names = tuple,
) -> str:
    """The value at the dotted `path` (`spec.version`; a list's item by its number), as text.

    `of`: the object that is meant, where the file holds several, or patches it; without it there must be one document.
    `written`: where in the file the value stands, if that is not `path`. `names`: asked where no object of its name is
    there: the other names that this file may have it by.
    DataError where the path is missing, doubled or no scalar. `file` is only used in messages.
    """
    return _read(text, _place(text, path, file, of, written, names), file)


def edit_scalar(
    text: str,
    path: str,
    new: str,
    *,
    file: str,
    of: ObjectRef | None = None,
    written: str = "",
    names: Names = tuple,
) -> str:
    """`text` with the scalar at the dotted `path` replaced by `new`; quotes stay as they are. See `read_scalar`.

    A plain value that YAML would read as a number or a boolean gets quotes, so that text stays text. The
    same value gives the same text. DataError where the edit is not safe.
    """
    return _edit(text, _place(text, path, file, of, written, names), new, file)


def _place(text: str, path: str, file: str, of: ObjectRef | None, written: str, names: Names) -> Place:
    if of is None:
        parse(text, file)  # one document
        return (Step(0, path),)
    try:
        return place_of(text, path, file, of, written)
    except DataError:
        found = set()
        for name in names():
            with suppress(DataError):
                found.add(place_of(text, path, file, replace(of, name=name), written))
        if len(found) == 1:
            return found.pop()
        raise


def _read(text: str, place: Place, file: str) -> str:
    step, *inner = place
    node = find(documents_of(text, file)[step.document], step.path, file)
    if inner and isinstance(node, Scalar):
        return _read(node.text, tuple(inner), f"{file} ({step.path})")
    return _one_line(node, step.path, file).text


def _edit(text: str, place: Place, new: str, file: str) -> str:
    step, *inner = place
    documents = documents_of(text, file)
    node = find(documents[step.document], step.path, file)
    if inner and isinstance(node, Scalar):
        new = _edit(node.text, tuple(inner), new, f"{file} ({step.path})")
        edited = _with_text(text, node, new, step.path, file)
    else:
        old = _one_line(node, step.path, file)
        if old.text == new:
            return text
        edited = text[: old.span.start] + _written(old, new, step.path, file) + text[old.span.end :]
    where = f".{keyed(documents[step.document], step.path)}"
    _prove(documents, documents_of(edited, file), (step.document, where), new, file)
    return edited


def _with_text(text: str, old: Scalar, new: str, path: str, file: str) -> str:
    """`text` with one line of the text in `old` replaced, so that `old` holds `new`."""
    over_lines = old.span.line != old.span.end_line
    if old.style == ">" or (old.style != "|" and over_lines):
        what = "folded text" if old.style == ">" else "text over several lines"
        raise _refusal(at(old, file), f"{path} is {what}", "write it as literal text (|)")
    if old.style != "|":
        # In double quotes its lines may stand on one.
        quoted = json.dumps(new, ensure_ascii=False) if old.style == '"' else _written(old, new, path, file)
        return text[: old.span.start] + quoted + text[old.span.end :]
    before, after = old.text.split("\n"), new.split("\n")
    changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    if not changed:
        return text
    lines = text.split("\n")
    number = old.span.line + changed[0]
    line, end = lines[number].removesuffix("\r"), lines[number][len(lines[number].removesuffix("\r")) :]
    lines[number] = line.removesuffix(before[changed[0]]) + after[changed[0]] + end
    return "\n".join(lines)


def _one_line(node: Node, path: str, file: str) -> Scalar:
    if not isinstance(node, Scalar):
        raise _refusal(at(node, file), f"{path} holds several values, not one", "name the path of one value")
    if node.style in ("|", ">"):
        raise _refusal(at(node, file), f"{path} is a block scalar", "write the value on the line of its key")
    if node.span.line != node.span.end_line:
        raise _refusal(at(node, file), f"{path} goes over several lines", "write the value on one line")
    return node


def _written(old: Scalar, new: str, path: str, file: str) -> str:
    """How `new` is written in the old value's style."""
    where = at(old, file)
    if not new or not new.isprintable():
        raise _refusal(where, f"{new!r} is no value for {path}", "give one line of printable text")
    if old.style == "'":
        return "'" + new.replace("'", "''") + "'"
    if old.style == '"':
        return json.dumps(new, ensure_ascii=False)
    before, after = _tag(old.text), _tag(new)
    if before == after and _is_plain(new):
        return new
    if before == _STRING_TAG:
        return json.dumps(new, ensure_ascii=False)
    kind = before.rsplit(":", 1)[-1]
    message = f"{path} is {old.text!r}, which YAML reads as {kind}, not as text"
    raise _refusal(where, message, "put quotes around it first")


def _tag(text: str) -> str:
    """What YAML reads a plain scalar as."""
    return str(_resolver.resolve(yaml.ScalarNode, text, (True, False)))


def _is_plain(text: str) -> bool:
    """Whether `text` reads back as itself without quotes, in block and in flow style."""
    for template in ("k: {}\n", "{{k: {}}}\n"):
        try:
            node = parse(template.format(text), "value")
        except DataError:
            return False
        value = node.get("k") if isinstance(node, Mapping) and len(node.entries) == 1 else None
        if not isinstance(value, Scalar) or value.style or value.text != text:
            return False
    return True


def _prove(
    before: tuple[Node, ...], after: tuple[Node, ...], meant: tuple[int, str], new: str, file: str
) -> None:
    """The same leaves in the same order in each document, and only the one that is meant changed."""
    expected = [(where, new if where == meant else value) for where, value in _all_leaves(before)]
    if list(_all_leaves(after)) != expected:
        what = f"editing {meant[1].removeprefix('.')} would change more than that"
        raise _refusal(Location(file), what, "edit this file by hand")


def _all_leaves(documents: tuple[Node, ...]) -> Iterator[tuple[tuple[int, str], str]]:
    for number, one in enumerate(documents):
        yield from (((number, where), value) for where, value in _leaves(one, ""))


def _leaves(node: Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Scalar):
        yield path, node.text
        return
    yield path, type(node).__name__
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield from _leaves(item, f"{path}.{index}")
    else:
        for key, value in node.entries:
            yield from _leaves(value, f"{path}.{key.text}")


def _refusal(where: Location, message: str, hint: str) -> DataError:
    return refusal(where, message, hint, "edit")
