"""Ranges follow the grammar of OLM's catalogs, read by the component's own scheme."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from knowngood.planner.ranges import parse_range


@pytest.mark.parametrize(
    ("scheme", "text", "inside", "outside"),
    [
        ("numeric", ">=26.7.0 <27 || 28.x", ["26.7.0", "26.9.9", "28.0.0"], ["26.6.9", "27.0.0", "29.0.0"]),
        ("numeric", "26.7.0", ["26.7.0"], ["26.7.1"]),
        ("numeric", "=26.7.0", ["26.7.0"], ["26.7.1"]),
        ("numeric", "==26.7.0", ["26.7.0"], ["26.7.1"]),
        ("numeric", "!26.7.0", ["26.7.1"], ["26.7.0"]),
        ("numeric", "!=26.x !=27.x", ["25.0.0", "28.0.0"], ["26.0.0", "26.9.9", "27.1.1"]),
        ("numeric", "> 26.7.0", ["26.7.1"], ["26.7.0"]),
        ("numeric", "<=26.7.0", ["26.7.0", "1.0.0"], ["26.7.1"]),
        ("numeric", ">26.x", ["27.0.0"], ["26.9.9"]),
        ("numeric", ">=26.x", ["26.0.0"], ["25.9.9"]),
        ("numeric", "<26.x", ["25.9.9"], ["26.0.0"]),
        ("numeric", "<=26.7.x", ["26.7.9"], ["26.8.0"]),
        ("numeric", "26.7.X", ["26.7.9"], ["26.8.0"]),
        ("numeric", "*", ["0.0.1", "99.9.9"], []),
        ("numeric", ">=26.7.0<27", ["26.7.0"], ["27.0.0"]),
        ("openshift", ">=4.18 <4.19", ["4.18.0", "4.18.99", "4.18.0-rc.1"], ["4.19.0-rc.1", "4.19.0"]),
        ("openshift", ">=4.18.0", ["4.18.0"], ["4.18.0-rc.1"]),
        ("openshift", ">=4.18.0-rc.1", ["4.18.0-rc.2"], ["4.18.0-rc.0"]),
        ("nvidia-driver", "580.x || >=595.58.03", ["580.95.05", "595.91.07", "610.57.04"], ["590.48.01"]),
        ("nvidia-driver", ">=550.100", ["550.107.02", "550.100"], ["550.90.12"]),
        ("doca-ofed", ">=26.04-1.1.0.0-1", ["doca3.4.1-26.04-1.1.0.0-1"], ["doca3.4.0-26.04-0.8.6.0-0"]),
        ("doca-ofed", "25.10.x", ["doca3.2.0-25.10-1.2.8.0-2"], ["doca3.3.0-26.01-1.0.0.0-0"]),
        ("kernel", ">=5.12", ["5.14.0-427.el9_4"], ["4.18.0-372.el8"]),
        ("kernel", ">=5.14.0-427 <5.14.0-428", ["5.14.0-427.109.1.el9_4.x86_64"], ["5.14.0-570.el9_6"]),
        ("text", "open || proprietary", ["open", "proprietary"], ["auto"]),
        ("text", "!=auto", ["open"], ["auto"]),
    ],
)
def test_a_range_holds_what_it_says(scheme: str, text: str, inside: list[str], outside: list[str]) -> None:
    found = parse_range(scheme, text)
    assert [v for v in inside if not found.contains(v)] == []
    assert [v for v in outside if found.contains(v)] == []


@pytest.mark.parametrize(
    ("scheme", "text", "words"),
    [
        ("numeric", "26.7", "ambiguous; write `26.7.x`"),
        ("numeric", ">26", "ambiguous"),
        ("numeric", "<=26", "ambiguous"),
        ("numeric", "", "empty alternative"),
        ("numeric", ">=26.7.0 ||", "empty alternative"),
        ("numeric", ">=", "no comparison"),
        ("numeric", ">=26.7.0,<27", "is no numeric version"),
        ("numeric", "~26.7.0", "is no numeric version"),
        ("numeric", ">*", "compares with nothing"),
        ("text", ">open", "has no order"),
        ("semver", "1.x", "no version scheme"),
    ],
)
def test_what_could_mislead_is_refused(scheme: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_range(scheme, text)


def test_an_inexact_version_lies_in_no_range() -> None:
    with pytest.raises(ValueError, match="not a whole version"):
        parse_range("numeric", "*").contains("26.7")


VERSIONS = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)).map(
    lambda v: "{}.{}.{}".format(*v)
)
TERMS = st.tuples(st.sampled_from(["=", "!=", ">", ">=", "<", "<="]), VERSIONS)


@given(terms=st.lists(TERMS, min_size=1, max_size=4), version=VERSIONS)
def test_terms_mean_what_packaging_says(terms: list[tuple[str, str]], version: str) -> None:
    ours = parse_range("numeric", " ".join(sign + v for sign, v in terms))
    theirs = SpecifierSet(",".join(("==" if sign == "=" else sign) + v for sign, v in terms))
    assert ours.contains(version) is (version in theirs)


@given(parts=st.lists(st.lists(TERMS, min_size=1, max_size=3), min_size=1, max_size=3), version=VERSIONS)
def test_alternatives_are_any_of_their_parts(parts: list[list[tuple[str, str]]], version: str) -> None:
    texts = [" ".join(sign + v for sign, v in terms) for terms in parts]
    whole = parse_range("numeric", " || ".join(texts)).contains(version)
    assert whole is any(parse_range("numeric", text).contains(version) for text in texts)


@given(prefix=st.lists(st.integers(0, 5), min_size=1, max_size=2), version=VERSIONS)
def test_a_wildcard_is_everything_that_begins_so(prefix: list[int], version: str) -> None:
    text = ".".join(map(str, prefix))
    begins = version.startswith(text + ".")
    assert parse_range("numeric", f"{text}.x").contains(version) is begins
    assert parse_range("numeric", f"!={text}.x").contains(version) is not begins


@given(st.text(max_size=40))
def test_no_text_at_all_ends_in_another_error(text: str) -> None:
    for scheme in ("numeric", "openshift", "nvidia-driver", "text"):
        try:
            found = parse_range(scheme, text)
        except ValueError:
            continue
        assert found.alternatives
