"""Data files are read strictly: text stays text, and what could surprise is refused with its place."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowngood.matrix.yaml_text import MAX_BYTES, MAX_DEPTH, MAX_NODES, Mapping, Scalar, parse, parse_strict
from knowngood.model.errors import DataError, Problem


def test_versions_keep_every_digit() -> None:
    tree = parse("driver: 550.100\n", "f")
    assert isinstance(tree, Mapping)
    driver = tree.get("driver")
    assert isinstance(driver, Scalar)
    assert (driver.text, driver.span.line, driver.span.column) == ("550.100", 1, 9)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1", "'a' stands twice (first in line 1)"),
        ("a: {b: 1, b: 2}\n", "f:1:11", "'b' stands twice"),
        ("a: &x 1\n", "f:1:4", "anchors"),
        ("a: *x\n", "f:1:4", "anchors"),
        ("a: !!python/object:os.system x\n", "f:1:4", "tag"),
        ("a: 1\n--- \nb: 2\n", "f:2:1", "second YAML document"),
        ("? [a]\n: b\n", "f:1:3", "a key must be plain text"),
        ("a: b: c\n", "f:1:5", "not valid YAML"),
        ("a:\n\t- b\n", "f:2:1", "not valid YAML"),
        ("a: \x07\n", "f:1:4", "not valid YAML"),
        ("", "f:1:1", "empty"),
        ("# only a comment\n", "f:1:1", "empty"),
        ("[" * (MAX_DEPTH + 1), f"f:1:{MAX_DEPTH + 1}", "nested deeper"),
        ("[" * 100_000, f"f:1:{MAX_DEPTH + 1}", "nested deeper"),
        ("- a\n" * (MAX_NODES + 1), f"f:{MAX_NODES}:3", "more than"),
        ("a" * (MAX_BYTES + 1), "f", "larger than 1024 KiB"),
    ],
)
def test_what_could_surprise_is_refused_with_its_place(text: str, where: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_strict(text, "f")
    assert str(caught.value.where) == where
    assert words in caught.value.message


def test_every_doubled_key_is_named() -> None:
    with pytest.raises(DataError) as caught:
        parse_strict("a: 1\na: 2\nc: {d: 1, d: 2}\n", "f")
    assert [str(p.where) for p in caught.value.problems] == ["f:2:1", "f:3:11"]


@given(st.text(max_size=200))
@example("\ufeffa: b")
@example("\ud800")
def test_no_text_at_all_ends_in_a_traceback(text: str) -> None:
    assert all(str(p.where).startswith("f") for p in problems(text))


def problems(text: str) -> tuple[Problem, ...]:
    try:
        parse_strict(text, "f")
    except DataError as error:
        return error.problems
    return ()
