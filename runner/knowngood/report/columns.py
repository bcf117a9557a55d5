"""Rows as aligned lines. Of its own, because commands that need nothing else should start at once."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from knowngood.model.text import printable

Rows = Sequence[Sequence[str]]
WIDTH = 80


def columns(rows: Rows, indent: str = "  ") -> list[str]:
    """Rows as aligned lines; the last column is as long as it wants."""
    if not rows:
        return []
    width = max(len(r) for r in rows)
    padded = [(*(printable(cell) for cell in r), *[""] * (width - len(r))) for r in rows]
    sizes = [max(len(r[i]) for r in padded) for i in range(width)]
    return [
        (indent + "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True))).rstrip()
        for row in padded
    ]


def table(rows: Rows, width: int, indent: str = "") -> list[str]:
    """As `columns`; what is longer than a terminal goes on below: in its last column, or under its row."""
    lines = columns(rows, indent)
    cells = max((len(row) for row in rows), default=0)
    sizes = [max(len(printable(row[i])) if i < len(row) else 0 for row in rows) for i in range(cells - 1)]
    start = len(indent) + sum(sizes) + 2 * len(sizes)
    hang = " " * (start if width - start >= NARROW else len(indent) + 4)
    found: list[str] = []
    for line in lines:
        head, rest = line[:start], line[start:]
        if len(line) <= width or not rest:
            found += folded([line], width)
            continue
        if width - start < NARROW:
            found += folded([head.rstrip()], width)
        first = head if width - start >= NARROW else hang
        found += textwrap.wrap(
            rest,
            width,
            initial_indent=first,
            subsequent_indent=hang,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return found


NARROW = 30
"""Columns below which a text is put under its row."""


def folded(lines: Sequence[str], width: int) -> list[str]:
    """Lines broken between words where they are longer than a terminal; what goes on stands four columns further in."""
    found: list[str] = []
    for line in lines:
        inner = " " * (len(line) - len(line.lstrip()) + 4)
        wrapper = textwrap.TextWrapper(
            width, subsequent_indent=inner, break_long_words=False, break_on_hyphens=False
        )
        found += [line] if len(line) <= width else wrapper.wrap(line)
    return found


def move(before: str, after: str) -> str:
    """From a release to a release; a cluster that goes where it is pinned goes back there."""
    return f"{before} → {after}" if before != after else f"back to {after}"


def wrapped(rows: Rows, indent: str = "  ", width: int = WIDTH) -> list[str]:
    """Rows of label and value; a long value goes on below itself. A word longer than a line stays whole."""
    size = max((len(label) for label, _ in rows), default=0)
    lines = []
    for label, value in rows:
        head = f"{indent}{printable(label).ljust(size)}  "
        lines += textwrap.wrap(
            printable(value),
            width,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [head.rstrip()]
    return lines
