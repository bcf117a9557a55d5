"""What the rules say about a set of versions on given hardware."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Case, Claim, Cluster, Component, Profile, Rule, Severity
from knowngood.planner.ranges import Range, parse_range
from knowngood.planner.version import variant

Traits = Mapping[str, str] | tuple[Mapping[str, str], ...]
"""What rules may ask of the hardware and of a cluster; several where a cluster has several kinds of machines: what a
rule says of one of them, it says of the cluster."""
NO_TRAITS: Mapping[str, str] = MappingProxyType({})
CLUSTER_TRAITS = frozenset({"platform", "infrastructure", "network", "disconnected", "topology"})
"""What only a cluster can tell; the other traits are the hardware profile's."""


KERNEL = "kernel"


class Outcome(StrEnum):
    """What a rule says about a set of versions."""

    OK = "ok"
    BROKEN = "broken"
    UNKNOWN = "unknown"  # it applies, but versions and traits do not say whether it is kept
    NOTE = "note"  # it applies and asks a person to do something; versions can't break it


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that applies; `component` is the one that breaks it or is missing ("" where it is kept).

    Where a trait is missing, `component` is the trait's name. `required` is the range that is broken or can't be
    told.
    """

    rule: Rule
    outcome: Outcome
    component: str = ""
    version: str = ""
    required: str = ""

    def sentence(self) -> str:
        """What a person reads in one line: what the rule says, its name and where it comes from."""
        return f"{self.said()} ({self.origin()})"

    def said(self) -> str:
        """What the rule says of these versions, and what to do."""
        rule = self.rule
        subject = f"{self.component} {self.version or 'unknown'}: " if self.component else ""
        if self.outcome is Outcome.UNKNOWN and self.version:
            subject += "this is said of the standard build, and not known of this one: "
        needs = f"; needs {self.component} {self.required}" if rule.cases and self.required else ""
        todo = f"; {rule.action}" if rule.action else ""
        return f"{subject}{rule.message}{needs}{todo}"

    def origin(self) -> str:
        """The rule's name and where it comes from; in a conflict, who says what."""
        return f"rule {self.rule.name}, {origin(self.rule)}"


def origin(rule: Rule) -> str:
    """Where a rule comes from: its source, both sides of a conflict, or the side that a person chose."""
    if rule.claims and standing(rule) == rule.claims:
        sides = "; ".join(f"{c.source.ref} says {_shown(c.require)}" for c in rule.claims)
        return f"sources disagree, the stricter holds: {sides}"
    if rule.claims:
        return f"source: {rule.decided}, chosen over {_others(rule)}"
    return f"source: {rule.sources[0].ref}" if rule.sources else "source: none"


def standing(rule: Rule) -> tuple[Claim, ...]:
    """The claims that judge: all of them, or the decided one. A decision that names none of them decides nothing."""
    return tuple(c for c in rule.claims if c.source.ref == rule.decided) or rule.claims


def judges(rule: Rule) -> bool:
    """Whether versions can keep or break it; a rule that only names an action can't be broken."""
    return bool(rule.require or rule.cases or rule.claims)


def asks_about(rule: Rule) -> frozenset[str]:
    """Every component that a rule asks about."""
    return frozenset(name for name, _ in ranges_of(rule))


def ranges_of(rule: Rule) -> Iterator[tuple[str, str]]:
    """Every component and range in a rule, wherever they stand."""
    parts = [rule.when, rule.require]
    parts += [part for case in rule.cases for part in (case.when, case.require)]
    parts += [claim.require for claim in rule.claims]
    for part in parts:
        yield from part.items()


def readable(rule: Rule, components: Mapping[str, Component]) -> bool:
    """Whether a rule names only these components and each of its ranges can be read."""
    try:
        for name, text in ranges_of(rule):
            parsed(components[name].scheme, text)
    except (KeyError, ValueError):
        return False
    return True


def traits_of(profile: Profile, cluster: Cluster | None) -> Mapping[str, str]:
    """What rules may ask of hardware and, where one is given, of the cluster."""
    return {**profile.traits, **(cluster.traits if cluster else {})}


def traits_on(hardware: Hardware, cluster: Cluster) -> Traits:
    """Those of a cluster, one for each of its pools."""
    first, *others = (traits_of(profile, cluster) for profile in hardware.profiles)
    return (first, *others) if others else first


def kinds_of(traits: Traits) -> tuple[Mapping[str, str], ...]:
    """The kinds of machines that traits speak of."""
    return traits if isinstance(traits, tuple) else (traits,)


def completed(components: Mapping[str, Component], versions: Mapping[str, str]) -> Mapping[str, str]:
    """`versions` with those that follow from them; an explicit version wins."""
    known = dict(versions)
    for name, component in components.items():
        follows = component.follows
        if follows is None or name in known or follows.component not in known:
            continue
        scheme, version = components[follows.component].scheme, known[follows.component]
        implied = next((v for text, v in follows.versions.items() if in_range(scheme, text, version)), "")
        if implied:
            known[name] = implied
    return known


def evaluate(
    rules: Iterable[Rule],
    components: Mapping[str, Component],
    versions: Mapping[str, str],
    traits: Traits = NO_TRAITS,
) -> tuple[Finding, ...]:
    """One finding for each rule that applies to `versions` (component -> exact version) and `traits`.

    Of several kinds of machines what is said alike is said once.

    A rule with cases gives one for each case that applies. A component that `versions` lacks makes `when` false and
    `require` unknown; a trait that `traits` lacks makes the rule unknown, unless it is kept whatever the trait is.
    ValueError where a version or a range can't be read; loaded matrices have none.
    """
    known = completed(components, versions)
    if not isinstance(traits, tuple):
        state = _State(components, known, traits)
        return tuple(finding for rule in rules for finding in state.findings(rule))
    states = [_State(components, known, kind) for kind in traits]
    found = (f for rule in rules for state in states for f in state.findings(rule))
    return tuple({(f.rule.name, f.outcome, f.component, f.required): f for f in found}.values())


def broken(findings: Iterable[Finding], severity: Severity) -> tuple[Finding, ...]:
    """Those that break a rule of that severity."""
    return tuple(f for f in findings if f.outcome is Outcome.BROKEN and f.rule.severity is severity)


@lru_cache(maxsize=1 << 12)
def parsed(scheme: str, text: str) -> Range:
    """The range, parsed once for each scheme; ValueError."""
    return parse_range(scheme, text)


@lru_cache(maxsize=1 << 17)
def in_range(scheme: str, text: str, version: str) -> bool:
    """Whether an exact version lies in a range; ValueError where one of them can't be read.

    Remembered: searches and ten thousand releases ask the same few questions again and again.
    """
    return parsed(scheme, text).contains(version)


_UPSTREAM = 3
"""A kernel's numbers that are upstream's; what stands behind them is a distribution's build."""


@lru_cache(maxsize=1 << 14)
def is_elsewhere(scheme: str, text: str, version: str) -> bool:
    """Whether a version is another build than the standard one that a range speaks of: nobody said it of that one.

    What a range asks of upstream's Linux (`>=5.12`) is so for each build of it.
    """
    if not variant(scheme, version):
        return False
    terms = (term for terms in parsed(scheme, text).alternatives for term in terms)
    return scheme != KERNEL or any(len(term.low.numbers) > _UPSTREAM for term in terms)


@dataclass(frozen=True, slots=True)
class _State:
    """Completed versions and traits, which rules are asked about."""

    components: Mapping[str, Component]
    versions: Mapping[str, str]
    traits: Mapping[str, str]

    def findings(self, rule: Rule) -> Iterator[Finding]:
        if not self._all_hold(rule.when) or (rule.traits and self._elsewhere(rule)):
            return
        cases = [case for case in rule.cases if self._all_hold(case.when)] if rule.cases else []
        if rule.cases and not cases:
            return
        missing = next((name for name in rule.traits if name not in self.traits), "")
        for finding in self._judged(rule, cases):
            if missing and finding.outcome is not Outcome.OK:
                yield Finding(rule, Outcome.UNKNOWN, missing, required=" or ".join(rule.traits[missing]))
            else:
                yield finding

    def _judged(self, rule: Rule, cases: Iterable[Case]) -> Iterator[Finding]:
        """As if every trait were known and the rule's own."""
        if rule.cases:
            yield from (self._judge(rule, [case.require]) for case in cases)
        elif rule.claims:
            yield self._judge(rule, [claim.require for claim in standing(rule)])
        elif rule.require:
            yield self._judge(rule, [rule.require])
        else:
            yield Finding(rule, Outcome.NOTE)

    def _judge(self, rule: Rule, requires: Iterable[Mapping[str, str]]) -> Finding:
        """All of the requirements must hold; what is broken comes before what can't be told."""
        unknown: Finding | None = None
        for require in requires:
            for name, text in require.items():
                version = self.versions.get(name)
                if version is None:
                    unknown = Finding(rule, Outcome.UNKNOWN, name, required=text)
                elif not in_range(self.components[name].scheme, text, version):
                    return Finding(rule, Outcome.BROKEN, name, version, text)
                elif unknown is None and is_elsewhere(self.components[name].scheme, text, version):
                    unknown = Finding(rule, Outcome.UNKNOWN, name, version, text)
        return unknown or Finding(rule, Outcome.OK)

    def _elsewhere(self, rule: Rule) -> bool:
        """Whether a known trait says that the rule is about other hardware or another kind of cluster."""
        return any(
            name in self.traits and self.traits[name] not in values for name, values in rule.traits.items()
        )

    def _all_hold(self, ranges: Mapping[str, str]) -> bool:
        """A loop, not a generator: most rules end here, and searches ask a million times."""
        for name, text in ranges.items():
            version = self.versions.get(name)
            if version is None or not in_range(self.components[name].scheme, text, version):
                return False
        return True


def _shown(require: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in require.items())


def _others(rule: Rule) -> str:
    return ", ".join(c.source.ref for c in rule.claims if c.source.ref != rule.decided)
