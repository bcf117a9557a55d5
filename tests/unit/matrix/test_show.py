"""What `show` says, as JSON values; and the page that is made from code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowngood.matrix import docs, show
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.matrix import Matrix

PAGE = Path(__file__).parents[3] / "docs" / "matrix.md"


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load(matrix_dir())


def test_all_descriptions_are_json(matrix: Matrix) -> None:
    described = [
        *(show.describe_release(matrix, n) for n in matrix.releases),
        *(show.describe_cluster(matrix, n) for n in matrix.clusters),
        *(show.describe_profile(matrix, n) for n in matrix.profiles),
        *(show.describe_rule(matrix, n) for n in matrix.rules),
    ]
    assert json.loads(json.dumps(described)) == described


def test_a_release_says_what_it_changes_and_which_rules_speak(matrix: Matrix) -> None:
    described = show.describe_release(matrix, "r595")
    assert [c["name"] for c in described["components"] if c["changed"]] == ["nvidia-driver"]
    assert {r["outcome"] for r in described["rules"]} == {"ok"}
    assert show.describe_release(matrix, "r580")["pinnedBy"] == ["ams-prod", "lab-small"]


def test_a_cluster_says_where_it_can_go_and_what_keeps_it_from_proof(matrix: Matrix) -> None:
    described = show.describe_cluster(matrix, "ams-prod")
    assert described["targets"] == ["r595", "r610"]
    assert described["identityPinned"] is False
    assert described["nodes"]["virtual"] == ["liqo-fra"]


def test_the_page_is_what_the_code_says() -> None:
    """If it is not: python -m knowngood.matrix.docs docs/matrix.md."""
    assert docs.render(PAGE.read_text()) == PAGE.read_text()


def test_the_page_has_each_part() -> None:
    assert all(f"<!-- begin {name} -->\n" in PAGE.read_text() for name in docs.PARTS)
