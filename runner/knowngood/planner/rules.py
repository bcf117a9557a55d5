"""What the rules say about a set of versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from knowngood.model.matrix import Component, Rule, Severity
from knowngood.planner.ranges import parse_range


class Outcome(StrEnum):
    """What a rule says about a set of versions."""

    OK = "ok"
    BROKEN = "broken"
    UNKNOWN = "unknown"  # it applies, but the versions do not say whether it is kept


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that applies; `component` is the one that breaks it or is missing ("" where it is kept)."""

    rule: Rule
    outcome: Outcome
    component: str = ""
    version: str = ""

    def sentence(self) -> str:
        """What a person reads: the rule, its message and where it comes from."""
        source = self.rule.sources[0].ref if self.rule.sources else "no source"
        subject = f"{self.component} {self.version or 'unknown'}: " if self.component else ""
        return f"{subject}{self.rule.message} (rule {self.rule.name}, source: {source})"


def evaluate(
    rules: Iterable[Rule], components: Mapping[str, Component], versions: Mapping[str, str]
) -> tuple[Finding, ...]:
    """One finding for each rule that applies to `versions` (component -> exact version).

    A component that `versions` lacks makes `when` false and `require` unknown. ValueError where a version
    or a range can't be read; loaded matrices have none.
    """
    findings = (_evaluate(rule, components, versions) for rule in rules)
    return tuple(f for f in findings if f is not None)


def broken(findings: Iterable[Finding], severity: Severity) -> tuple[Finding, ...]:
    """Those that break a rule of that severity."""
    return tuple(f for f in findings if f.outcome is Outcome.BROKEN and f.rule.severity is severity)


def _evaluate(rule: Rule, components: Mapping[str, Component], versions: Mapping[str, str]) -> Finding | None:
    def holds(name: str, text: str) -> bool:
        return parse_range(components[name].scheme, text).contains(versions[name])

    if not all(name in versions and holds(name, text) for name, text in rule.when.items()):
        return None
    unknown: Finding | None = None
    for name, text in rule.require.items():
        if name not in versions:
            unknown = Finding(rule, Outcome.UNKNOWN, name)
        elif not holds(name, text):
            return Finding(rule, Outcome.BROKEN, name, versions[name])
    return unknown or Finding(rule, Outcome.OK)
