"""exposure: what runs although it is known to be bad, since when, and since when it is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.planner.matrices import HERE, SOURCE, component, matrix, release, rule, with_component

from knowngood.model.graph import Edges, Risk, Version
from knowngood.model.matrix import Follows, Matrix
from knowngood.model.source import Source
from knowngood.planner.rules.exposure import Cause, Exposure, Running, Since, exposure

CRUN = Risk(
    name="CrunConflictsWithNVIDIA",
    always=False,
    gist="GPU pods fail",
    url="https://example.com",
    gpu="high",
    targets={"4.18.22": ".*", "4.18.23": ".*"},
    sources=(SOURCE,),
    where=HERE,
    fixed_in=("4.18.24", "4.19.9"),
    declared={"4.18.22": "2025-09-10"},
)
PROMOTED = {"candidate": "2025-08-07", "fast": "2025-08-13", "stable": "2025-08-20"}


def known(*risks: Risk, **more: Any) -> Matrix:
    versions = {
        "4.18.22": Version("4.18.22", "2025-08-13", promoted=PROMOTED),
        "4.18.23": Version("4.18.23", "2025-09-03"),
    }
    edges = {"openshift": Edges("openshift", versions, graph=True, risks={r.name: r for r in risks})}
    return replace(matrix(), edges=edges, **more)


def look(value: Matrix, since: str = "", today: str = "2025-10-01", **running: str) -> Exposure:
    versions = {n.replace("_", "-"): v for n, v in running.items()}
    days = {n: Since(since, "by hand") for n in (*versions, "")} if since else {}
    return exposure(value, Running("ams", versions, days, {}), today)


def test_4_18_22_was_offered_28_days_in_fast_and_21_in_stable_before_its_risk_was_known() -> None:
    (hit,) = look(known(CRUN), openshift="4.18.22").hits
    assert (hit.cause, hit.name, hit.known) == (Cause.RISK, "CrunConflictsWithNVIDIA", "2025-09-10")
    assert hit.offered == {"candidate": 34, "fast": 28, "stable": 21}
    assert hit.fixed_in == ("4.18.24",)


def test_the_window_is_split_where_it_became_known() -> None:
    (hit,) = look(known(CRUN), "2025-08-20", "2025-10-01", openshift="4.18.22").hits
    assert (hit.days, hit.blind, hit.aware) == (42, 21, 21)


def test_who_moved_there_later_was_never_blind() -> None:
    (hit,) = look(known(CRUN), "2025-09-15", "2025-10-01", openshift="4.18.22").hits
    assert (hit.days, hit.blind, hit.aware) == (16, 0, 16)


def test_a_day_before_it_was_known_all_of_the_window_is_blind() -> None:
    (hit,) = look(known(CRUN), "2025-08-20", "2025-09-09", openshift="4.18.22").hits
    assert (hit.days, hit.blind, hit.aware) == (20, 20, 0)


def test_without_a_day_no_window_is_invented() -> None:
    (hit,) = look(known(CRUN), openshift="4.18.22").hits
    assert (hit.days, hit.blind, hit.aware) == (None, None, None)
    (unknown,) = look(known(CRUN), "2025-09-10", openshift="4.18.23").hits
    assert (unknown.known, unknown.days, unknown.blind, unknown.offered) == ("", 21, None, {})


def test_a_version_without_a_risk_is_not_hit() -> None:
    assert look(known(CRUN), openshift="4.18.24").hits == ()


def test_a_risk_of_some_origins_only_says_which() -> None:
    some = replace(CRUN, targets={"4.18.22": "^4[.]17[.].*$"})
    (hit,) = look(known(some), openshift="4.18.22").hits
    assert hit.only_from == "^4[.]17[.].*$"


def test_a_broken_blocking_rule_hits_and_says_of_which_day_our_source_is() -> None:
    """The day on which a source was read is not the day on which the fact was known."""
    no = replace(rule("no", {}, {"openshift": "!=4.18.22"}), sources=(Source("x", "2026-08-21"), SOURCE))
    warns = rule("warns", {}, {"openshift": "!=4.18.22"}, "warn")
    value = known(rules={"no": no, "warns": warns})
    (hit,) = look(value, "2025-08-20", openshift="4.18.22").hits
    assert (hit.cause, hit.name, hit.known, hit.source_day) == (Cause.RULE, "no", "", "2026-08-21")


def test_a_blocking_rule_that_can_not_be_told_is_listed_and_is_no_hit() -> None:
    value = known(rules={"r": rule("r", {}, {"kernel-module-type": "open"})})
    found = look(value, openshift="4.18.24")
    assert found.hits == ()
    assert [f.rule.name for f in found.unknown] == ["r"]


@pytest.mark.parametrize("pinned", [True, False])
def test_a_revoked_release_hits_whoever_pins_it_or_runs_all_of_its_versions(pinned: bool) -> None:
    bad = release("bad", "revoked")
    value = replace(matrix(bad), edges={})
    versions = {"openshift": "4.18.52"} if pinned else dict(bad.components)
    running = Running(
        "ams",
        versions,
        {"": Since("2026-01-01", "by hand")},
        {},
        bad if pinned else None,
        {"bad": "2026-01-11"},
    )
    (hit,) = exposure(value, running, "2026-01-31").hits
    assert (hit.cause, hit.name, hit.what) == (Cause.REVOKED, "bad", "Xid 31 on every node")
    assert (hit.days, hit.blind, hit.aware) == (30, 10, 20)


def test_a_revoked_release_is_met_also_where_what_follows_was_not_named() -> None:
    kernel = replace(
        component("rhcos-kernel", "kernel"), follows=Follows("openshift", {"4.18.x": "5.14.0-427.el9_4"})
    )
    bad = release("bad", "revoked", rhcos_kernel="5.14.0-427.el9_4")
    value = with_component(replace(matrix(bad), edges={}), kernel)
    running = {n: v for n, v in bad.components.items() if n != "rhcos-kernel"}
    (hit,) = exposure(value, Running("ams", running, {}, {}), "2026-01-31").hits
    assert (hit.cause, hit.name) == (Cause.REVOKED, "bad")


def test_running_some_of_its_versions_is_not_running_a_revoked_release() -> None:
    value = replace(matrix(release("bad", "revoked")), edges={})
    assert look(value, openshift="4.18.52").hits == ()


def test_the_gravest_comes_first() -> None:
    low = replace(CRUN, name="A", gpu="low")
    no = rule("no", {}, {"openshift": "!=4.18.22"})
    found = look(known(low, CRUN, rules={"no": no}), openshift="4.18.22")
    assert [h.name for h in found.hits] == ["no", "CrunConflictsWithNVIDIA", "A"]
