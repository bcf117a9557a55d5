"""Edits of one scalar in a YAML file by its span: a diff of one line, all else byte for byte as it was.

A one-line diff is what lets a later revert apply after others have pushed. What can't be edited safely is
refused with file and line: anchors, tags, block scalars, values over several lines, a missing or doubled
path. Of several documents the one is meant that the named object is. After the edit the text is parsed again: only that
path may differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from knowngood.matrix.yaml_text import Mapping, Node, Scalar, Sequence, at, parse, parse_all, refusal
from knowngood.model.errors import DataError, Location
from knowngood.model.field import ObjectRef

_STRING_TAG = "tag:yaml.org,2002:str"
_resolver: Any = yaml.resolver.Resolver()


def read_scalar(text: str, path: str, *, file: str, of: ObjectRef | None = None) -> str:
    """The value at the dotted `path` (`spec.version`; a list's item by its number), as text.

    `of`: the object whose document is meant, where the file holds several; without it there must be one.
    DataError where the path is missing, doubled or no scalar. `file` is only used in messages.
    """
    documents = _documents(text, file, of)
    return _find(documents[_meant(documents, of, file)], path, file).text


def edit_scalar(text: str, path: str, new: str, *, file: str, of: ObjectRef | None = None) -> str:
    """`text` with the scalar at the dotted `path` replaced by `new`; quotes stay as they are.

    A plain value that YAML would read as a number or a boolean gets quotes, so that text stays text. The
    same value gives the same text. DataError where the edit is not safe.
    """
    documents = _documents(text, file, of)
    meant = _meant(documents, of, file)
    old = _find(documents[meant], path, file)
    if old.text == new:
        return text
    edited = text[: old.span.start] + _written(old, new, path, file) + text[old.span.end :]
    _prove(documents, _documents(edited, file, of), (meant, f".{path}"), new, file)
    return edited


def _documents(text: str, file: str, of: ObjectRef | None) -> tuple[Node, ...]:
    return parse_all(text, file) if of else (parse(text, file),)


def _meant(documents: tuple[Node, ...], of: ObjectRef | None, file: str) -> int:
    """The only document, or the one that the object is; a patch or a base need not say who it is, if it is alone."""
    if len(documents) == 1 or of is None:
        return 0
    found = [number for number, one in enumerate(documents) if _is(one, of)]
    if len(found) == 1:
        return found[0]
    hint = "name one of them as the object in the cluster file's `declare`"
    if found:
        raise _refusal(
            at(documents[found[1]], file), f"{of} stands here {len(found)} times", "keep one of them"
        )
    held = ", ".join(f"{_said(one, 'kind')} {_said(one, 'metadata', 'name')}" for one in documents)
    raise _refusal(
        Location(file), f"none of its {len(documents)} documents is {of}; they are {held or 'empty'}", hint
    )


def _is(document: Node, of: ObjectRef) -> bool:
    """Namespaces are compared where both say one: an overlay may set it."""
    space = _said(document, "metadata", "namespace")
    named = (_said(document, "apiVersion"), _said(document, "kind"), _said(document, "metadata", "name"))
    return named == (of.api_version, of.kind, of.name) and (
        not space or not of.namespace or space == of.namespace
    )


def _said(document: Node, *keys: str) -> str:
    node: Node | None = document
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node.text if isinstance(node, Scalar) else ""


def _find(tree: Node, path: str, file: str) -> Scalar:
    node = tree
    keys = path.split(".")
    for depth, key in enumerate(keys):
        node = _child(node, key, ".".join(keys[: depth + 1]), file)
    if not isinstance(node, Scalar):
        raise _refusal(at(node, file), f"{path} holds several values, not one", "name the path of one value")
    if node.style in ("|", ">"):
        raise _refusal(at(node, file), f"{path} is a block scalar", "write the value on the line of its key")
    if node.span.line != node.span.end_line:
        raise _refusal(at(node, file), f"{path} goes over several lines", "write the value on one line")
    return node


def _child(node: Node, key: str, path: str, file: str) -> Node:
    found: list[Node] = []
    if isinstance(node, Mapping):
        found = [value for name, value in node.entries if name.text == key]
    elif isinstance(node, Sequence) and key.isdecimal() and int(key) < len(node.items):
        found = [node.items[int(key)]]
    if not found:
        raise _refusal(
            at(node, file), f"there is no {path}", "check the path in the cluster file's `declare`"
        )
    if len(found) > 1:
        raise _refusal(at(found[1], file), f"{path} stands {len(found)} times", "keep one of them")
    return found[0]


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
