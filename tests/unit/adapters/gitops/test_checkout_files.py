"""What lies in a checkout: patches count for each object that they are of, and what can't be read is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.first_hour import CLUSTER_POLICY, OPERATORS, OVERLAY, POLICY, kustomization, obj

from knowngood.adapters.gitops.checkout_files import checkout_of
from knowngood.model.values import Object
from knowngood.planner.discover.seen import File

SET = [{"op": "replace", "path": "/spec/driver/version", "value": "580.105.08"}]
OTHER = obj("nvidia.com/v1", "ClusterPolicy", "any", {"driver": {"version": "580.105.08"}})
KIND = {"kind": "ClusterPolicy"}


def patches(folder: Path, *several: Object, **more: object) -> list[File]:
    """The patches of the policy that a checkout with this overlay has."""
    files = {
        POLICY: CLUSTER_POLICY,
        f"{OPERATORS}/kustomization.yaml": kustomization("gpu-operator/cluster-policy.yaml"),
        f"{OVERLAY}/kustomization.yaml": kustomization("../../base/operators", patches=list(several)),
        **more,
    }
    for name, held in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(held))
    found = checkout_of(folder, [OVERLAY]).files
    return [f for f in found if (f.kind, f.name, f.patch) == ("ClusterPolicy", "gpu-cluster-policy", True)]


@pytest.mark.parametrize("target", [KIND, {"name": "gpu-.*"}, {**KIND, "labelSelector": "app=gpu"}])
@pytest.mark.parametrize("patch", [SET, OTHER])
def test_a_patch_is_of_all_that_its_target_means(tmp_path: Path, target: Object, patch: object) -> None:
    (found,) = patches(tmp_path, {"target": target, "patch": yaml.safe_dump(patch)})
    assert (found.path, found.texts["spec.driver.version"]) == (f"{OVERLAY}/kustomization.yaml", "580.105.08")


@pytest.mark.parametrize("patch", [SET, OTHER])
def test_so_is_one_in_a_file(tmp_path: Path, patch: object) -> None:
    file = f"{OVERLAY}/driver.yaml"
    (found,) = patches(tmp_path, {"target": KIND, "path": "driver.yaml"}, **{file: patch})
    assert (found.path, found.texts["spec.driver.version"]) == (file, "580.105.08")


def test_a_patch_that_names_its_target_itself_is_one(tmp_path: Path) -> None:
    file = f"{OVERLAY}/driver.yaml"
    assert len(patches(tmp_path, {"target": KIND, "path": "driver.yaml"}, **{file: CLUSTER_POLICY})) == 1


def test_a_target_of_others_is_none_of_ours(tmp_path: Path) -> None:
    target = {"kind": "NicClusterPolicy"}
    assert patches(tmp_path, {"target": target, "patch": yaml.safe_dump(SET)}) == []


def test_what_is_no_plain_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("kind: ClusterPolicy\nspec: &s {a: b}\n")
    assert checkout_of(tmp_path, []).unread == {"policy.yaml:2": "anchors and aliases are not allowed"}
