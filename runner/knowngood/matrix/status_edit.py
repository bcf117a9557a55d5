"""A release file's text with another status: one line changed, at most one added, all else byte for byte as it was."""

from __future__ import annotations

import json
import textwrap

from knowngood.matrix.span_edit import edit_scalar
from knowngood.matrix.yaml_text import Mapping, Scalar, at, parse, refusal
from knowngood.model.errors import DataError, Location
from knowngood.model.matrix import ReleaseStatus

WIDTH = 118
"""Longest line that is written; a longer reason is folded."""


def revoked(text: str, reason: str, *, file: str) -> str:
    """`status: revoked`, and the reason below it. DataError where the file can't be edited safely."""
    changed = edit_scalar(text, "status", ReleaseStatus.REVOKED.value, file=file)
    return _with(changed, "status", "reason", reason, file)


def deprecated(text: str, *, file: str) -> str:
    """`status: deprecated`."""
    return edit_scalar(text, "status", ReleaseStatus.DEPRECATED.value, file=file)


def superseding(text: str, old: str, *, file: str) -> str:
    """`supersedes: OLD` below the status; as it is where it says so already."""
    root = parse(text, file)
    present = root.get("supersedes") if isinstance(root, Mapping) else None
    if isinstance(present, Scalar):
        return edit_scalar(text, "supersedes", old, file=file)
    return _with(text, "status", "supersedes", old, file)


def _with(text: str, after: str, key: str, value: str, file: str) -> str:
    """`text` with `key: value` on a line of its own below the top-level key `after`, proven by parsing again."""
    root = parse(text, file)
    anchor = root.get(after) if isinstance(root, Mapping) else None
    if not isinstance(root, Mapping) or not isinstance(anchor, Scalar) or root.get(key) is not None:
        where = at(root, file)
        raise refusal(where, f"{key} can't be added below {after}", "edit this file by hand", "edit")
    end = text.find("\n", anchor.span.end)
    end = len(text) if end < 0 else end + 1
    head = text[:end] if text[:end].endswith("\n") else f"{text[:end]}\n"
    edited = head + _written(key, value) + text[end:]
    _prove(root, edited, key, value, file)
    return edited


def _written(key: str, value: str) -> str:
    """A name or a sentence plain where YAML reads it back, in double quotes where not, folded where it is long."""
    line = f"{key}: {value}"
    if len(line) > WIDTH and "  " not in value:
        folded = textwrap.wrap(value, WIDTH - 2, break_long_words=False, break_on_hyphens=False)
        return f"{key}: >-\n" + "".join(f"  {part}\n" for part in folded)
    root = _parsed(f"{line}\n")
    plain = root.get(key) if root else None
    if isinstance(plain, Scalar) and plain.text == value and not plain.style and value[0].isalpha():
        return f"{line}\n"
    return f"{key}: {json.dumps(value, ensure_ascii=False)}\n"


def _parsed(text: str) -> Mapping | None:
    try:
        root = parse(text, "value")
    except DataError:
        return None
    return root if isinstance(root, Mapping) and len(root.entries) == 1 else None


def _prove(before: Mapping, edited: str, key: str, value: str, file: str) -> None:
    """The keys of before in their order, each as it was, and the new one."""
    after = parse(edited, file)
    entries = after.entries if isinstance(after, Mapping) else ()
    others = [(k.text, _texts(v)) for k, v in entries if k.text != key]
    added = [v.text for k, v in entries if k.text == key and isinstance(v, Scalar)]
    if others != [(k.text, _texts(v)) for k, v in before.entries] or added != [value]:
        raise refusal(Location(file), f"adding {key} would change more than that", "edit it by hand", "edit")


def _texts(node: object) -> object:
    """A tree without its places."""
    if isinstance(node, Mapping):
        return [(k.text, _texts(v)) for k, v in node.entries]
    if isinstance(node, Scalar):
        return node.text
    return [_texts(item) for item in getattr(node, "items", ())]
