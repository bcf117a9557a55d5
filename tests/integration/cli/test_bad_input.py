"""What a user got wrong is said with file and line, on a real twin, and nothing is written anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.play import Ended, Play, is_ours, staged

CLUSTER = "lab-small"
BOOKS = {"Lease", "ConfigMap", "Namespace", "Job"}
"""What a run may write before its first change: its own books, and a probe that only reads."""


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with staged(tmp_path_factory.mktemp("input") / "stage", CLUSTER) as found:
        yield found


def cluster_file(play: Play) -> Path:
    return play.stage.matrix / "clusters" / f"{CLUSTER}.yaml"


@pytest.fixture
def changed(play: Play) -> Iterator[Play]:
    """A stage whose cluster file is put back afterwards."""
    text = cluster_file(play).read_text()
    yield play
    cluster_file(play).write_text(text)


def upgrade(play: Play, *more: str) -> Ended:
    return play.knowngood("upgrade", CLUSTER, "--to", "r595", "--yes", "--allow-dirty", *more)


def written(play: Play) -> list[dict[str, str]]:
    """What knowngood wrote to the API server so far."""
    lines = (play.stage.state / "audit.jsonl").read_text().splitlines()
    return [w for w in map(json.loads, lines) if is_ours(w["userAgent"])]


def refused(play: Play, ended: Ended, code: int, *words: str) -> None:
    """Exit code and words are right, there is no traceback, and neither Git nor a node was touched."""
    assert ended.code == code, ended.stderr
    for word in words:
        assert word in ended.stderr + ended.stdout, ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
    assert play.commits() == ["The cluster at rest"]
    assert {w["kind"] for w in written(play)} <= BOOKS, "neither a node nor a pod was touched"


def test_a_cluster_file_that_names_a_node_which_is_not_there(changed: Play) -> None:
    text = cluster_file(changed).read_text()
    cluster_file(changed).write_text(text.replace("lab-gpu-2", "lab-gpu-9"))
    line = text[: text.index("lab-gpu-2", text.index("gpu:"))].count("\n") + 1
    ended = upgrade(changed)
    refused(changed, ended, 2, f"{CLUSTER}.yaml:{line}: lab-gpu-9 is no node of that cluster")
    assert not written(changed), "not even a Lease"


def test_a_gitops_remote_that_takes_no_commits(changed: Play) -> None:
    hook = changed.stage.repo / ".git" / "hooks" / "pre-receive"
    hook = hook if hook.parent.parent.is_dir() else changed.stage.repo / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main takes pull requests only'\nexit 1\n")
    hook.chmod(0o755)
    try:
        ended = upgrade(changed)
    finally:
        hook.unlink()
    refused(changed, ended, 2, "does not take our commits", "right to push")


def test_a_gitops_repository_that_is_not_there(changed: Play) -> None:
    text = cluster_file(changed).read_text()
    repo = next(x for x in text.splitlines() if x.strip().startswith("repo:"))
    cluster_file(changed).write_text(text.replace(repo, repo.replace(".git", "-gone.git", 1)))
    ended = upgrade(changed)
    refused(changed, ended, 2, "gitops.repo")


@pytest.mark.parametrize(
    ("broken", "line", "words"),
    [
        ("status: candidate\nstatus: candidate\n", 2, "status"),
        ("status: [\n", 2, "not valid YAML"),
        ("x: &a [1]\ny: *a\n", 1, "anchor"),
        ("a" * 2_000_000, None, "larger than"),
    ],
    ids=["a doubled key", "no YAML", "an anchor", "a huge file"],
)
def test_a_broken_release_file(changed: Play, broken: str, line: int | None, words: str) -> None:
    file = changed.stage.matrix / "releases" / "broken.yaml"
    file.write_text(broken)
    try:
        ended = upgrade(changed)
    finally:
        file.unlink()
    place = f"broken.yaml:{line}:" if line else "broken.yaml"
    refused(changed, ended, 2, place, words)


def test_a_release_that_breaks_a_blocking_rule(changed: Play) -> None:
    source = changed.stage.matrix / "releases" / "r595.yaml"
    bad = source.with_name("bad.yaml")
    bad.write_text(source.read_text().replace("openshift: 4.18.52", "openshift: 4.18.22"))
    try:
        ended = changed.knowngood("upgrade", CLUSTER, "--to", "bad", "--yes", "--allow-dirty")
    finally:
        bad.unlink()
    refused(changed, ended, 2, "bad.yaml", "crun", "source")


def test_a_dirty_checkout(changed: Play) -> None:
    file = cluster_file(changed)
    file.write_text(file.read_text() + "# a note\n")
    ended = changed.knowngood("upgrade", CLUSTER, "--to", "r595", "--yes")
    refused(changed, ended, 2, "uncommitted changes", "--allow-dirty")
