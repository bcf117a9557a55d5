"""Files of equal content as hard links: most of a host's files are the same on every host, and links are cheap.

Making a file costs a disk thirty times what a link costs, and a fleet of a thousand has four hundred thousand files.
Nobody writes into them in place: a change is a new file that takes the name over.
"""

from __future__ import annotations

import os
from pathlib import Path

SHORT = 256  # bytes: longer texts are some host's own


class Pool:
    """One folder of originals."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._originals: dict[str, str] = {}
        self._seen: set[str] = set()
        self._count = 0

    def make(self, target: str, text: str) -> None:
        """Make a file that is not there yet."""
        if len(text) > SHORT or text not in self._seen:
            self._seen.add(text)
            put(target, text)
            return
        original = self._originals.get(text) or self._original(text)
        try:
            os.link(original, target)
        except OSError:  # as many links as the file system allows: begin another original
            os.link(self._original(text), target)

    def _original(self, text: str) -> str:
        self._count += 1
        self._originals[text] = f"{self._folder}/{self._count}"
        put(self._originals[text], text)
        return self._originals[text]


def put(target: str, text: str) -> None:
    """Write a file whole."""
    number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(number, text.encode())
    finally:
        os.close(number)
