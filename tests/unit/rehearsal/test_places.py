"""A rehearsal plays the upgrade of any repository: what lies in patches, values or a base gets a file of its own."""

from __future__ import annotations

import pytest

from knowngood.rehearsal.places import playable

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
