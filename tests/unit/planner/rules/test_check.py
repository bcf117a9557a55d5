"""check: every rule that speaks, and the nearest combination that passes, as trying everything would find it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.planner.matrices import component, matrix, release, rule, with_component

from knowngood.model.graph import Edges, Version
from knowngood.model.matrix import Follows, Matrix, Rule, Severity, UndoClass
from knowngood.planner.rules.check import Answer, Change, check
from knowngood.planner.rules.evaluation import Outcome, broken, evaluate
from knowngood.planner.rules.known import known_versions, line_of

KNOWN = {
    "openshift": ("4.17.9", "4.18.21", "4.18.22", "4.18.24", "4.19.0-rc.1", "4.19.3"),
    "gpu-operator": ("25.3.4", "26.3.2", "26.3.3", "26.7.0"),
    "nvidia-driver": ("570.124.06", "580.173.02", "595.91.07"),
}


def known(*rules: Rule, **changes: tuple[str, ...]) -> Matrix:
    edges = {
        name: Edges(name, {v: Version(v) for v in versions})
        for name, versions in {**KNOWN, **changes}.items()
    }
    return matrix(rules=rules, edges=edges)


def test_kept_broken_unknown_and_note_are_all_told_gravest_first() -> None:
    note = replace(rule("d-note", {"gpu-operator": "26.x"}, {}), action="restart the validator")
    value = known(
        rule("a-kept", {"gpu-operator": "26.x"}, {"openshift": ">=4.18"}),
        rule("b-warns", {"gpu-operator": "26.x"}, {"openshift": ">=4.19"}, "warn"),
        rule("c-unknown", {"gpu-operator": "26.x"}, {"kernel-module-type": "open"}),
        note,
        rule("e-silent", {"gpu-operator": "25.x"}, {"openshift": ">=4.19"}),
    )
    found = check(value, {"gpu-operator": "26.7.0", "openshift": "4.18.24"}, {})
    assert [(f.rule.name, f.outcome) for f in found.findings] == [
        ("b-warns", Outcome.BROKEN),
        ("c-unknown", Outcome.UNKNOWN),
        ("d-note", Outcome.NOTE),
        ("a-kept", Outcome.OK),
    ]
    assert found.answer is Answer.UNKNOWN
    assert found.nearest is None


def test_only_a_rule_that_blocks_says_no() -> None:
    value = known(rule("w", {}, {"openshift": ">=4.19"}, "warn"))
    assert check(value, {"openshift": "4.18.24"}, {}).answer is Answer.YES


def test_a_broken_rule_outweighs_one_that_cannot_be_told() -> None:
    value = known(
        rule("no", {}, {"openshift": ">=4.19"}),
        rule("unknown", {}, {"kernel-module-type": "open"}),
    )
    assert check(value, {"openshift": "4.18.24"}, {}).answer is Answer.NO


def test_a_rule_about_hardware_nobody_named_cannot_be_told() -> None:
    blackwell = replace(rule("b", {}, {"kernel-module-type": "open"}), traits={"gpu-arch": ("blackwell",)})
    versions = {"kernel-module-type": "proprietary"}
    assert check(known(blackwell), versions, {}).answer is Answer.UNKNOWN
    assert check(known(blackwell), versions, {"gpu-arch": "blackwell"}).answer is Answer.NO
    assert check(known(blackwell), versions, {"gpu-arch": "hopper"}).answer is Answer.YES


def test_fewest_components_change_then_the_smallest_step() -> None:
    """26.3.2 is out by itself; the next that is not is one step up, and 4.18.24 may stay."""
    value = known(
        rule("r", {}, {"gpu-operator": "!=26.3.2"}),
        rule("s", {"gpu-operator": "25.x"}, {"openshift": "4.17.x"}),
    )
    found = check(value, {"gpu-operator": "26.3.2", "openshift": "4.18.24"}, {})
    assert found.nearest is not None
    assert found.nearest.changes == (Change("gpu-operator", "26.3.2", "26.3.3", 1),)


def test_of_two_as_near_the_newer_wins() -> None:
    value = known(rule("r", {}, {"gpu-operator": "!=26.3.2"}))
    found = check(value, {"gpu-operator": "26.3.2"}, {})
    assert found.nearest is not None
    assert found.nearest.changes[0].after == "26.3.3"


def test_no_way_back_that_git_can_not_go_is_proposed_where_a_newer_version_passes() -> None:
    """4.18.21 is nearer than 4.18.24, but no OpenShift goes back; a component that a revert brings back may."""
    value = known(
        rule("r", {}, {"openshift": "<4.18.22 || >=4.18.24"}), openshift=("4.18.21", "4.18.22", "4.18.23")
    )
    found = check(value, {"openshift": "4.18.22"}, {})
    assert found.nearest is not None
    assert found.nearest.changes == (Change("openshift", "4.18.22", "4.18.52", 2),)
    plain = replace(value.components["openshift"], undo=UndoClass.REVERT)
    found = check(with_component(value, plain), {"openshift": "4.18.22"}, {})
    assert found.nearest is not None
    assert found.nearest.changes == (Change("openshift", "4.18.22", "4.18.21", 1),)


def test_several_components_change_where_one_is_not_enough() -> None:
    value = known(
        rule("r", {}, {"gpu-operator": ">=26.7"}),
        rule("s", {"gpu-operator": ">=26.7"}, {"openshift": ">=4.19"}),
    )
    found = check(value, {"gpu-operator": "26.3.2", "openshift": "4.18.24"}, {})
    assert found.nearest is not None
    assert found.nearest.changes == (
        Change("gpu-operator", "26.3.2", "26.7.0", 2),
        Change("openshift", "4.18.24", "4.19.3", 2),  # 4.18.52 lies between
    )


def test_a_setting_takes_a_value_that_rules_name() -> None:
    found = check(
        known(rule("r", {}, {"kernel-module-type": "open"})), {"kernel-module-type": "proprietary"}, {}
    )
    assert found.nearest is not None
    assert found.nearest.changes == (Change("kernel-module-type", "proprietary", "open", 1),)


def test_what_follows_from_a_version_is_judged_and_changed_with_it() -> None:
    kubernetes = replace(
        component("kubernetes", "numeric"),
        follows=Follows("openshift", {"4.17.x": "1.30.0", "4.18.x": "1.31.0", "4.19.x": "1.32.0"}),
    )
    value = known(rule("r", {}, {"kubernetes": ">=1.32"}))
    value = replace(value, components={**value.components, "kubernetes": kubernetes})
    found = check(value, {"openshift": "4.18.24"}, {})
    assert found.versions["kubernetes"] == "1.31.0"
    assert found.nearest is not None
    assert [c.after for c in found.nearest.changes] == ["4.19.3"]


def test_that_nothing_passes_is_said() -> None:
    found = check(known(rule("r", {}, {"openshift": ">=5"})), {"openshift": "4.18.24"}, {})
    assert found.nearest is not None
    assert (found.nearest.changes, found.nearest.exhausted) == ((), False)


def test_pre_releases_are_never_proposed() -> None:
    assert "4.19.0-rc.1" not in known_versions(known(), "openshift")
    assert known_versions(known(), "gpu-operator") == KNOWN["gpu-operator"]


def test_a_version_in_no_known_line_is_no_yes_unless_a_release_names_it() -> None:
    value = known(rule("r", {}, {"openshift": "<4.23"}))
    found = check(value, {"openshift": "4.22.1"}, {})
    assert (found.answer, found.beyond) == (Answer.UNKNOWN, ("openshift",))
    assert check(value, {"openshift": "4.23.1"}, {}).answer is Answer.NO
    named = replace(value, releases={"next": release("next", openshift="4.22.0-rc.1")})
    assert check(named, {"openshift": "4.22.0-rc.1"}, {}).answer is Answer.YES


@pytest.mark.parametrize(
    ("scheme", "version", "line"),
    [
        ("openshift", "4.18.52", "4.18"),
        ("numeric", "26.7.0", "26.7"),
        ("nvidia-driver", "595.91.07", "595"),
        ("doca-ofed", "doca3.4.1-26.04-1.1.0.0-1", "26.04"),
        ("kernel", "5.14.0-427.el9_4", "5.14.0-427.el9_4"),
        ("text", "open", "open"),
    ],
)
def test_a_line_is_what_people_call_it(scheme: str, version: str, line: str) -> None:
    assert line_of(scheme, version) == line


SMALL = {
    "openshift": ("4.16.1", "4.17.1", "4.18.1", "4.19.1"),
    "gpu-operator": ("24.6.1", "25.3.1", "26.7.1"),
}
RANGES = {
    "openshift": (">=4.17", "<4.18", "4.16.x || 4.19.x", "!=4.17.1", ">=4.18 <4.19"),
    "gpu-operator": (">=25.3", "<26", "!=25.3.1", "26.x", "24.x || 26.x"),
    "kernel-module-type": ("open", "proprietary", "!=open"),
}
a_range = st.sampled_from([(n, t) for n, texts in RANGES.items() for t in texts])
a_rule = st.tuples(st.lists(a_range, max_size=2), st.lists(a_range, min_size=1, max_size=2))


def every_passing(value: Matrix, versions: Mapping[str, str]) -> list[tuple[int, int, int]]:
    """Changes, ways back and distance of all passing combinations, by trying everything."""
    found = []
    names = list(versions)
    options = [
        (*known_versions(value, n), *([versions[n]] if versions[n] not in known_versions(value, n) else []))
        for n in names
    ]
    for chosen in itertools.product(*options):
        state = dict(zip(names, chosen, strict=True))
        if broken(evaluate(value.rules.values(), value.components, state), Severity.BLOCK):
            continue
        steps = [
            1 if n == "kernel-module-type" else abs(SMALL[n].index(state[n]) - SMALL[n].index(versions[n]))
            for n in names
            if state[n] != versions[n]
        ]
        found.append((len(steps), backs(versions, state), sum(steps)))
    return found


def backs(before: Mapping[str, str], after: Mapping[str, str]) -> int:
    """How many components go back; neither of the two with an order can do so by Git alone."""
    return sum(of.index(after[n]) < of.index(before[n]) for n, of in SMALL.items())


@settings(max_examples=150, deadline=None)
@given(
    rules=st.lists(a_rule, min_size=1, max_size=5),
    openshift=st.sampled_from(SMALL["openshift"]),
    operator=st.sampled_from(SMALL["gpu-operator"]),
    modules=st.sampled_from(["open", "proprietary"]),
)
def test_the_nearest_is_as_near_as_trying_everything(
    rules: list[tuple[list[tuple[str, str]], list[tuple[str, str]]]],
    openshift: str,
    operator: str,
    modules: str,
) -> None:
    """It passes, none that passes goes back less or is nearer, and where it finds none there is none."""
    made = [rule(f"r{i}", dict(when), dict(require)) for i, (when, require) in enumerate(rules)]
    edges = {n: Edges(n, {v: Version(v) for v in versions}) for n, versions in SMALL.items()}
    value = replace(matrix(rules=tuple(made), edges=edges), releases={})
    versions = {"openshift": openshift, "gpu-operator": operator, "kernel-module-type": modules}
    found = check(value, versions, {})
    best = min(every_passing(value, versions), default=None)
    if found.answer is not Answer.NO:
        assert best == (0, 0, 0)
        return
    assert found.nearest is not None
    changes = found.nearest.changes
    if best is None:
        assert changes == ()
        return
    after = {**versions, **{c.component: c.after for c in changes}}
    assert not broken(evaluate(made, value.components, after), Severity.BLOCK)
    assert (len(changes), backs(versions, after), sum(c.steps for c in changes)) == best
