"""A rehearsal plays the upgrade of any repository: what lies in patches, values or a base gets a file of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.rehearsal.places import playable, played

OVERLAY = [{"path": "overlays/prod"}, {"path": "clusters/lab/gpu"}]
POLICY = {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "name": "gpu-cluster-policy"}
RING = {"apiVersion": "nvidia.com/v1alpha1", "kind": "NVIDIADriver", "name": "{ring}"}


@pytest.mark.parametrize(
    ("one", "file"),
    [
        ({"file": "overlays/prod/policy.yaml", "object": POLICY}, "overlays/prod/policy.yaml"),
        ({"file": "base/gpu/policy.yaml", "object": POLICY}, "base/gpu/policy.yaml"),
        (
            {"file": "config/base/operators/policy.yaml", "object": POLICY},
            "overlays/prod/clusterpolicy-gpu-cluster-policy.yaml",
        ),
        (
            {"file": "clusters/lab/gpu/kustomization.yaml", "object": POLICY},
            "clusters/lab/gpu/clusterpolicy-gpu-cluster-policy.yaml",
        ),
        ({"file": "clusters/lab/gpu/all.yaml", "object": RING}, "clusters/lab/gpu/nvidiadriver-{ring}.yaml"),
        (
            {
                "file": "argocd/gpu.yaml",
                "object": POLICY,
                "written": "spec.source.helm.values.driver.version",
            },
            "overlays/prod/clusterpolicy-gpu-cluster-policy.yaml",
        ),
    ],
)
def test_a_place_that_the_twin_would_not_know_is_a_file_of_the_object(
    one: dict[str, object], file: str
) -> None:
    (played,) = playable({"nvidia-driver": {**one, "path": "spec.driver.version"}}, OVERLAY).values()
    assert played == {"file": file, "path": "spec.driver.version", "object": one["object"]}


def test_files_that_one_kustomization_could_not_hold_get_a_file_each() -> None:
    """Two of one name in subfolders; several objects in one file; whatever an Application reads with its subfolders."""
    operator = {**POLICY, "kind": "Subscription", "name": "gpu"}
    declare = {
        "a": {"file": "overlays/prod/gpu/all.yaml", "object": POLICY},
        "b": {"file": "overlays/prod/gpu/all.yaml", "object": operator},
        "c": {"file": "overlays/prod/x/policy.yaml", "object": POLICY},
        "d": {"file": "overlays/prod/y/policy.yaml", "object": {**POLICY, "name": "other"}},
        "e": {"file": "clusters/lab/gpu/deep/one.yaml", "object": {**POLICY, "name": "third"}},
    }
    played_as = playable(declare, [OVERLAY[0], {**OVERLAY[1], "recurse": True}])
    assert [one["file"] for one in played_as.values()] == [
        "overlays/prod/clusterpolicy-gpu-cluster-policy.yaml",
        "overlays/prod/subscription-gpu.yaml",
        "overlays/prod/clusterpolicy-gpu-cluster-policy.yaml",
        "overlays/prod/clusterpolicy-other.yaml",
        "clusters/lab/gpu/clusterpolicy-third.yaml",
    ]


def test_the_twin_s_files_lie_where_the_played_cluster_file_says() -> None:
    """Both are made of one cluster: a base in nobody's folder gets its file in both, or the run would not find it."""
    shipped = load(matrix_dir()).clusters["lab-small"]
    raw = {**shipped.raw, "declare": {"nvidia-driver": {**shipped.raw["declare"]["nvidia-driver"]}}}
    raw["declare"]["nvidia-driver"] |= {"file": "base/all.yaml", "written": "rings.{ring}.version"}
    (declaration,) = shipped.declarations
    own = replace(shipped, raw=raw, declarations=(replace(declaration, file="base/all.yaml", written="x"),))
    (moved,) = played(own).declarations
    assert (moved.file, moved.written) == ("clusters/lab-small/gpu/nvidiadriver-{ring}.yaml", "")
