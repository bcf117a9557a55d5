"""What a rule says: kept, broken, or it can't be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.planner.matrices import cluster, component, profile, rule

from knowngood.model.matrix import Case, Claim, Follows, Rule, Severity
from knowngood.model.source import Source
from knowngood.planner.ranges import parse_range
from knowngood.planner.rules.evaluation import Outcome, asks_about, broken, completed, evaluate, traits_of

COMPONENTS = {
    c.name: c for c in (component("os", "openshift"), component("op", "numeric"), component("mode", "text"))
}
RULE = rule("r", {"op": "26.x"}, {"os": ">=4.18 <4.23", "mode": "open"})


@pytest.mark.parametrize(
    ("versions", "outcome", "blamed"),
    [
        ({"op": "26.7.0", "os": "4.18.1", "mode": "open"}, Outcome.OK, ""),
        ({"op": "26.7.0", "os": "4.17.1", "mode": "open"}, Outcome.BROKEN, "os"),
        ({"op": "26.7.0", "os": "4.17.1"}, Outcome.BROKEN, "os"),
        ({"op": "26.7.0", "mode": "closed"}, Outcome.BROKEN, "mode"),
        ({"op": "26.7.0", "mode": "open"}, Outcome.UNKNOWN, "os"),
        ({"op": "26.7.0"}, Outcome.UNKNOWN, "mode"),
    ],
)
def test_a_rule_is_kept_broken_or_unknown(versions: dict[str, str], outcome: Outcome, blamed: str) -> None:
    (finding,) = evaluate([RULE], COMPONENTS, versions)
    assert (finding.outcome, finding.component) == (outcome, blamed)


@pytest.mark.parametrize("versions", [{"op": "25.3.0", "os": "4.17.1"}, {"os": "4.17.1"}, {}])
def test_a_rule_whose_condition_is_false_or_can_not_be_asked_says_nothing(versions: dict[str, str]) -> None:
    assert evaluate([RULE], COMPONENTS, versions) == ()


def test_without_a_condition_a_rule_always_applies() -> None:
    (finding,) = evaluate([rule("r", {}, {"os": ">=4.18"})], COMPONENTS, {"os": "4.17.0"})
    assert finding.outcome is Outcome.BROKEN


def test_the_sentence_names_component_version_rule_and_source() -> None:
    (finding,) = evaluate([RULE], COMPONENTS, {"op": "26.7.0", "os": "4.17.1", "mode": "open"})
    assert finding.sentence() == "os 4.17.1: r says no (rule r, source: vendor page 7)"


def test_severities_are_kept_apart() -> None:
    warn = rule("w", {}, {"os": ">=4.18"}, severity="warn")
    findings = evaluate([warn], COMPONENTS, {"os": "4.17.0"})
    assert broken(findings, Severity.BLOCK) == ()
    assert len(broken(findings, Severity.WARN)) == 1


TABLE = replace(
    rule("t", {"op": "26.x"}, {}),
    cases=(
        Case({"os": "4.18.x"}, {"mode": "open"}),
        Case({"os": ">=4.18 <4.20"}, {"op": ">=26.4"}),
        Case({"os": "4.21.x"}, {"mode": "*"}),
    ),
)
CONFLICT = replace(
    rule("c", {"op": "26.x"}, {}),
    sources=(Source("page 1"), Source("page 2")),
    claims=(
        Claim({"os": ">=4.14 <4.22"}, Source("page 1")),
        Claim({"os": ">=4.17 <4.22"}, Source("page 2")),
    ),
)
HOPPER = replace(RULE, traits={"gpu-arch": ("hopper", "ampere")})
NOTE = replace(rule("n", {"op": ">=26"}, {}), action="edit the field by hand")


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"op": "26.7.0", "os": "4.18.1", "mode": "open"}, [Outcome.OK, Outcome.OK]),
        ({"op": "26.7.0", "os": "4.18.1", "mode": "closed"}, [Outcome.BROKEN, Outcome.OK]),
        ({"op": "26.3.0", "os": "4.19.1", "mode": "closed"}, [Outcome.BROKEN]),
        ({"op": "26.7.0", "os": "4.21.1"}, [Outcome.UNKNOWN]),
        ({"op": "26.7.0", "os": "4.22.1"}, []),
        ({"op": "25.3.0", "os": "4.18.1"}, []),
    ],
)
def test_each_row_of_a_table_judges_as_a_rule_of_its_own(
    versions: dict[str, str], said: list[Outcome]
) -> None:
    assert [f.outcome for f in evaluate([TABLE], COMPONENTS, versions)] == said


def test_a_table_says_what_its_row_needs() -> None:
    (finding,) = evaluate([TABLE], COMPONENTS, {"op": "26.3.0", "os": "4.19.1"})
    assert finding.sentence() == "op 26.3.0: t says no; needs op >=26.4 (rule t, source: vendor page 7)"


@pytest.mark.parametrize(
    ("os", "decided", "outcome"),
    [
        ("4.18.1", "", Outcome.OK),
        ("4.15.1", "", Outcome.BROKEN),
        ("4.15.1", "page 1", Outcome.OK),
        ("4.15.1", "page 2", Outcome.BROKEN),
        ("4.15.1", "page 3", Outcome.BROKEN),
        ("4.22.1", "page 1", Outcome.BROKEN),
    ],
)
def test_of_sources_that_disagree_the_stricter_judges_until_a_person_decides(
    os: str, decided: str, outcome: Outcome
) -> None:
    """A decision that names no claim decides nothing: the stricter goes on judging."""
    (finding,) = evaluate([replace(CONFLICT, decided=decided)], COMPONENTS, {"op": "26.7.0", "os": os})
    assert finding.outcome is outcome


def test_a_conflict_names_both_sources_and_a_decision_names_what_it_overruled() -> None:
    versions = {"op": "26.7.0", "os": "4.15.1"}
    (open_one,) = evaluate([CONFLICT], COMPONENTS, versions)
    assert open_one.sentence() == (
        "os 4.15.1: c says no (rule c, sources disagree, the stricter holds:"
        " page 1 says os >=4.14 <4.22; page 2 says os >=4.17 <4.22)"
    )
    (decided,) = evaluate([replace(CONFLICT, decided="page 2")], COMPONENTS, versions)
    assert decided.sentence().endswith("(rule c, source: page 2, chosen over page 1)")


@pytest.mark.parametrize(
    ("traits", "said"),
    [
        ({"gpu-arch": "hopper"}, [(Outcome.BROKEN, "os")]),
        ({"gpu-arch": "blackwell"}, []),
        ({}, [(Outcome.UNKNOWN, "gpu-arch")]),
    ],
)
def test_a_rule_about_other_hardware_says_nothing_and_unknown_hardware_is_not_kept(
    traits: dict[str, str], said: list[tuple[Outcome, str]]
) -> None:
    versions = {"op": "26.7.0", "os": "4.17.1", "mode": "open"}
    found = evaluate([HOPPER], COMPONENTS, versions, traits)
    assert [(f.outcome, f.component) for f in found] == said
    assert evaluate([HOPPER], COMPONENTS, {"op": "25.3.0"}, traits) == ()


def test_what_is_kept_on_any_hardware_is_kept() -> None:
    versions = {"op": "26.7.0", "os": "4.18.1", "mode": "open"}
    assert [f.outcome for f in evaluate([HOPPER], COMPONENTS, versions)] == [Outcome.OK]


def test_what_a_person_must_do_is_a_note_where_the_rule_applies() -> None:
    (finding,) = evaluate([NOTE], COMPONENTS, {"op": "26.7.0"})
    assert finding.outcome is Outcome.NOTE
    assert finding.sentence() == "n says no; edit the field by hand (rule n, source: vendor page 7)"
    assert evaluate([NOTE], COMPONENTS, {"op": "25.3.0"}) == ()


@pytest.mark.parametrize(
    ("versions", "kube"),
    [
        ({"os": "4.18.3"}, "1.31.0"),
        ({"os": "4.20.3"}, "1.32.0"),
        ({"os": "4.18.3", "kube": "1.31.9"}, "1.31.9"),
        ({"os": "4.30.0"}, None),
        ({"op": "26.7.0"}, None),
    ],
)
def test_a_version_follows_from_another_and_an_explicit_one_wins(
    versions: dict[str, str], kube: str | None
) -> None:
    follows = Follows("os", {"4.18.x": "1.31.0", "4.18.x || 4.19.x || 4.20.x": "1.32.0"})
    components = {**COMPONENTS, "kube": replace(component("kube", "numeric"), follows=follows)}
    assert completed(components, versions).get("kube") == kube
    (finding,) = evaluate([rule("r", {}, {"kube": "*"})], components, versions)
    assert finding.outcome is (Outcome.OK if kube else Outcome.UNKNOWN)


def test_traits_come_from_the_profile_and_from_the_cluster() -> None:
    hardware = replace(profile(), traits={"gpu-arch": "hopper"})
    assert traits_of(hardware, None) == {"gpu-arch": "hopper"}
    here = replace(cluster(), traits={"platform": "openshift"})
    assert traits_of(hardware, here) == {"gpu-arch": "hopper", "platform": "openshift"}


def test_a_rule_names_every_component_it_asks_about() -> None:
    assert asks_about(TABLE) == {"op", "os", "mode"}
    assert asks_about(CONFLICT) == asks_about(replace(CONFLICT, claims=CONFLICT.claims[:1])) == {"op", "os"}


RANGES = {
    "os": ["*", "4.18.x", ">=4.18 <4.20", "!=4.18.1", "<4.19 || >=4.20"],
    "op": ["*", "26.x", ">=26.4", "<26.7.0"],
    "mode": ["*", "open", "open || closed", "!=open"],
}
EXACT = {
    "os": ["4.17.9", "4.18.1", "4.19.0", "4.20.3"],
    "op": ["25.3.0", "26.3.0", "26.7.0"],
    "mode": ["open", "closed"],
}
names_of = st.sampled_from(sorted(RANGES))
tables = st.dictionaries(names_of, st.integers(0, 3)).map(
    lambda picked: {name: RANGES[name][i] for name, i in picked.items()}
)
some = tables.filter(bool)
states = st.dictionaries(names_of, st.integers(0, 1)).map(
    lambda picked: {name: EXACT[name][i] for name, i in picked.items()}
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule of any kind."""
    made = replace(
        rule("r", draw(tables), {}),
        traits=draw(st.sampled_from([{}, {"arch": ("a", "b")}, {"arch": ("b",), "net": ("x",)}])),
    )
    ways: list[Rule] = [
        replace(made, require=draw(some)),
        replace(made, cases=tuple(Case(draw(some), draw(some)) for _ in range(draw(st.integers(1, 3))))),
        replace(made, claims=tuple(Claim(draw(some), Source(f"p{i}")) for i in range(2))),
        replace(made, action="do it"),
    ]
    return replace(draw(st.sampled_from(ways)), decided=draw(st.sampled_from(["", "p1", "p7"])))


def naive(one: Rule, versions: dict[str, str], traits: dict[str, str]) -> list[Outcome]:
    """The same in the plainest words: no memory, no shortcuts, each part on its own."""

    def told(table: Mapping[str, str]) -> list[bool | None]:
        return [
            parse_range(COMPONENTS[n].scheme, text).contains(versions[n]) if n in versions else None
            for n, text in table.items()
        ]

    def verdict(answers: list[bool | None]) -> Outcome:
        if False in answers:
            return Outcome.BROKEN
        return Outcome.UNKNOWN if None in answers else Outcome.OK

    if any(answer is not True for answer in told(one.when)):
        return []
    if any(name in traits and traits[name] not in values for name, values in one.traits.items()):
        return []
    rows = [case for case in one.cases if all(answer is True for answer in told(case.when))]
    if one.cases and not rows:
        return []
    if one.cases:
        said = [verdict(told(case.require)) for case in rows]
    elif one.claims:
        chosen = [c for c in one.claims if c.source.ref == one.decided]
        said = [verdict([a for claim in chosen or one.claims for a in told(claim.require)])]
    else:
        said = [verdict(told(one.require))] if one.require else [Outcome.NOTE]
    if all(name in traits for name in one.traits):
        return said
    return [Outcome.OK if outcome is Outcome.OK else Outcome.UNKNOWN for outcome in said]


@given(
    rules(),
    states,
    st.fixed_dictionaries({}, optional={"arch": st.sampled_from("ac"), "net": st.sampled_from("xy")}),
)
def test_it_says_what_the_plain_reading_of_a_rule_says(
    one: Rule, versions: dict[str, str], traits: dict[str, str]
) -> None:
    assert [f.outcome for f in evaluate([one], COMPONENTS, versions, traits)] == naive(one, versions, traits)
