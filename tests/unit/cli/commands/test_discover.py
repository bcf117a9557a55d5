"""The first hour on an ordinary cluster: discover, a few answers, validate, plan; values lie in a kustomize base."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tests.first_hour import CLUSTER_POLICY, OPERATORS, OVERLAY, POLICY, checkout, inspected, kustomization
from tests.unit.cli.called import knowngood

from knowngood.matrix.locate import matrix_dir

ANSWERS = """
profile: hgx-h200
release: h200-4.18-r580.105
traits: {infrastructure: bare-metal, network: ovn-kubernetes, disconnected: "false"}
tenants:
  - {name: vision, namespaces: [vision], evictionDeadlineSeconds: 600}
"""
"""What a human types: eight values, the driver's and the operators' places not among them."""


@pytest.fixture(name="found")
def _found(tmp_path: Path) -> dict[str, object]:
    repo = checkout(tmp_path / "ops")
    seen = inspected(tmp_path / "seen", f"file://{repo}")
    said = knowngood("discover", "prod", "--from", seen, "--gitops", repo, "--out", tmp_path / "out")
    assert said.code == 0, said.err
    found: dict[str, object] = yaml.safe_load((tmp_path / "out" / "prod.yaml").read_text())
    return found


def test_from_what_a_cluster_shows_to_a_plan_with_fewer_than_ten_values_typed(
    found: dict[str, object], tmp_path: Path
) -> None:
    typed = yaml.safe_load(ANSWERS)
    typed["traits"] = {**found.pop("traits"), **typed["traits"]}  # type: ignore[dict-item]
    matrix = tmp_path / "matrix"
    shutil.copytree(matrix_dir(), matrix, ignore=shutil.ignore_patterns("clusters", "fleet.yaml"))
    (matrix / "clusters").mkdir()
    (matrix / "clusters" / "prod.yaml").write_text(yaml.safe_dump({**found, **typed}))
    checked = knowngood("validate", "--matrix", matrix)
    assert checked.code == 0, checked.out
    assert "KG427" in checked.out, "a base in nobody's folder is told of, and is no error"
    made = knowngood("plan", "prod", "--to", "h200-4.18-r580", "--from-git", "--matrix", matrix)
    assert made.code == 0, made.err
    assert "nvidia-driver 580.105.08 → 580.126.16" in made.out
    assert "not yet movable" not in made.out


def test_nothing_is_asked_of_what_is_not_there(tmp_path: Path) -> None:
    """A tenant's ConfigMap or Application declares nothing, and what does not run has no default to write out."""
    repo = checkout(tmp_path / "ops")
    knowngood("discover", "prod", "--from", inspected(tmp_path / "seen"), "--gitops", repo, "--out", tmp_path)
    text = (tmp_path / "prod.yaml").read_text()
    assert "# ? declare" not in text
    assert [a["name"] for a in yaml.safe_load(text)["gitops"]["applications"]] == ["cluster-config"]


def test_each_component_is_found_where_it_counts(found: dict[str, object]) -> None:
    """A patch of the overlay counts before the base that it patches; what no overlay touches is found in the base."""
    declared: dict[str, dict[str, str]] = found["declare"]  # type: ignore[assignment]
    assert {name: one["file"] for name, one in declared.items()} == {
        "doca-ofed": f"{OVERLAY}/kustomization.yaml",
        "gpu-operator": f"{OPERATORS}/gpu-operator/subscription.yaml",
        "network-operator": f"{OPERATORS}/network-operator/subscription.yaml",
        "nvidia-driver": POLICY,
    }


def test_a_base_that_another_overlay_reads_too_is_a_question(tmp_path: Path) -> None:
    other = {"cluster-config/overlays/dev/kustomization.yaml": kustomization("../../base")}
    repo = checkout(tmp_path / "ops", **other)
    said = knowngood(
        "discover", "prod", "--from", inspected(tmp_path / "seen"), "--gitops", repo, "--out", tmp_path
    )
    lines = [line.strip("# ") for line in (tmp_path / "prod.yaml").read_text().splitlines()]
    asked = " ".join(lines)
    assert f"nvidia-driver: {POLICY} is read by cluster-config/overlays/dev, too" in asked
    assert "doca-ofed: " not in asked.partition("declare:")[0], "its patch is in this cluster's overlay"
    assert said.code == 0


def test_a_version_that_follows_its_operator_is_a_question(tmp_path: Path) -> None:
    """Nothing in Git could be moved, or taken back."""
    plain = {**CLUSTER_POLICY, "spec": {"driver": {"enabled": True}}}
    repo = checkout(tmp_path / "ops", **{POLICY: plain})
    knowngood("discover", "prod", "--from", inspected(tmp_path / "seen"), "--gitops", repo, "--out", tmp_path)
    asked = " ".join(line.strip("# ") for line in (tmp_path / "prod.yaml").read_text().splitlines())
    assert (
        f"nvidia-driver: {POLICY} has ClusterPolicy gpu-cluster-policy without spec.driver.version" in asked
    )
