"""Where a value stands in a file of a GitOps repository: in the object, in a patch of it, in text inside another text.

A place is a chain of steps: a document of the file and a dotted path in it; where that leads to text that is YAML
itself (an inline patch, `helm.values`), a step in that text, and so on. A list's item is named by its number, or by a
key of it: `parameters[name=driver.version].value`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from knowngood.matrix.yaml_text import Mapping, Node, Scalar, Sequence, at, parse_all, refusal
from knowngood.model.errors import DataError, Location
from knowngood.model.field import ObjectRef

_TOKEN = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
_PATCHES = ("patches", "patchesJson6902", "patchesStrategicMerge")
_MOVING = ("replace", "add")
LISTED = "say under `written` where it stands (items.0.spec.version), or give the object a file or document of its own"
HINT = "check file and path in the cluster file's `declare`"


@dataclass(frozen=True, slots=True)
class Step:
    """A path in one document of a text."""

    document: int
    path: str


Place = tuple[Step, ...]


def documents_of(text: str, file: str) -> tuple[Node, ...]:
    """A file's documents. JSON may be indented by tabs, which are as long as the blanks that YAML wants."""
    return parse_all(text.replace("\t", " ") if file.endswith(".json") else text, file)


def place_of(text: str, path: str, file: str, of: ObjectRef, written: str = "") -> Place:
    """Where the value of `path` of an object stands. `written`: where in the file, if it is not that path.

    DataError where it is not there exactly once.
    """
    documents = documents_of(text, file)
    if written:
        return _only(list(_written(documents, written, file)), f"no document holds {written}", file)
    if len(documents) == 1 and _is_kustomization(documents[0]):
        found = list(_in_kustomization(documents[0], path, of, file))
        return _only(found, f"no inline patch here sets {path} of {of}", file)
    if len(documents) == 1 and said(documents[0], "kind").endswith("List"):
        raise refusal(
            Location(file), f"it is a List, and where {of} stands in it is not said", LISTED, "edit"
        )
    if len(documents) == 1 and isinstance(documents[0], Sequence):
        found = [(Step(0, where),) for where in _in_operations(documents[0], path)]
        return _only(found, f"no operation here sets {path}", file)
    return (Step(_meant(documents, of, file), path),)


def _only(found: list[Place], none: str, file: str) -> Place:
    if not found:
        raise refusal(Location(file), none, HINT, "edit")
    if len(found) > 1:
        words = " and ".join(step.path for place in found[:2] for step in place[:1])
        raise refusal(Location(file), f"{len(found)} places set it: {words}", "keep one of them", "edit")
    return found[0]


def _written(documents: tuple[Node, ...], path: str, file: str) -> Iterator[Place]:
    """Each document in which a path leads to one value, through text that is YAML itself."""
    for number, document in enumerate(documents):
        if rest := _walk(document, path):
            yield from _through(number, path, rest, document, file)


def _through(number: int, path: str, rest: str, document: Node, file: str) -> Iterator[Place]:
    if rest == path:
        yield (Step(number, path),)
        return
    outer = path.removesuffix(rest).rstrip(".")
    inner = find(document, outer, file)
    if isinstance(inner, Scalar):
        for place in _written(_inside(inner, outer, file), rest, file):
            yield (Step(number, outer), *place)


def _walk(document: Node, path: str) -> str:
    """`path` where it leads to a value, what is left of it where it leads into text, "" where it leads nowhere."""
    node: Node | None = document
    for match in _TOKEN.finditer(path):
        if isinstance(node, Scalar):
            return path[match.start() :] if node.style else ""
        children = list(_children(node, match.group())) if node else []
        node = children[0] if children else None
    return path if node is not None else ""


def _inside(text: Scalar, path: str, file: str) -> tuple[Node, ...]:
    """The documents of a text; none where it is no YAML."""
    try:
        return parse_all(text.text, f"{file} ({path})")
    except DataError:
        return ()


def _is_kustomization(document: Node) -> bool:
    """By its kind, or, where it says none, by what only a kustomization has."""
    kind, bare = said(document, "kind"), isinstance(document, Mapping) and document.get("metadata") is None
    return kind in ("Kustomization", "Component") or (
        not kind and bare and isinstance(document, Mapping) and any(document.get(key) for key in _PATCHES)
    )


def _in_kustomization(document: Node, path: str, of: ObjectRef, file: str) -> Iterator[Place]:
    for key in _PATCHES:
        entries = document.get(key) if isinstance(document, Mapping) else None
        for index, entry in enumerate(entries.items if isinstance(entries, Sequence) else ()):
            target = entry.get("target") if isinstance(entry, Mapping) else None
            if target is not None and not targets(target, of):
                continue
            patch = entry.get("patch") if isinstance(entry, Mapping) else entry
            where = f"{key}.{index}.patch" if isinstance(entry, Mapping) else f"{key}.{index}"
            if isinstance(patch, Scalar) and (patch.style or "\n" in patch.text):
                for inner in _in_patch(_inside(patch, where, file), path, of, target is not None):
                    yield (Step(0, where), inner)


def targets(target: Node, of: ObjectRef) -> bool:
    """As kustomize takes a target: each part that it says is a pattern for the whole of it. Labels are not asked."""
    group, _, version = of.api_version.rpartition("/")
    is_ = {"kind": of.kind, "name": of.name, "group": group, "version": version}
    return all(_fits(said(target, key), text) for key, text in is_.items())


def _fits(pattern: str, text: str) -> bool:
    try:
        return not pattern or re.fullmatch(pattern, text) is not None
    except re.error:
        return pattern == text


def _in_patch(documents: tuple[Node, ...], path: str, of: ObjectRef, targeted: bool) -> Iterator[Step]:
    for number, one in enumerate(documents):
        if isinstance(one, Sequence):
            yield from (Step(number, where) for where in _in_operations(one, path))
        elif (targeted or is_object(one, of)) and _walk(one, path) == path:
            yield Step(number, path)


def _in_operations(operations: Sequence, path: str) -> Iterator[str]:
    """The paths of the values with which a JSON patch sets a field, itself or what holds it."""
    for index, one in enumerate(operations.items):
        pointer, value = said(one, "path"), one.get("value") if isinstance(one, Mapping) else None
        if said(one, "op") not in _MOVING or value is None:
            continue
        parts = [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]
        keys = path.split(".")
        rest = ".".join(keys[len(parts) :])
        if keys[: len(parts)] == parts and (not rest or _walk(value, rest) == rest):
            yield f"{index}.value.{rest}" if rest else f"{index}.value"


def _meant(documents: tuple[Node, ...], of: ObjectRef, file: str) -> int:
    """The only document, or the one that the object is; a patch or a base need not say who it is, if it is alone."""
    if len(documents) == 1:
        return 0
    found = [number for number, one in enumerate(documents) if is_object(one, of)]
    if len(found) == 1:
        return found[0]
    hint = "name one of them as the object in the cluster file's `declare`"
    if found:
        where = at(documents[found[1]], file)
        raise refusal(where, f"{of} stands here {len(found)} times", "keep one of them", "edit")
    held = ", ".join(f"{said(one, 'kind')} {said(one, 'metadata', 'name')}" for one in documents)
    message = f"none of its {len(documents)} documents is {of}; they are {held or 'empty'}"
    raise refusal(Location(file), message, hint, "edit")


def is_object(document: Node, of: ObjectRef) -> bool:
    """Namespaces are compared where both say one: an overlay may set it."""
    space = said(document, "metadata", "namespace")
    named = (said(document, "apiVersion"), said(document, "kind"), said(document, "metadata", "name"))
    return named == (of.api_version, of.kind, of.name) and (
        not space or not of.namespace or space == of.namespace
    )


def said(document: Node, *keys: str) -> str:
    """The text at these keys, "" for none."""
    node: Node | None = document
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node.text if isinstance(node, Scalar) else ""


def find(tree: Node, path: str, file: str) -> Node:
    """The node at a dotted path; DataError where it is missing or doubled."""
    node = tree
    for match in _TOKEN.finditer(path):
        so_far = path[: match.end()]
        found = list(_children(node, match.group()))
        if not found:
            raise refusal(at(node, file), f"there is no {so_far}", HINT, "edit")
        if len(found) > 1:
            where = at(found[1], file)
            raise refusal(where, f"{so_far} stands {len(found)} times", "keep one of them", "edit")
        node = found[0]
    return node


def keyed(tree: Node, path: str) -> str:
    """`path` with each item of a list by its number."""
    node: Node | None = tree
    words = []
    for match in _TOKEN.finditer(path):
        token = match.group()
        children = list(_children(node, token)) if node else []
        if isinstance(node, Sequence) and children:
            token = str(next(i for i, item in enumerate(node.items) if item is children[0]))
        words.append(token)
        node = children[0] if children else None
    return ".".join(words)


def _children(node: Node, key: str) -> Iterator[Node]:
    if isinstance(node, Mapping):
        yield from (value for name, value in node.entries if name.text == key)
    elif isinstance(node, Sequence) and key.isdecimal() and int(key) < len(node.items):
        yield node.items[int(key)]
    elif isinstance(node, Sequence) and key.startswith("["):
        name, _, text = key[1:-1].partition("=")
        yield from (item for item in node.items if said(item, name) == text)
