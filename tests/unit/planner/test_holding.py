"""Whom a hold concerns, until when it may last, and when the line stops."""

from __future__ import annotations

import pytest

from knowngood.model.matrix import Limits
from knowngood.planner.holding import (
    certificates_end,
    ends_before,
    lifted_twice,
    matches,
    pool_of,
    until,
    worn,
)

NOW = "2026-08-22T03:00:00Z"
WORKER = {"matchLabels": {"node-role.kubernetes.io/worker": ""}}
GPU = {"matchLabels": {"node-role.kubernetes.io/gpu": ""}}
MASTER = {"matchLabels": {"node-role.kubernetes.io/master": ""}}
POOLS = {"worker": WORKER, "gpu": GPU, "master": MASTER, "broken": {}}


@pytest.mark.parametrize(
    ("roles", "pool"),
    [(("worker",), "worker"), (("worker", "gpu"), "gpu"), (("worker", "master"), "master"), ((), "")],
)
def test_a_node_is_in_one_pool_the_custom_one_before_worker(roles: tuple[str, ...], pool: str) -> None:
    assert pool_of(POOLS, {f"node-role.kubernetes.io/{role}": "" for role in roles}) == pool


@pytest.mark.parametrize(
    ("operator", "values", "found"),
    [
        ("In", ["a", "b"], True),
        ("In", ["b"], False),
        ("NotIn", ["a"], False),
        ("NotIn", ["b"], True),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
        ("Gt", ["1"], False),
    ],
)
def test_a_selectors_expressions(operator: str, values: list[str] | None, found: bool) -> None:
    expression = {"key": "zone", "operator": operator, "values": values}
    assert matches({"matchExpressions": [expression]}, {"zone": "a"}) is found


def test_an_empty_selector_selects_all_and_none_selects_nothing() -> None:
    assert matches({}, {})
    assert not matches(None, {})


def a_certificate(end: str, subject: str = "CN=signer@1", bundle: str = "ca.crt") -> dict[str, str]:
    return {"bundleFile": bundle, "subject": subject, "notAfter": end}


def test_the_first_certificate_that_nobody_renews_bounds_a_hold() -> None:
    """An older one of the same signer is kept until its end and bounds nothing, nor does one that has ended."""
    found = certificates_end(
        [
            a_certificate("2026-08-22T03:10:00Z"),
            a_certificate("2027-08-22T03:10:00Z", "CN=signer@2"),
            a_certificate("2026-09-01T00:00:00Z", "CN=another@1"),
            a_certificate("2026-01-01T00:00:00Z", "CN=ended"),
            {"subject": "CN=endless"},
        ],
        NOW,
    )
    assert found == "2026-09-01T00:00:00+00:00"
    assert certificates_end([], NOW) == ""


def test_a_hold_lasts_for_a_batch_and_its_undo_or_as_long_as_the_run_is_expected_to_take() -> None:
    limits = Limits(claim=1, drain=1, apply=1, judge=1, release=1, soak=5, undo=50)
    assert until(NOW, limits) == "2026-08-22T03:01:00+00:00"
    assert until(NOW, limits, 3600) == "2026-08-22T04:00:00+00:00"


@pytest.mark.parametrize(
    ("stands", "renewed"),
    [("2026-08-22T03:29:00Z", True), ("2026-08-22T03:31:00Z", False), ("", True), ("soon", True)],
)
def test_a_term_is_renewed_once_half_of_it_is_over(stands: str, renewed: bool) -> None:
    assert worn(stands, NOW, "2026-08-22T04:00:00Z") is renewed


def test_a_bound_counts_where_it_comes_first() -> None:
    assert ends_before("2026-08-22T03:00:00+00:00", "2026-08-22T03:00:01Z")
    assert not ends_before("2026-08-22T03:00:01+00:00", NOW)
    assert not ends_before("", NOW)


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([("ring-0", ["p"]), ("ring-0", ["p"])], ("p",)),
        ([("ring-0", ["p"]), ("ring-0", []), ("ring-0", ["p"])], ()),
        ([("ring-0", ["p"]), ("ring-1", ["p"])], ()),
        ([("ring-0", ["p"]), ("ring-0", ["q"])], ()),
        ([("ring-0", []), ("ring-0", ["p", "q"]), ("ring-0", ["q"])], ("q",)),
        ([], ()),
    ],
)
def test_the_line_stops_at_what_is_lifted_twice_in_a_row_in_one_ring(
    looks: list[tuple[str, list[str]]], found: tuple[str, ...]
) -> None:
    assert lifted_twice(looks) == found
