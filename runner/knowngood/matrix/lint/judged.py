"""What the compatibility rules say about releases, asked once for all lint rules that want to know.

A rule's answer depends on the versions and traits that it names and on nothing else, so it is asked once for each
combination of these: ten thousand releases share most of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from knowngood.matrix.documents import Document
from knowngood.model.matrix import Matrix, ReleaseStatus, Rule
from knowngood.planner.rules.evaluation import Finding, Outcome, asks_about, evaluate, readable, traits_of
from knowngood.planner.version import key

Mark = tuple[str, Outcome, str, str]


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding about one release; `only` are the profiles where it holds, () where it holds on all of them."""

    document: Document
    finding: Finding
    only: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The finding's sentence, and where it holds."""
        where = f" on {', '.join(self.only)}" if self.only else ""
        return self.finding.sentence() + where


@dataclass(frozen=True, slots=True)
class _Group:
    """Rules that ask for the same components and traits, and what was answered so far."""

    asks: tuple[str, ...]
    traits: tuple[str, ...]
    rules: list[Rule] = field(default_factory=list)
    answers: dict[tuple[str, ...], tuple[Finding, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Judge:
    """Answers by rules, versions and traits. What can't be read is another rule's finding."""

    matrix: Matrix
    _groups: tuple[_Group, ...] = field(init=False)
    _whole: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        groups: dict[tuple[tuple[str, ...], tuple[str, ...]], _Group] = {}
        for rule in self.matrix.rules.values():
            if readable(rule, self.matrix.components):
                shared = (_decided_by(rule, self.matrix), tuple(sorted(rule.traits)))
                groups.setdefault(shared, _Group(*shared)).rules.append(rule)
        self._groups = tuple(groups.values())

    @property
    def asked(self) -> set[str]:
        """The rules that answer; the others are of files that can't be read, or speak of such."""
        return {rule.name for group in self._groups for rule in group.rules}

    def unreadable(self, components: Mapping[str, str]) -> dict[str, str]:
        """Component -> what is wrong with its version; unknown components are left out."""
        known, whole = self.matrix.components, self._whole
        wrong: dict[str, str] = {}
        for item in components.items():
            if item not in whole:
                whole[item] = _wrong(known[item[0]].scheme, item[1]) if item[0] in known else ""
            if whole[item]:
                wrong[item[0]] = whole[item]
        return wrong

    def findings(self, components: Mapping[str, str], traits: Mapping[str, str]) -> Iterator[Finding]:
        """What is broken, or can't be told, of these versions on this hardware."""
        return self._of(self._groups, components, traits)

    def _of(
        self, groups: Iterable[_Group], components: Mapping[str, str], traits: Mapping[str, str]
    ) -> Iterator[Finding]:
        wrong = self.unreadable(components)
        versions = {n: v for n, v in components.items() if n not in wrong} if wrong else components
        for group in groups:
            asked = tuple([versions.get(name, "") for name in group.asks])
            if group.traits:
                asked += tuple([traits.get(name, "") for name in group.traits])
            found = group.answers.get(asked)
            if found is None:
                found = group.answers[asked] = tuple(self._ask(group.rules, versions, traits))
            if found:
                yield from (f for f in found if f.component not in wrong)

    def releases(self, documents: Mapping[str, Document]) -> Iterator[Judged]:
        """Every release that is not revoked, on each of its profiles."""
        for document in documents.values():
            if document.value["status"] != ReleaseStatus.REVOKED:
                yield from self._release(document)

    def _release(self, document: Document) -> Iterator[Judged]:
        components, profiles = document.value["components"], document.value["profiles"]
        for finding in self._of((g for g in self._groups if not g.traits), components, {}):
            yield Judged(document, finding)
        hardware = [g for g in self._groups if g.traits]
        found: dict[Mark, tuple[Finding, list[str]]] = {}
        for name in profiles if hardware else ():
            profile = self.matrix.profiles.get(name)
            if profile is None:  # that it is not there, or can't be read, is another rule's finding
                continue
            for finding in self._of(hardware, components, traits_of(profile, None)):
                mark = (finding.rule.name, finding.outcome, finding.component, finding.required)
                found.setdefault(mark, (finding, []))[1].append(name)
        for finding, where in found.values():
            yield Judged(document, finding, () if len(where) == len(profiles) else tuple(where))

    def _ask(
        self, rules: list[Rule], versions: Mapping[str, str], traits: Mapping[str, str]
    ) -> list[Finding]:
        known = {name: version for name, version in versions.items() if name in self.matrix.components}
        try:
            findings = evaluate(rules, self.matrix.components, known, traits)
        except ValueError:  # of one rule; the others still answer
            return (
                [f for rule in rules for f in self._ask([rule], versions, traits)] if len(rules) > 1 else []
            )
        return [f for f in findings if f.outcome in (Outcome.BROKEN, Outcome.UNKNOWN)]


def _wrong(scheme: str, version: str) -> str:
    try:
        key(scheme, version)
    except ValueError as error:
        return str(error)
    return ""


def _decided_by(rule: Rule, matrix: Matrix) -> tuple[str, ...]:
    """The components that decide a rule's answer: those it names, and those that these follow."""
    asked = set(asks_about(rule))
    for name in tuple(asked):
        follows = matrix.components[name].follows
        if follows is not None:
            asked.add(follows.component)
    return tuple(sorted(asked))
