"""validate, show, plan: the matrix on stdout, talk on stderr, nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood

from knowngood.matrix.locate import matrix_dir


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A copy of the shipped matrix with one bad line."""
    folder = tmp_path / "matrix"
    shutil.copytree(matrix_dir(), folder)
    file = folder / "releases" / "r595.yaml"
    file.write_text(file.read_text().replace("status: candidate", "status: splendid"))
    return folder


def test_the_shipped_matrix_is_valid() -> None:
    said = knowngood("validate")
    assert said.code == 0
    assert "0 errors" in said.err
    assert "error" not in said.out


def test_a_problem_stands_at_its_file_and_line_in_every_format(broken: Path) -> None:
    line = next(
        n
        for n, text in enumerate((broken / "releases" / "r595.yaml").read_text().splitlines(), start=1)
        if "splendid" in text
    )
    text = knowngood("validate", "--matrix", broken)
    assert text.code == 1
    assert f"r595.yaml:{line}:" in text.out
    found = json.loads(knowngood("validate", "--matrix", broken, "--output", "json").out)["problems"]
    errors = [p for p in found if p["severity"] == "error"]
    assert [(Path(p["file"]).name, p["line"]) for p in errors] == [("r595.yaml", line)]
    github = knowngood("validate", "--matrix", broken, "-o", "github").out
    assert github.startswith("::error ")
    assert f"line={line}" in github


@pytest.mark.parametrize("arguments", [["plan", "ams-prod", "--to", "r595"], ["show", "releases"]])
def test_nothing_is_done_with_a_broken_matrix(broken: Path, arguments: list[str]) -> None:
    said = knowngood(*arguments, "--matrix", broken)
    assert said.code == 2
    assert said.out == ""
    assert "r595.yaml" in said.err


def test_a_global_option_may_stand_before_or_after_the_command(broken: Path) -> None:
    assert knowngood("--matrix", broken, "validate").code == 1
    assert knowngood("--matrix", broken, "validate", "--matrix", matrix_dir()).code == 0


def test_a_missing_matrix_is_a_usage_error(tmp_path: Path) -> None:
    said = knowngood("validate", "--matrix", tmp_path / "nowhere")
    assert said.code == 2
    assert "no such matrix folder" in said.err


def test_the_teams_own_matrix_counts_where_there_is_one(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(broken.parent)
    assert knowngood("validate").code == 1


@pytest.mark.parametrize("what", ["components", "releases", "rules", "clusters", "profiles"])
def test_show_lists_each_kind_as_text_and_json(what: str) -> None:
    text, value = knowngood("show", what), knowngood("show", what, "-o", "json")
    assert text.code == value.code == 0
    assert all(name in text.out for name in json.loads(value.out)[what])


@pytest.mark.parametrize(
    ("what", "name", "holds"),
    [
        ("release", "r595", "595.91.07"),
        ("cluster", "ams-prod", "ring-2"),
        ("profile", "xe7740-h200nvl", "H200"),
        ("rule", "dma-buf-needs-open-modules", "open"),
        ("rule", "gpu-operator-26-3-openshift", "annotations v4.14-v4.22"),
        ("component", "gpu-operator", "gpu-operator-certified.v* spec.version"),
        ("edge", "openshift", "CrunConflictsWithNVIDIA"),
        ("edge", "gpu-operator", "OLM catalogs and the vendor's steps"),
    ],
)
def test_show_describes_one(what: str, name: str, holds: str) -> None:
    assert holds in knowngood("show", what, name).out
    assert isinstance(json.loads(knowngood("show", what, name, "-o", "json").out), dict)


def test_show_edges_says_what_decides_a_move_of_each_component() -> None:
    said = knowngood("show", "edges", "-o", "json")
    rows = {row["component"]: row for row in json.loads(said.out)["edges"]}
    assert rows["openshift"]["decidedBy"] == "its update graph and the vendor's steps"
    assert rows["nvidia-driver"]["decidedBy"] == "nothing: any may follow any"
    text = knowngood("show", "edges").out
    assert all(name in text for name in rows)


def test_show_conflicts_shows_all_sides_of_each() -> None:
    text, value = knowngood("show", "conflicts"), knowngood("show", "conflicts", "-o", "json")
    assert "network-operator-26-4-openshift (warn, open: the stricter holds)" in text.out
    sides = [claim["source"] for one in json.loads(value.out)["conflicts"] for claim in one["claims"]]
    assert len(sides) > 20
    assert all(source in text.out for source in sides)


def test_show_of_something_unknown_names_the_near_ones() -> None:
    said = knowngood("show", "release", "r59")
    assert said.code == 2
    assert "r595" in said.err


def test_plan_prints_the_plan_and_as_json_what_the_engine_runs() -> None:
    assert "hop-1  nvidia-driver 580.173.02 → 595.91.07" in knowngood("plan", "ams-prod", "--to", "r595").out
    plan = json.loads(knowngood("plan", "ams-prod", "--to", "r595", "-o", "json").out)
    assert [r["name"] for r in plan["hops"][0]["rings"]] == ["ring-0", "ring-1", "ring-2"]


def test_a_plan_that_a_rule_forbids_is_exit_1(tmp_path: Path) -> None:
    folder = tmp_path / "matrix"
    shutil.copytree(matrix_dir(), folder)
    file = folder / "releases" / "r595.yaml"
    file.write_text(file.read_text().replace("kernel-module-type: open", "kernel-module-type: proprietary"))
    said = knowngood("plan", "ams-prod", "--to", "r595", "--matrix", folder)
    assert said.code in (1, 2)
    assert said.out == ""
    assert "open" in said.err


@pytest.mark.parametrize(
    "arguments", [["plan", "ams-pord", "--to", "r595"], ["plan", "ams-prod", "--to", "r999"]]
)
def test_an_unknown_cluster_or_release_is_exit_2(arguments: list[str]) -> None:
    said = knowngood(*arguments)
    assert said.code == 2
    assert "no cluster" in said.err or "no release" in said.err
