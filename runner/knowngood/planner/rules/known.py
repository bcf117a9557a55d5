"""Which versions of a component are known, how they fall into lines, and which of them no rule can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from knowngood.model.matrix import Component, Matrix, Rule
from knowngood.planner.rules.evaluation import completed, in_range, parsed
from knowngood.planner.version import SCHEMES, TEXT, is_whole, key

LINE_NUMBERS = {"openshift": 2, "numeric": 2, "kubernetes": 2, "nvidia-driver": 1, "doca-ofed": 2}
"""How many numbers name a line of versions; other schemes have no lines."""


def known_versions(matrix: Matrix, component: str) -> tuple[str, ...]:
    """Every final version that edges and releases name, oldest first; of a setting also the values rules name."""
    scheme = matrix.components[component].scheme
    edges = matrix.edges.get(component)
    found = dict.fromkeys(edges.versions if edges else ())
    found |= dict.fromkeys(
        r.components[component] for r in matrix.releases.values() if component in r.components
    )
    if scheme == TEXT:
        return tuple(sorted({*found, *_values(matrix.rules.values(), component)}))
    return tuple(sorted((v for v in found if _final(scheme, v)), key=lambda v: key(scheme, v)))


def line_of(scheme: str, version: str) -> str:
    """The line a version belongs to: 4.18 of 4.18.52, 595 of 595.91.07; itself where its scheme has no lines."""
    count = LINE_NUMBERS.get(scheme, 0)
    match = SCHEMES[scheme].pattern.fullmatch(version) if count else None
    if match is None:
        return version
    return ".".join(match["numbers"].replace("-", ".").split(".")[:count])


def near(matrix: Matrix, component: str, text: str, count: int = 4) -> tuple[str, ...]:
    """Known versions that somebody may have meant, oldest first: the newest of the line that `text` begins.

    Else those that stand next to it, where it is a version; else the newest of all.
    """
    known = known_versions(matrix, component)
    scheme = matrix.components[component].scheme
    if line := [v for v in known if v.startswith((f"{text}.", f"{text}-"))]:
        return tuple(line[-count:])
    try:
        older = sum(key(scheme, v) < key(scheme, text) for v in known)
    except ValueError:
        older = len(known)
    first = max(0, min(older - count // 2, len(known) - count))
    return known[first : first + count]


def beyond(matrix: Matrix, component: str, version: str) -> bool:
    """Whether a version lies outside of every line that is known: no rule's range was written with it in mind."""
    known, scheme = known_versions(matrix, component), matrix.components[component].scheme
    if not known or scheme not in LINE_NUMBERS or not is_whole(scheme, version):
        return False
    if any(r.components.get(component) == version for r in matrix.releases.values()):
        return False  # a pre-release counts where somebody made a release of it
    between = key(scheme, known[0]) <= key(scheme, version) <= key(scheme, known[-1])
    return not between and line_of(scheme, version) not in {line_of(scheme, v) for v in known}


@dataclass(frozen=True, slots=True)
class Alike:
    """Versions of one component that all rules treat alike, oldest first; they answer for one another."""

    component: str
    versions: tuple[str, ...]

    @property
    def one(self) -> str:
        """Any of them: the newest."""
        return self.versions[-1]


def alike(
    rules: Iterable[Rule], components: Mapping[str, Component], component: str, versions: Iterable[str]
) -> tuple[Alike, ...]:
    """Versions in classes that no rule can tell apart, by their own ranges and by what follows from them."""
    scheme = components[component].scheme
    texts = sorted({text for rule in rules for text in ranges_on(rule, component)})
    classes: dict[tuple[object, ...], list[str]] = {}
    for version in versions:
        implied = {n: v for n, v in completed(components, {component: version}).items() if n != component}
        mark = (*(in_range(scheme, text, version) for text in texts), *sorted(implied.items()))
        classes.setdefault(mark, []).append(version)
    return tuple(Alike(component, tuple(found)) for found in classes.values())


def ranges_on(rule: Rule, component: str) -> tuple[str, ...]:
    """Every range that a rule names for a component."""
    parts = [rule.when, rule.require]
    parts += [part for case in rule.cases for part in (case.when, case.require)]
    parts += [claim.require for claim in rule.claims]
    return tuple(part[component] for part in parts if component in part)


def followers(components: Mapping[str, Component], names: Iterable[str]) -> frozenset[str]:
    """The components whose versions follow from one of these."""
    leaders = set(names)
    return frozenset(n for n, c in components.items() if c.follows and c.follows.component in leaders)


def _values(rules: Iterable[Rule], component: str) -> Iterable[str]:
    for rule in rules:
        for text in ranges_on(rule, component):
            for terms in parsed(TEXT, text).alternatives:
                yield from (term.low.text for term in terms if term.sign == "=")


def _final(scheme: str, version: str) -> bool:
    """Whether it is a version of the scheme, and no pre-release."""
    try:
        place = key(scheme, version)
    except ValueError:
        return False
    return place.pre == key(scheme, SCHEMES[scheme].example).pre
