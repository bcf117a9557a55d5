"""What the compatibility rules say about releases, asked once for all lint rules that want to know.

A rule's answer depends on the versions and traits that it names and on nothing else, so it is asked once for each
combination of these: ten thousand releases share most of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from knowngood.matrix.documents import Document
from knowngood.model.matrix import Matrix, Rule, Status
from knowngood.planner.rules import Finding, Outcome, evaluate, names, traits_of
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


@dataclass(slots=True)
class Judge:
    """Answers by rule, versions and traits. What can't be read is another rule's finding."""

    matrix: Matrix
    _asked: list[tuple[Rule, tuple[str, ...], dict[tuple[str, ...], tuple[Finding, ...]]]] = field(init=False)
    _whole: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = self.matrix.components
        self._asked = [
            (rule, _decided_by(rule, self.matrix), {})
            for rule in self.matrix.rules.values()
            if names(rule) <= known.keys()
        ]

    def unreadable(self, components: Mapping[str, str]) -> dict[str, str]:
        """Component -> what is wrong with its version; unknown components are left out."""
        found = {n: self._wrong(n, v) for n, v in components.items() if n in self.matrix.components}
        return {name: wrong for name, wrong in found.items() if wrong}

    def findings(self, components: Mapping[str, str], traits: Mapping[str, str]) -> Iterator[Finding]:
        """What each rule says about these versions on this hardware."""
        wrong = self.unreadable(components)
        versions = {n: v for n, v in components.items() if n in self.matrix.components and n not in wrong}
        for rule, asks, answers in self._asked:
            at = (*(versions.get(n, "") for n in asks), *(traits.get(t, "") for t in rule.traits))
            if at not in answers:
                try:
                    answers[at] = evaluate([rule], self.matrix.components, versions, traits)
                except ValueError:
                    answers[at] = ()
            yield from (f for f in answers[at] if f.component not in wrong)

    def releases(self, documents: Mapping[str, Document]) -> Iterator[Judged]:
        """Every release that is not revoked, on each of its profiles."""
        for document in documents.values():
            if document.value["status"] != Status.REVOKED:
                yield from self._release(document)

    def _release(self, document: Document) -> Iterator[Judged]:
        profiles = document.value["profiles"]
        found: dict[Mark, tuple[Finding, list[str]]] = {}
        for name in profiles:
            profile = self.matrix.profiles.get(name)
            traits = traits_of(profile, None) if profile else {}
            for finding in self.findings(document.value["components"], traits):
                mark = (finding.rule.name, finding.outcome, finding.component, finding.required)
                found.setdefault(mark, (finding, []))[1].append(name)
        for finding, where in found.values():
            yield Judged(document, finding, () if len(where) == len(profiles) else tuple(where))

    def _wrong(self, name: str, version: str) -> str:
        if (name, version) not in self._whole:
            try:
                key(self.matrix.components[name].scheme, version)
                self._whole[name, version] = ""
            except ValueError as error:
                self._whole[name, version] = str(error)
        return self._whole[name, version]


def _decided_by(rule: Rule, matrix: Matrix) -> tuple[str, ...]:
    """The components that decide a rule's answer: those it names, and those that these follow."""
    asked = set(names(rule))
    for name in tuple(asked):
        follows = matrix.components[name].follows
        if follows is not None:
            asked.add(follows.component)
    return tuple(sorted(asked))
