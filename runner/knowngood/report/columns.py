"""Rows as aligned lines. Of its own, because commands that need nothing else should start at once."""

from __future__ import annotations

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def columns(rows: Rows, indent: str = "  ") -> list[str]:
    """Rows as aligned lines; the last column is as long as it wants."""
    if not rows:
        return []
    width = max(len(r) for r in rows)
    padded = [(*r, *[""] * (width - len(r))) for r in rows]
    sizes = [max(len(r[i]) for r in padded) for i in range(width)]
    return [
        (indent + "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True))).rstrip()
        for row in padded
    ]
