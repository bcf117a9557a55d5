"""Versions as sort keys, one scheme per component kind. A version stays text; only its key compares.

| scheme | looks like | order |
|---|---|---|
| numeric | `26.7.0`, `28.47.1026`, `1.15.0-0.1738074324.p` | number by number; a rebuilt bundle after its version |
| openshift | `4.18.52`, `4.19.0-rc.2`, `4.18.52+amd64` | semantic versioning; builds have no order; OKD is refused |
| nvidia-driver | `580.173.02`, `550.100` | number by number; two-digit patch numbers |
| doca-ofed | `doca3.4.1-26.04-1.1.0.0-1`, `24.10-0.7.0.0-0` | the OFED part: `26.04`, then the build |
| kernel | `5.14.0-427.el9_4`, `5.14.0-427.el9_4+rt`, `6.8.0-45-generic` | the numbers before the first letter |
| kubernetes | `1.34.3`, `1.35.0-rc.1`, `1.31.4+rke2r1` | semantic versioning; a distribution's build has no order |
| text | `open`, `dma-buf` | none: equal or not |

Why not a library: packaging reads 580.95.05 as 580.95.5 and refuses 24.04-0.6.6.0-0; semver refuses
580.95.05.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from knowngood.planner.spelling import plain
from knowngood.planner.variants import of_kernel, of_kubernetes

TEXT = "text"


@dataclass(frozen=True, slots=True)
class Scheme:
    """How versions of one kind look. `full` is how many numbers an exact version has at least."""

    name: str
    pattern: re.Pattern[str]
    full: int
    example: str


def _pattern(text: str) -> re.Pattern[str]:
    """ASCII: other alphabets have digits too."""
    return re.compile(text, re.ASCII)


_NUMBERS = r"(?P<numbers>\d{1,9}(?:\.\d{1,9})*)"
_REBUILT = r"(?:-0\.(?P<rebuilt>\d{1,12})\.p)?"  # of a bundle whose images were built anew
_PRE = r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"

SCHEMES: dict[str, Scheme] = {
    s.name: s
    for s in (
        Scheme("numeric", _pattern(_NUMBERS + _REBUILT), 3, "26.7.0"),
        Scheme("openshift", _pattern(_NUMBERS + _PRE + r"(?:\+[0-9A-Za-z.-]+)?"), 3, "4.18.52"),
        Scheme("nvidia-driver", _pattern(r"(?P<numbers>\d{3}(?:\.\d{2,3}(?:\.\d{2})?)?)"), 2, "580.173.02"),
        Scheme(
            "doca-ofed",
            _pattern(r"(?:doca\d+(?:\.\d+)*-)?(?P<numbers>\d{2}\.\d{2}(?:-\d{1,9}(?:[.-]\d{1,9})*)?)"),
            3,
            "doca3.4.1-26.04-1.1.0.0-1",
        ),
        Scheme(
            "kernel",
            _pattern(
                r"(?P<numbers>\d{1,9}\.\d{1,9}(?:\.\d{1,9}(?:-\d{1,9}(?:\.\d{1,9})*)?)?)(?P<tail>[.-][A-Za-z][\w.+-]*)?"
            ),
            3,
            "5.14.0-427.el9_4",
        ),
        Scheme(
            "kubernetes",
            _pattern(
                _NUMBERS
                + r"(?:-(?P<pre>(?:alpha|beta|rc)\.\d{1,9}))?"
                + r"(?P<build>(?:-[A-Za-z]|\+[0-9A-Za-z])[\w.+-]*)?"
            ),
            3,
            "1.34.3",
        ),
        Scheme(TEXT, _pattern(r"\S+"), 1, "open"),
    )
}


_Part = tuple[int, int, str]
_FINAL: tuple[_Part, ...] = ((2, 0, ""),)
_AFTER_FINAL = 3
_FIRST: tuple[_Part, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A version's place in its scheme's order. `26.7` and `26.7.0` are one place: trailing zeros are gone.

    `pre` sorts pre-releases before the final version, and a shortened version's place before them all.
    """

    numbers: tuple[int, ...]
    pre: tuple[_Part, ...] = _FINAL
    text: str = ""


@lru_cache(maxsize=1 << 16)
def key(scheme: str, version: str) -> Key:
    """The sort key of an exact version; ValueError says what one looks like."""
    if not is_whole(scheme, version):
        raise ValueError(f"{version!r} is not a whole version; write it like {SCHEMES[scheme].example}")
    return _key(scheme, version)


def bound(scheme: str, version: str) -> Key:
    """Like `key`, also for a version that lacks its last numbers: the place before all that begin with it."""
    found = _key(scheme, version)
    return found if is_whole(scheme, version) else before_all(found.numbers)


def before_all(numbers: tuple[int, ...]) -> Key:
    """The place before every version that begins with these numbers, pre-releases too."""
    return Key(_stripped(numbers), _FIRST)


def is_whole(scheme: str, version: str) -> bool:
    """Whether the version names one release (`26.7.0`), not a line of them (`26.7`); ValueError."""
    return scheme == TEXT or len(_numbers(_match(scheme, version))) >= SCHEMES[scheme].full


def _key(scheme: str, version: str) -> Key:
    match = _match(scheme, version)
    if scheme == TEXT:
        return Key((), _FINAL, version)
    named = match.groupdict()
    if rebuilt := named.get("rebuilt"):
        return Key(_stripped(_numbers(match)), ((_AFTER_FINAL, int(rebuilt), ""),))
    return Key(_stripped(_numbers(match)), _pre(named.get("pre")))


def _match(scheme: str, version: str) -> re.Match[str]:
    rule = SCHEMES.get(scheme)
    if rule is None:
        raise ValueError(f"there is no version scheme {scheme!r}; known are {', '.join(SCHEMES)}")
    match = rule.pattern.fullmatch(version)
    if match is None:
        said = plain(scheme, version)
        if said != version and rule.pattern.fullmatch(said):
            raise ValueError(f"{version!r} is no {scheme} version; write it like {said}")
        raise ValueError(f"{version!r} is no {scheme} version; one looks like {rule.example}")
    if scheme == "openshift" and "okd" in (match["pre"] or ""):
        raise ValueError(
            f"{version!r} is a version of OKD, another product than OpenShift (which looks like {rule.example}): "
            "other kernels and other updates, of which nothing is known here"
        )
    return match


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(map(int, match["numbers"].replace("-", ".").split(".")))


def _stripped(numbers: tuple[int, ...]) -> tuple[int, ...]:
    while numbers and numbers[-1] == 0:
        numbers = numbers[:-1]
    return numbers


def _pre(text: str | None) -> tuple[_Part, ...]:
    """Semantic versioning's order: numbers before words, shorter before longer, the final version last."""
    if text is None:
        return _FINAL
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in text.split("."))


@lru_cache(maxsize=1 << 12)
def variant(scheme: str, version: str) -> str:
    """Which other build of its numbers a version is (`rt`, `64k`, `rke2r1`), "" for the standard one; ValueError."""
    if scheme == "kernel":
        return of_kernel(_match(scheme, version)["tail"] or "")
    if scheme == "kubernetes":
        return of_kubernetes(_match(scheme, version)["build"] or "")
    return ""


def runs(scheme: str, declared: str, running: str) -> bool:
    """Whether what a node reports is the declared version.

    A node may say more (`5.14.0-427.109.1.el9_4.x86_64` for `5.14.0-427.el9_4`) or less (`26.04-1.1.0` for
    `doca3.4.1-26.04-1.1.0.0-1`); these two schemes compare what both say, all others the whole text. Another build of
    the same numbers (a real-time kernel, a distribution of Kubernetes) is another version.
    """
    if scheme not in ("kernel", "doca-ofed", "kubernetes") or declared == running:
        return declared == running
    try:
        if variant(scheme, declared) != variant(scheme, running):
            return False
        if scheme == "kubernetes":
            return key(scheme, declared) == key(scheme, running)
        mine, theirs = _numbers(_match(scheme, declared)), _numbers(_match(scheme, running))
    except ValueError:
        return False
    if scheme == "kernel":
        return theirs[: len(mine)] == mine
    return len(theirs) >= SCHEMES[scheme].full and mine[: len(theirs)] == theirs
