"""What a checkout holds that no run could change: it is told by name, and nothing is declared there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.first_hour import CLUSTER_POLICY, OPERATORS, POLICY, checkout, inspected, kustomization
from tests.unit.cli.called import knowngood

from knowngood.matrix.span_edit import edit_scalar
from knowngood.model.field import ObjectRef

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"


def found_in(repo: Path, seen: Path, out: Path, of: str = "nvidia-driver") -> tuple[dict[str, Any], str, str]:
    """What is declared of a component, what is asked, what was printed."""
    said = knowngood("discover", "prod", "--from", seen, "--gitops", repo, "--out", out)
    assert said.code == 0, said.err
    text = (out / "prod.yaml").read_text()
    asked = " ".join(line.strip("# ") for line in text.splitlines() if line.startswith("#"))
    return yaml.safe_load(text)["declare"].get(of, {}), asked, " ".join(said.out.split())


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def driver(**fields: Any) -> dict[str, Any]:
    spec = CLUSTER_POLICY["spec"]
    return {**CLUSTER_POLICY, "spec": {**spec, "driver": {**spec["driver"], **fields}}}


def with_policy(
    folder: Path, policy: dict[str, Any], of: str = "nvidia-driver"
) -> tuple[dict[str, Any], str, str]:
    """The same in Git and in the cluster."""
    repo = checkout(folder / "ops", **{POLICY: policy})
    seen = inspected(folder / "seen", f"file://{repo}")
    items = yaml.safe_load((seen / "all.yaml").read_text())
    items["items"] = [policy if o["kind"] == "ClusterPolicy" else o for o in items["items"]]
    (seen / "all.yaml").write_text(yaml.safe_dump(items))
    return found_in(repo, seen, folder / "out", of)


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    repo = checkout(tmp_path / "ops")
    (repo / POLICY).write_text(POINTER)
    declared, asked, said = found_in(repo, inspected(tmp_path / "seen", f"file://{repo}"), tmp_path / "out")
    assert declared == {}
    assert f"reads what could not be read, {POLICY}: a pointer of Git LFS" in asked
    assert "a pointer of Git LFS" in said


def test_a_file_in_a_submodule_declares_nothing_here(tmp_path: Path) -> None:
    other, repo = tmp_path / "other", checkout(tmp_path / "ops")
    other.mkdir()
    (other / "cluster-policy.yaml").write_text((repo / POLICY).read_text())
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "x")):
        git(other, *words)
    (repo / POLICY).unlink()
    gpu = f"{OPERATORS}/gpu-operator"
    git(repo, "submodule", "add", str(other), f"{gpu}/vendor")
    resources = kustomization("subscription.yaml", "vendor/cluster-policy.yaml")
    (repo / gpu / "kustomization.yaml").write_text(yaml.safe_dump(resources))
    declared, asked, _ = found_in(repo, inspected(tmp_path / "seen", f"file://{repo}"), tmp_path / "out")
    assert declared == {}
    assert f"in the submodule {gpu}/vendor, another repository" in asked


def test_a_driver_that_is_switched_off_is_not_declared(tmp_path: Path) -> None:
    declared, asked, _ = with_policy(tmp_path, driver(enabled=False))
    assert declared == {}
    assert (
        "ClusterPolicy gpu-cluster-policy has spec.driver.enabled false, so its operator brings none" in asked
    )


def test_a_setting_that_is_off_is_declared_all_the_same(tmp_path: Path) -> None:
    declared, asked, _ = with_policy(tmp_path, driver(rdma={"enabled": False}), of="gpu-operator-rdma")
    assert (declared["file"], declared["path"]) == (POLICY, "spec.driver.rdma.enabled")
    assert "brings none" not in asked


@pytest.mark.parametrize("text", ["580", f"sha256:{'4' * 64}"])
def test_what_names_no_one_version_is_asked_about(tmp_path: Path, text: str) -> None:
    declared, asked, _ = with_policy(tmp_path, driver(version=text, usePrecompiled=text == "580"))
    assert declared["file"] == POLICY
    assert f"spec.driver.version in {POLICY} is {text}, which names no one version" in asked
    assert "say under texts what each version is written as" in asked


def test_an_object_of_a_list_is_found_where_it_is_written(tmp_path: Path) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    held = {"apiVersion": "v1", "kind": "List", "items": [other, CLUSTER_POLICY]}
    repo = checkout(tmp_path / "ops", **{POLICY: held})
    declared, asked, _ = found_in(repo, inspected(tmp_path / "seen", f"file://{repo}"), tmp_path / "out")
    assert (declared["file"], declared["written"]) == (POLICY, "items.1.spec.driver.version"), asked
    edited = edit_scalar(
        (repo / POLICY).read_text(),
        declared["path"],
        "595.91.07",
        file=POLICY,
        of=ObjectRef("nvidia.com/v1", "ClusterPolicy", "gpu-cluster-policy"),
        written=declared["written"],
    )
    assert yaml.safe_load(edited)["items"][1]["spec"]["driver"]["version"] == "595.91.07"
