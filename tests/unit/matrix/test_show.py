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
        *(show.describe_component(matrix, n) for n in matrix.components),
        *show.describe_conflicts(matrix),
    ]
    assert json.loads(json.dumps(described)) == described


def test_a_release_says_what_it_changes_and_which_rules_speak(matrix: Matrix) -> None:
    described = show.describe_release(matrix, "r595")
    assert [c["name"] for c in described["components"] if c["changed"]] == ["nvidia-driver"]
    assert {r["outcome"] for r in described["rules"] if r["severity"] == "block"} == {"ok"}
    notes = {r["name"]: r["action"] for r in described["rules"] if r["outcome"] == "note"}
    assert "NicClusterPolicy" in notes["nic-cluster-policy-by-hand"]
    assert show.describe_release(matrix, "r580")["pinnedBy"] == ["ams-prod", "lab-small"]


def test_a_cluster_says_where_it_can_go_and_what_keeps_it_from_proof(matrix: Matrix) -> None:
    described = show.describe_cluster(matrix, "ams-prod")
    assert {"r595", "r610", "h200-4.22-r595"} <= set(described["targets"])
    assert not {"r580", "b200-4.22-r580", "h200-4.18-r570"} & set(described["targets"])
    assert described["identityPinned"] is False
    assert described["nodes"]["virtual"] == ["liqo-fra"]


def test_a_rule_that_speaks_alike_on_two_profiles_comes_once_with_both(matrix: Matrix) -> None:
    described = show.describe_release(matrix, "h200-4.22-r595")
    (row,) = [r for r in described["rules"] if r["name"] == "network-operator-26-4-1-openshift"]
    assert (row["outcome"], row["component"], row["needs"]) == ("broken", "openshift", ">=4.17 <4.22")
    assert row["profiles"] == ["hgx-h200", "xe7740-h200nvl"]
    assert row["source"].count(" | ") == 2


def test_a_component_says_how_it_is_read_declared_and_undone_and_who_names_it(matrix: Matrix) -> None:
    described = show.describe_component(matrix, "doca-ofed")
    once = next(d for d in described["declared_by"] if d["kind"] == "NicClusterPolicy spec.ofedDriver")
    assert (once["scope"], once["leaky"], once["when"]) == ("cluster", True, {})
    assert once["to_rings"].startswith("no hop.")
    assert "nvidia-driver" in described["moves_with"]
    assert "doca-ofed-images" in described["rules"]
    assert {"name": "h200-4.14-r550", "version": "24.04-0.6.6.0-0"} in described["releases"]


def test_conflicts_name_all_sides_and_what_was_decided(matrix: Matrix) -> None:
    conflicts = {c["name"]: c for c in show.describe_conflicts(matrix)}
    both = conflicts["gpu-operator-26-3-0-openshift"]
    assert [c["require"]["openshift"] for c in both["claims"]] == [">=4.14 <4.22", ">=4.17 <4.22"]
    assert both["decided"] == ""
    assert show.describe_rule(matrix, "gpu-operator-26-3-0-openshift")["conflict"] is True
    assert set(conflicts) == {n for n, r in matrix.rules.items() if r.claims}


def test_the_page_is_what_the_code_says() -> None:
    """If it is not: python -m knowngood.matrix.docs docs/matrix.md."""
    assert docs.render(PAGE.read_text()) == PAGE.read_text()


def test_the_page_has_each_part() -> None:
    assert all(f"<!-- begin {name} -->\n" in PAGE.read_text() for name in docs.PARTS)
