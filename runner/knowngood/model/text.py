"""What others wrote, made harmless: the one function that it passes before any screen, file, annotation or log.

Names, values, messages and lines of Git, Kubernetes, Argo CD, nodes and files are written by people who need not wish
us well, or by machines that quote such people. They may hold what moves a cursor, forges a line of ours, turns the
direction of reading, hides, or gives an order to the service that runs our job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

MOST = 4000
"""Characters of one line that are shown; what is longer says how much is missing."""

ENDLESS = 1 << 16
"""Columns of what is no terminal."""

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks without ink: they make two names look the same, and `str.isprintable` lets them pass."""
_LEVEL = re.compile(r"##(?=\w*\[)")
"""`##[error]`, `##vso[...]`: orders to a job's runner, obeyed anywhere in a line."""
_ORDER = re.compile(r"^(\s*):(?=:)")
"""`::error::`: an order to a job's runner where a line begins with it."""


def printable(text: object, most: int = MOST) -> str:
    """One line of text for people: what is not a visible character, or an order to a job's runner, is an escape.

    Line breaks, control characters, changes of direction, characters without width and halves of surrogate pairs are
    written as Python writes them. Done twice it changes nothing.
    """
    line = str(text)
    if len(line) > most:
        line = f"{line[:most]} … ({len(line) - most} characters more)"
    if not line.isprintable():
        line = "".join(c if c.isprintable() else _escape(c) for c in line)
    return _LEVEL.sub(r"#\\x23", _UNSEEN.sub(lambda found: _escape(found.group()), line))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class Page(str):
    """Lines whose breaks are ours; made by `page` only. Any other text is one line, whatever it holds."""

    __slots__ = ()


def page(lines: Iterable[str]) -> Page:
    """Lines as one text that ends with a line break; a Page among them goes in as it is.

    No line can be an order to the service that runs our job.
    """
    return Page("".join(x if isinstance(x, Page) else f"{_ORDER.sub(_colon, printable(x))}\n" for x in lines))


def _colon(found: re.Match[str]) -> str:
    return f"{found.group(1)}\\x3a"


def as_json(value: object) -> Page:
    """JSON for programs, in ASCII: every character is there, none is raw, and no text in it is an order."""
    return Page(_LEVEL.sub(r"#\\u0023", json.dumps(value, indent=2)) + "\n")


def harmless(value: Any) -> Any:
    """A JSON value whose texts, keys included, are each one printable line."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(k): harmless(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [harmless(v) for v in value]
    return value


def markdown(text: object) -> str:
    """Text that no Markdown reader takes for markup, a table's border, a mention or a reference."""
    return printable(text).translate(_MARKS)


_MARKS = str.maketrans(
    {mark: f"&#{ord(mark)};" for mark in "<>@|`"} | {mark: f"\\{mark}" for mark in "\\*_[]()#~"}
)


def code(text: object) -> str:
    """A code span in Markdown, also in a table's cell; it can't be left from inside."""
    inner = printable(text).replace("`", "\\x60").replace("|", "\\x7c")
    return f"`{inner}`"
