"""What `upgrade` refuses before it reads a cluster, and that it writes nothing then."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.cli.called import Said, knowngood

from knowngood.matrix.locate import matrix_dir


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A committed copy of the shipped matrix."""
    folder = tmp_path / "ops"
    shutil.copytree(matrix_dir(), folder / "matrix")
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgSign=false"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)
    return folder / "matrix"


def upgrade(matrix: Path, runs: Path, *more: object) -> Said:
    return knowngood("upgrade", "ams-prod", "--to", "r595", "--matrix", matrix, "--runs-dir", runs, *more)


def kubeconfig(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    return file


NOWHERE = """apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: x, user: {token: secret-of-mine}}]
"""


def test_a_dirty_matrix_is_refused(repository: Path, tmp_path: Path) -> None:
    file = repository / "releases" / "r595.yaml"
    file.write_text(file.read_text() + "\n# changed\n")
    said = upgrade(repository, tmp_path / "runs", "--yes")
    assert said.code == 2
    assert "uncommitted" in said.err
    assert "--allow-dirty" in said.err


def test_a_matrix_in_no_repository_is_refused(tmp_path: Path) -> None:
    shutil.copytree(matrix_dir(), tmp_path / "matrix")
    said = upgrade(tmp_path / "matrix", tmp_path / "runs")
    assert said.code == 2
    assert "no Git repository" in said.err


def test_without_a_kubeconfig_it_says_how_to_name_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    said = upgrade(repository, tmp_path / "runs")
    assert said.code == 2
    assert "--kubeconfig" in said.err


@pytest.mark.parametrize("text", ["{", "kind: Config\n", "[]"])
def test_a_kubeconfig_that_is_none_is_exit_2(repository: Path, tmp_path: Path, text: str) -> None:
    said = upgrade(repository, tmp_path / "runs", "--kubeconfig", kubeconfig(tmp_path, text))
    assert said.code == 2
    assert "kubeconfig" in said.err


def test_a_cluster_that_does_not_answer_is_inconclusive_and_no_secret_is_shown(
    repository: Path, tmp_path: Path
) -> None:
    said = upgrade(repository, tmp_path / "runs", "--kubeconfig", kubeconfig(tmp_path, NOWHERE), "--yes")
    assert said.code == 3
    assert "127.0.0.1:9" in said.err
    assert "secret-of-mine" not in said.err + said.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("arguments", [["ams-pord", "--to", "r595"], ["ams-prod", "--to", "r599"]])
def test_unknown_names_are_refused_first(repository: Path, arguments: list[str]) -> None:
    said = knowngood("upgrade", *arguments, "--matrix", repository)
    assert said.code == 2
    assert "there is no" in said.err


@pytest.mark.parametrize(
    ("detached", "words", "why"),
    [
        (True, (), "HEAD is detached"),
        (False, ("--record", "nowhere"), "--record nowhere"),
        (False, ("--record", "branch=a..b"), "can't name a branch"),
    ],
)
def test_a_run_that_does_not_know_where_its_record_goes_does_not_start(
    repository: Path, tmp_path: Path, detached: bool, words: tuple[str, ...], why: str
) -> None:
    if detached:
        subprocess.run(["git", "checkout", "-q", "--detach"], cwd=repository, check=True)
    said = upgrade(repository, tmp_path / "runs", "--yes", *words)
    assert said.code == 2
    assert why in said.err
    assert "--record" in said.err
    assert not (tmp_path / "runs").exists()


def test_a_detached_head_is_fine_where_the_record_becomes_a_file(repository: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "checkout", "-q", "--detach"], cwd=repository, check=True)
    cluster = ("--kubeconfig", kubeconfig(tmp_path, NOWHERE))
    said = upgrade(repository, tmp_path / "runs", "--yes", "--record", "file", *cluster)
    assert said.code == 3, "it came as far as the cluster"
    assert "127.0.0.1:9" in said.err


def test_a_run_in_the_cluster_goes_by_a_plan_that_was_read_here(repository: Path, tmp_path: Path) -> None:
    job = matrix_dir().parent / "deploy" / "runner" / "job.yaml"
    said = upgrade(repository, tmp_path / "runs", "--in-cluster", job, "--yes")
    assert (said.code, "--plan is missing" in said.err) == (2, True)
    assert "knowngood plan CLUSTER --to RELEASE --from-git --out FILE" in said.err
    assert not (tmp_path / "runs").exists()
