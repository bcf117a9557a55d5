"""A found cluster file is one that validates once its questions are answered, and is compared when found again."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from tests.unit.planner.discover.test_telling import a_cluster, told, with_, without

from knowngood.matrix.cluster_text import cluster_text, differences, draft_text, observed_text
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.matrix.observed import read_observed
from knowngood.planner.discover.seen import Told
from knowngood.report import published
from knowngood.report.discover_text import discover_json, discover_text


def test_the_text_is_what_was_told_and_each_question_stands_in_it() -> None:
    found = told(a_cluster())
    text = cluster_text(found, "https://api.example.com:6443")
    assert yaml.safe_load(text) == found.values
    flat = " ".join(line.lstrip("# ") for line in text.splitlines())
    for key, questions in found.questions.items():
        for question in questions:
            assert f"? {key}: {question}" in flat
    assert max(map(len, text.splitlines())) <= 120


def test_once_its_questions_are_answered_it_is_a_cluster_file_of_the_matrix(tmp_path: Path) -> None:
    shutil.copytree(matrix_dir(), tmp_path / "matrix")
    text = cluster_text(told(a_cluster()), "x")
    (tmp_path / "matrix" / "clusters" / "found.yaml").write_text(f"{text}release: r580\n")
    assert load(tmp_path / "matrix").clusters["found"].gpu == ("gpu-1", "gpu-2", "gpu-10")


def test_what_runs_is_taken_by_from_file(tmp_path: Path) -> None:
    found, file = told(a_cluster()), tmp_path / "observed.yaml"
    file.write_text(observed_text(found, "x"))
    assert read_observed(file, load(matrix_dir())).versions == {n: v.text for n, v in found.versions.items()}


def test_found_again_only_what_is_otherwise_is_said(tmp_path: Path) -> None:
    file = tmp_path / "found.yaml"
    file.write_text(cluster_text(told(a_cluster()), "x"))
    assert differences(told(a_cluster()), file) == ()
    chosen = file.read_text().replace("batch: 1", "batch: 2")
    file.write_text(chosen.replace("gpu-10]", "gpu-10, gpu-11]") + "limits: {soakSeconds: 60}\n")
    assert set(differences(told(a_cluster()), file)) == {
        "nodes.gpu: the file has gpu-1, gpu-2, gpu-10, gpu-11, the cluster gpu-1, gpu-2, gpu-10",
        "rings[ring-1].nodes: the file has gpu-2, gpu-10, gpu-11, the cluster gpu-2, gpu-10",
    }


def test_a_draft_has_what_the_machine_says() -> None:
    text = draft_text(Told(draft={"product": "X", "gpus": 4, "gpuPciId": "10de:26b9", "nics": 2}))
    assert yaml.safe_load(text) == {"product": "X", "gpus": 4, "gpuPciId": "10de:26b9", "nics": 2}


def test_the_screen_names_what_could_not_be_read_and_fits() -> None:
    seen = without(with_(a_cluster(), "CatalogSource"), "Deployment", "403")
    lines = discover_text(told(seen), seen, ["nodes.gpu: otherwise"], 80).splitlines()
    assert any("Deployment" in line and "403" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_values_are_those_of_the_published_schema() -> None:
    schema = published.schema("discover")
    Draft202012Validator(schema).validate(discover_json(told(a_cluster()), a_cluster(), None))
