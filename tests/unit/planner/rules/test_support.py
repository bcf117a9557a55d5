"""support: the intersection of all ranges, line by line, as trying everything would find it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.planner.matrices import component, matrix, rule

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.graph import Edges, Version
from knowngood.model.matrix import Claim, Follows, Matrix, Rule, Severity
from knowngood.model.source import Source
from knowngood.planner.rules.evaluation import Outcome, evaluate
from knowngood.planner.rules.support import MAY_RUN, State, Support, as_range, inside, related, support

KNOWN = {
    "openshift": ("4.17.9", "4.18.21", "4.18.22", "4.19.3", "4.20.1", "4.21.4", "4.22.9"),
    "gpu-operator": ("25.3.4", "26.3.3", "26.7.0"),
}


def known(*rules: Rule) -> Matrix:
    edges = {n: Edges(n, {v: Version(v) for v in versions}) for n, versions in KNOWN.items()}
    return replace(matrix(rules=rules, edges=edges), releases={})


def ask(value: Matrix, wanted: str = "openshift", **given_ranges: str) -> Support:
    asked = {n.replace("_", "-"): text for n, text in given_ranges.items()}
    versions = {n: inside(value, n, as_range(value.components[n].scheme, t)) for n, t in asked.items()}
    return support(value, versions, (wanted,), {})


def states(found: Support) -> dict[str, State]:
    return {line.name: line.state for line in found.components[0].lines}


@pytest.mark.parametrize(
    ("scheme", "text", "means"),
    [
        ("numeric", "26.7", "26.7.x"),
        ("numeric", "26.7.0", "26.7.0"),
        ("numeric", ">=26.3 <27", ">=26.3 <27"),
        ("openshift", "4.18", "4.18.x"),
        ("nvidia-driver", "580", "580.x"),
        ("text", "open", "open"),
    ],
)
def test_a_shortened_version_means_its_line(scheme: str, text: str, means: str) -> None:
    assert as_range(scheme, text) == means


def test_what_is_no_range_is_refused() -> None:
    with pytest.raises(ValueError, match="twenty"):
        as_range("numeric", "twenty")


def test_gpu_operator_26_7_with_network_operator_26_4_0_is_openshift_4_18_to_4_21() -> None:
    """No vendor says so: one documents 4.18 to 4.22, the other 4.17 to 4.21, and the 4.22 catalog begins at 26.4.1."""
    value = load(matrix_dir())
    found = ask(value, gpu_operator="26.7", network_operator="26.4.0")
    assert found.components[0].names(*MAY_RUN) == ("4.18", "4.19", "4.20", "4.21")


def test_an_exact_version_nobody_knows_is_taken_as_it_is() -> None:
    assert inside(known(), "gpu-operator", "26.9.1") == ("26.9.1",)
    assert inside(known(), "gpu-operator", "27.x") == ()


def test_a_range_that_only_warns_is_a_limit_too_and_says_that_it_is_not_hard() -> None:
    value = known(
        rule("hard", {"gpu-operator": "26.7.x"}, {"openshift": ">=4.18"}),
        rule("documented", {"gpu-operator": "26.7.x"}, {"openshift": "<4.22"}, "warn"),
        rule("only-told", {"gpu-operator": "26.7.x"}, {"openshift": "<4.19"}, "info"),
    )
    found = ask(value, gpu_operator="26.7")
    assert states(found) == {
        "4.17": State.FORBIDDEN,
        "4.18": State.ALLOWED,
        "4.19": State.ALLOWED,
        "4.20": State.ALLOWED,
        "4.21": State.ALLOWED,
        "4.22": State.UNSUPPORTED,
    }
    assert [x.finding.rule.name for x in found.components[0].lines[-1].why] == ["documented"]


def conflict(severity: str, decided: str = "") -> Rule:
    """Documents say up to 4.21, the certificate up to 4.20."""
    claims = (
        Claim({"openshift": "<4.22"}, Source("documents")),
        Claim({"openshift": "<4.21"}, Source("certificate")),
    )
    return replace(rule("c", {"gpu-operator": "26.7.x"}, {}, severity), claims=claims, decided=decided)


@pytest.mark.parametrize(
    ("told", "at_4_21", "at_4_22"),
    [
        (conflict("warn"), State.DISPUTED, State.UNSUPPORTED),
        (conflict("warn", "documents"), State.ALLOWED, State.UNSUPPORTED),
        (conflict("warn", "certificate"), State.UNSUPPORTED, State.UNSUPPORTED),
        (conflict("block"), State.FORBIDDEN, State.FORBIDDEN),
    ],
    ids=["nobody decided", "for the documents", "for the certificate", "it blocks"],
)
def test_what_one_source_of_a_conflict_allows_is_disputed_until_a_person_decides(
    told: Rule, at_4_21: State, at_4_22: State
) -> None:
    found = states(ask(known(told), gpu_operator="26.7"))
    assert (found["4.20"], found["4.21"], found["4.22"]) == (State.ALLOWED, at_4_21, at_4_22)


def test_one_bad_version_does_not_close_its_line() -> None:
    value = known(rule("crun", {"openshift": "4.18.22"}, {"openshift": "!=4.18.22"}))
    line = next(x for x in ask(value, gpu_operator="26.7").components[0].lines if x.name == "4.18")
    assert (line.state, line.versions) == (State.ALLOWED, ("4.18.21",))
    assert [x.finding.rule.name for x in line.except_for["4.18.22"]] == ["crun"]


def test_a_version_is_allowed_if_some_version_of_the_range_suits_it() -> None:
    value = known(
        rule("old", {"gpu-operator": "<26"}, {"openshift": "<4.18"}),
        rule("new", {"gpu-operator": ">=26"}, {"openshift": ">=4.21"}),
    )
    allowed = ask(value, gpu_operator=">=25.3").components[0].names(State.ALLOWED)
    assert allowed == ("4.17", "4.21", "4.22")


def test_what_follows_from_a_version_counts_for_it() -> None:
    kubernetes = replace(
        component("kubernetes", "numeric"),
        follows=Follows("openshift", {"<4.19": "1.31.0", "4.19.x": "1.32.0", ">=4.20": "1.35.0"}),
    )
    value = known(rule("r", {"gpu-operator": "26.7.x"}, {"kubernetes": ">=1.32 <1.35"}))
    value = replace(value, components={**value.components, "kubernetes": kubernetes})
    assert related(value, ["gpu-operator"]) == ("openshift",)
    assert ask(value, gpu_operator="26.7").components[0].names(State.ALLOWED) == ("4.19",)


def test_only_components_that_a_rule_ties_to_the_given_ones_are_answered() -> None:
    value = known(
        rule("r", {"gpu-operator": "26.x"}, {"openshift": ">=4.18"}),
        rule("s", {}, {"nvidia-driver": ">=580"}),
    )
    assert related(value, ["gpu-operator"]) == ("openshift",)


def test_given_components_that_cannot_run_together_are_named_as_the_reason() -> None:
    value = known(rule("r", {"gpu-operator": "26.7.x"}, {"kernel-module-type": "open"}))
    found = ask(value, gpu_operator="26.7", kernel_module_type="proprietary")
    assert [f.rule.name for f in found.conflict] == ["r"]


def test_a_rule_about_hardware_nobody_named_is_told_apart() -> None:
    value = known(
        replace(
            rule("b", {"gpu-operator": "26.x"}, {"openshift": ">=4.19"}), traits={"gpu-arch": ("blackwell",)}
        )
    )
    found = ask(value, gpu_operator="26.7")
    assert [f.rule.name for f in found.depends] == ["b"]
    assert State.FORBIDDEN not in states(found).values()
    versions = {"gpu-operator": ("26.7.0",)}
    told = support(value, versions, ("openshift",), {"gpu-arch": "blackwell"})
    assert told.components[0].names(State.FORBIDDEN) == ("4.17", "4.18")


RANGES = {
    "openshift": (">=4.18", "<4.21", "!=4.18.22", "4.17.x || 4.20.x"),
    "gpu-operator": (">=26", "<26.7", "!=26.3.3", "25.x || 26.7.x"),
    "kernel-module-type": ("open", "!=open"),
}
a_range = st.sampled_from([(n, t) for n, texts in RANGES.items() for t in texts])
a_rule = st.tuples(
    st.lists(a_range, max_size=2),
    st.lists(a_range, min_size=1, max_size=2),
    st.sampled_from(["block", "warn", "info"]),
)


@settings(max_examples=150, deadline=None)
@given(rules=st.lists(a_rule, max_size=5), operator=st.sampled_from([">=25", "26.x", "26.7", "<26.7"]))
def test_each_version_has_the_state_that_trying_everything_gives_it(
    rules: list[tuple[list[tuple[str, str]], list[tuple[str, str]], str]], operator: str
) -> None:
    made = [rule(f"r{i}", dict(w), dict(q), severity) for i, (w, q, severity) in enumerate(rules)]
    value = known(*made)
    chosen = {
        "gpu-operator": inside(value, "gpu-operator", as_range("numeric", operator)),
        "kernel-module-type": ("open", "proprietary"),
    }
    found = support(value, chosen, ("openshift",), {})
    said: dict[str, State] = {}
    for line in found.components[0].lines:
        said |= dict.fromkeys(line.versions, line.state)
        for version, why in line.except_for.items():
            said[version] = max(limit.state for limit in why)
    for version in KNOWN["openshift"]:
        expected = min(
            _state(value, {"openshift": version, **dict(zip(chosen, pick, strict=True))})
            for pick in itertools.product(*chosen.values())
        )
        assert said[version] is expected, version


def _state(value: Matrix, versions: dict[str, str]) -> State:
    bad = [
        f for f in evaluate(value.rules.values(), value.components, versions) if f.outcome is Outcome.BROKEN
    ]
    severities = {f.rule.severity for f in bad}
    if Severity.BLOCK in severities:
        return State.FORBIDDEN
    return State.UNSUPPORTED if Severity.WARN in severities else State.ALLOWED
