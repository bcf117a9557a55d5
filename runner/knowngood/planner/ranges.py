"""Version ranges in the grammar that OLM's catalogs use (blang/semver), read by a component's own scheme.

`>=26.7.0 <27` blanks mean and, `||` means or, `26.x` is any version that begins with 26, `*` any at all.
Operators: `=` (or none), `!=`, `>`, `>=`, `<`, `<=`. A shortened version is allowed where it can't mislead:
after `>=` and `<` (`<27`). `>26`, `<=26` and `=26` are refused: they would not mean what they seem to.
Pre-releases belong to their version: `4.19.0-rc.1` lies in `4.19.x` and in `>=4.19`, not in `<4.19`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from knowngood.planner.version import SCHEMES, TEXT, Key, before_all, bound, is_whole, key

_TERM = re.compile(r"(?P<op>>=|<=|!=|==|=|>|<|!)?\s*(?P<version>[^\s|<>=!]+)")
_WILD = re.compile(r"(?P<prefix>[0-9]{1,9}(?:\.[0-9]{1,9})*)\.[xX*]")

_COMPARE: dict[str, Callable[[Key, Key], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison with `low`; given `high` too, with all from `low` to before `high` (`26.x`)."""

    sign: str
    low: Key
    high: Key | None = None

    def holds(self, version: Key) -> bool:
        """Whether the version satisfies it."""
        if self.high is not None:
            return (self.low <= version < self.high) is (self.sign == "=")
        return _COMPARE[self.sign](version, self.low)


@dataclass(frozen=True, slots=True)
class Range:
    """A parsed range: any of `alternatives`, each of which is all of its terms. No terms: every version."""

    scheme: str
    text: str
    alternatives: tuple[tuple[Term, ...], ...]

    def contains(self, version: str) -> bool:
        """Whether an exact version lies in it; ValueError where it is no version of the scheme."""
        place = key(self.scheme, version)
        return any(all(term.holds(place) for term in terms) for terms in self.alternatives)


def parse_range(scheme: str, text: str) -> Range:
    """The range, read by the scheme; ValueError says which part is wrong."""
    if scheme not in SCHEMES:
        raise ValueError(f"there is no version scheme {scheme!r}; known are {', '.join(SCHEMES)}")
    parts = text.split("||")
    if not all(part.strip() for part in parts):
        raise ValueError(f"the range {text!r} has an empty alternative")
    return Range(scheme, text, tuple(_all_of(scheme, part) for part in parts))


def without_v(text: str) -> str:
    """Without the `v` that some catalogs write before a version."""
    return re.sub(r"(?<![0-9A-Za-z.])v(?=[0-9])", "", text)


def _all_of(scheme: str, part: str) -> tuple[Term, ...]:
    """The terms of one `||` part."""
    terms = (_term(scheme, sign, version) for sign, version in _comparisons(part))
    return tuple(term for term in terms if term is not None)


def _comparisons(part: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    rest = part.strip()
    while rest:
        match = _TERM.match(rest)
        if match is None:
            raise ValueError(f"{rest!r} is no comparison; write one like `>=26.7.0` or `26.x`")
        sign = match["op"] or "="
        found.append(({"==": "=", "!": "!="}.get(sign, sign), match["version"]))
        rest = rest[match.end() :].lstrip()
    return found


def _term(scheme: str, sign: str, version: str) -> Term | None:
    """What one comparison means; None for `*`, which is always true."""
    if version == "*":
        if sign != "=":
            raise ValueError(f"`{sign}*` compares with nothing; write `*` alone")
        return None
    if scheme == TEXT:
        if sign not in ("=", "!="):
            raise ValueError(f"{version!r} has no order; use `=` or `!=`")
        return Term(sign, key(scheme, version))
    wild = _WILD.fullmatch(version)
    if wild:
        return _wild(sign, tuple(int(n) for n in wild["prefix"].split(".")))
    place = bound(scheme, version)
    if sign not in (">=", "<") and not is_whole(scheme, version):
        raise ValueError(f"`{sign}{version}` is ambiguous; write `{version}.x` or a whole version")
    return Term(sign, place)


def _wild(sign: str, prefix: tuple[int, ...]) -> Term:
    """`26.x` is from 26 to before 27; the other operators take the end that they mean."""
    low = before_all(prefix)
    high = before_all((*prefix[:-1], prefix[-1] + 1))
    if sign in ("=", "!="):
        return Term(sign, low, high)
    return {">": Term(">=", high), ">=": Term(">=", low), "<": Term("<", low), "<=": Term("<", high)}[sign]
