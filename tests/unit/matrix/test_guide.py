"""The contributor's guide is true: each file that it shows is all it takes."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from knowngood.matrix import docs
from knowngood.matrix.load import check, load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration
from knowngood.planner.plan.planning import plan

PAGE = Path(__file__).parents[3] / "docs" / "contributing-data.md"
SHOWN = re.compile(r"<!-- begin file matrix/(?P<path>\S+) -->\n```yaml\n(?P<text>.*?)```\n", re.DOTALL)
FILES = {match["path"]: match["text"] for match in SHOWN.finditer(PAGE.read_text())}


def test_each_kind_has_an_example() -> None:
    assert {path.split("/")[0] for path in FILES} == {"releases", "rules", "components", "edges"}


def test_the_page_shows_what_ships() -> None:
    """If it does not: python -m knowngood.matrix.docs docs/contributing-data.md."""
    assert docs.render(PAGE.read_text()) == PAGE.read_text()


@pytest.mark.parametrize("path", FILES)
def test_the_file_that_the_guide_shows_is_all_it_takes(tmp_path: Path, path: str) -> None:
    """Without it the matrix is valid too, so nothing else had to be touched. A component takes its rules along."""
    folder = shutil.copytree(matrix_dir(), tmp_path / "matrix")
    (folder / path).unlink()
    rules = {}
    if path.startswith("components/"):
        name = Path(path).stem
        rules = {p: p.read_text() for p in (folder / "rules").glob("*.yaml") if f"{name}:" in p.read_text()}
        assert rules
        for rule in rules:
            rule.unlink()
    assert check(folder).errors == ()
    (folder / path).write_text(FILES[path])
    for rule, text in rules.items():
        rule.write_text(text)
    assert check(folder).errors == ()


def test_no_component_needs_more_than_its_file_and_its_rules(tmp_path: Path) -> None:
    """Published versions and updates are more to know, never more to write: without any of them the matrix is valid."""
    folder = shutil.copytree(matrix_dir(), tmp_path / "matrix")
    shutil.rmtree(folder / "edges")
    assert check(folder).errors == ()


EXAMPLE = re.compile(r"<!-- begin example (?P<path>\S+) -->\n```yaml\n(?P<text>.*?)```\n", re.DOTALL)


def test_a_component_of_a_known_class_moves_by_its_file_alone(tmp_path: Path) -> None:
    """The guide's example, put into the matrix that ships: no code knows it, a cluster that declares it moves it."""
    example = EXAMPLE.search(PAGE.read_text())
    assert example
    folder, name = shutil.copytree(matrix_dir(), tmp_path / "matrix"), Path(example["path"]).stem
    (folder / example["path"]).write_text(example["text"])
    assert check(folder).errors == ()
    matrix = load(folder)
    cluster = matrix.clusters["ams-prod"]
    live = ObjectRef("example.com/v1", "ThingDriver", "{ring}")
    declared = Declaration(name, "things/thing-{ring}.yaml", "spec.version", live)
    base = matrix.releases[cluster.release]
    releases = {
        "before": replace(base, name="before", components={**base.components, name: "1.0.0"}),
        "after": replace(base, name="after", components={**base.components, name: "1.1.0"}),
    }
    clusters = {
        "ams-prod": replace(cluster, release="before", declarations=(*cluster.declarations, declared))
    }
    made = plan(replace(matrix, releases=releases, clusters=clusters), "ams-prod", "after")
    (hop,) = made.hops
    assert hop.not_movable == ()
    assert made.movers[name].words.does == "reload the thing's driver"
    assert {c.component for ring in hop.rings for c in ring.changes} == {name}
    assert len(hop.rings) == len(cluster.rings)
