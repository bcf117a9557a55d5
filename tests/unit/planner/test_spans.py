"""Spans of versions: what they mean, and that writing and reading them is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowngood.planner.spans import Known

VERSIONS = (
    "4.17.1",
    "4.17.2",
    "4.17.3",
    "4.17.10",
    "4.18.0-rc.1",
    "4.18.0",
    "4.18.1",
    "4.18.2-x.1",
    "4.18.2",
)
KNOWN = Known.of("openshift", reversed(VERSIONS))


def test_versions_are_sorted_as_numbers() -> None:
    assert KNOWN.order == VERSIONS


def test_a_span_holds_the_final_versions_between_its_ends() -> None:
    assert KNOWN.expand("4.17.2..4.18.1") == ("4.17.2", "4.17.3", "4.17.10", "4.18.0", "4.18.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4.17.9", "no version '4.17.9' is known"),
        ("4.17.1..4.17.9", "no final version '4.17.9' is known"),
        ("4.17.1..4.18.0-rc.1", "no final version '4.18.0-rc.1' is known"),
        ("4.18.0..4.17.1", "begins after its end"),
        ("..4.17.1", "no final version '' is known"),
    ],
)
def test_what_is_not_known_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", "[.]")):
        KNOWN.expand(text)


def test_a_written_span_never_leaves_its_minor() -> None:
    """Else the next z-stream would slip into lists that were made before it."""
    assert KNOWN.compress(KNOWN.finals) == "4.17.1..4.17.10 4.18.0..4.18.2"
    assert KNOWN.compress(VERSIONS) == "4.17.1..4.17.10 4.18.0-rc.1 4.18.0 4.18.1 4.18.2-x.1 4.18.2"


@given(st.sets(st.sampled_from(VERSIONS)))
def test_what_was_written_is_read_again(versions: set[str]) -> None:
    text = KNOWN.compress(versions)
    assert sorted(KNOWN.expand(text)) == sorted(versions)
    assert KNOWN.compress(KNOWN.expand(text)) == text
