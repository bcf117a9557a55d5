"""The small part of regular expressions that update graphs use, refused where matching could take long.

Expressions come from other people's repositories, and Python's matcher tries every way through one. So each is
read first and its ways are counted: literals, `.`, `[...]`, `(...|...)`, `?`, and `*` or `+` after one character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAX_LENGTH = 200
MAX_WAYS = 2000
"""Through one expression, as counted here. The worst of the shipped ones has 1,120."""
_LONGEST = 32
"""How far `*` reaches in a version: what one repetition counts."""
_ESCAPED = re.compile(r"\\[.+\-^$()\[\]{}|*?/\\]", re.ASCII)
_CLASS = re.compile(r"\[\^?[0-9A-Za-z.+_-]+\]", re.ASCII)
_PLAIN = re.compile(r"[0-9A-Za-z.+_-]", re.ASCII)


@lru_cache(maxsize=4096)
def compiled(text: str) -> re.Pattern[str]:
    """The expression, safe to search in a version; ValueError says which part is not allowed."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression is {len(text)} characters long; at most {MAX_LENGTH} are allowed")
    reader = _Reader(text)
    ways = reader.alternatives()
    if reader.place != len(text):
        raise ValueError(f"`{text[reader.place :][:20]}` is not expected at character {reader.place + 1}")
    if ways > MAX_WAYS:
        raise ValueError(f"the expression can be matched in {ways} ways; at most {MAX_WAYS} are allowed")
    try:
        return re.compile(text, re.ASCII)
    except (re.error, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


@dataclass(slots=True)
class _Reader:
    """Reads an expression from left to right; each method gives the number of ways through what it read."""

    text: str
    place: int = 0
    depth: int = 0

    def alternatives(self) -> int:
        ways = self._sequence()
        while self._next() == "|":
            self.place += 1
            ways += self._sequence()
        return ways

    def _sequence(self) -> int:
        ways = 1
        while self._next() and self._next() not in "|)":
            ways *= self._item()
        return ways

    def _item(self) -> int:
        ways, single = self._atom()
        sign = self._next()
        if sign and sign in "*+?":
            self.place += 1
            if sign == "?":
                ways += 1
            elif single:
                ways *= _LONGEST
            else:
                raise ValueError(f"`{sign}` after a group can take for ever; repeat one character only")
        if self._next() and self._next() in "*+?{":
            raise ValueError(f"`{self._next()}` at character {self.place + 1} is not allowed")
        return ways

    def _atom(self) -> tuple[int, bool]:
        """Ways through it, and whether it may be repeated."""
        if self._next() == "(":
            return self._group(), False
        if self._next() in ("^", "$"):
            self.place += 1
            return 1, False
        for pattern in (_CLASS, _ESCAPED, _PLAIN):
            found = pattern.match(self.text, self.place)
            if found:
                self.place = found.end()
                return 1, True
        raise ValueError(f"`{self._next()}` at character {self.place + 1} is not allowed in an expression")

    def _group(self) -> int:
        self.place += 1
        self.depth += 1
        if self.depth > 8:
            raise ValueError("groups lie deeper than 8 in one another")
        ways = self.alternatives()
        if self._next() != ")":
            raise ValueError("a bracket is not closed")
        self.place += 1
        self.depth -= 1
        return ways

    def _next(self) -> str:
        return self.text[self.place : self.place + 1]
