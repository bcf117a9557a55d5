"""Expressions from other people's repositories: the plain ones match, the ones that could hang are refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowngood.planner.expression import MAX_LENGTH, compiled

LONGEST = "4." + "9" * 40 + "+amd64"


@pytest.mark.parametrize(
    ("expression", "version", "hit"),
    [
        ("^4[.](17[.]([0-9]|1[0-9])|18[.].*)[+].*$", "4.17.12+amd64", True),
        ("^4[.](17[.]([0-9]|1[0-9])|18[.].*)[+].*$", "4.17.22+amd64", False),
        (".*", "4.18.1+amd64", True),
        ("4[.]18[.]1?[0-9][+]", "4.18.15+amd64", True),
        (r"4\.18\.1\+", "4.18.1+amd64", True),
    ],
)
def test_plain_expressions_match_as_they_do_elsewhere(expression: str, version: str, hit: bool) -> None:
    assert bool(compiled(expression).search(version)) is hit


@pytest.mark.parametrize(
    "expression",
    [
        "(a+)+$",
        "(.*)*",
        "(a|a)*b",
        ".*.*.*x",
        "a?" * 40 + "a" * 40,
        "(a|b|ab)" * 30,
        "a{1,1000}",
        "a**",
        "(?=a)",
        r"(a)\1",
        "[a",
        "a)",
        "(" * 20 + "a" + ")" * 20,
        "a" * (MAX_LENGTH + 1),
        "é",
        "4\n",
    ],
)
def test_what_could_take_for_ever_is_refused_and_says_why(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        compiled(expression)


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="49.[]()|?*+^$\\{}-a0", max_size=60))
def test_whatever_is_accepted_matches_at_once(expression: str) -> None:
    try:
        pattern = compiled(expression)
    except ValueError:
        return
    began = time.process_time()
    for version in (LONGEST, "4.18.22+amd64", "aaaaaaaaaaaaaaaaaaaaaaaa"):
        pattern.search(version)
    assert time.process_time() - began < 0.5


def test_the_worst_that_is_accepted_is_still_quick() -> None:
    worst = compiled("4.*.*x")
    began = time.process_time()
    worst.search(LONGEST)
    assert time.process_time() - began < 0.1
