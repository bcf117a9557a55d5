"""The GitOps repository of a rehearsal holds what the real one would, and the operators' schemas accept it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from tests.published import needs_definitions, problems
from tests.unit.rehearsal.shipped import matrix, shipped

from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Application, Declaration
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.gitops import files

CLUSTERS = sorted(matrix().clusters)


def objects(name: str) -> dict[str, dict[str, Any]]:
    return files(shipped(name))


@needs_definitions
@pytest.mark.parametrize("name", CLUSTERS)
def test_every_object_fits_its_operators_schema(name: str) -> None:
    for path, value in objects(name).items():
        assert not problems(value), path


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_ring_is_declared_where_the_cluster_file_says(name: str) -> None:
    s, found = shipped(name), objects(name)
    declaration = s.cluster.declaration("nvidia-driver")
    for ring in s.cluster.rings:
        spec = found[declaration.file.replace("{ring}", ring.name)]["spec"]
        assert spec["version"] == s.release.components["nvidia-driver"]
        assert spec["nodeSelector"] == {"knowngood.dev/ring": ring.name}
        assert spec["upgradePolicy"] == {"autoUpgrade": False}
        assert {"knowngood.dev/maintenance", "knowngood.dev/quarantine"} <= {
            t["key"] for t in spec["tolerations"]
        }


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_file_lies_in_an_application(name: str) -> None:
    """Else Argo CD never applies it."""
    folders = {PurePosixPath(a.path) for a in shipped(name).cluster.gitops.applications}
    assert all(PurePosixPath(path).parent in folders for path in objects(name))


def declared(component: str, file: str, kind: str, api_version: str = "nvidia.com/v1") -> Declaration:
    named = ObjectRef(api_version, kind, "gpu-cluster-policy")
    return Declaration(component, file, "spec.driver.version", named)


def with_one(*declarations: Declaration, path: str = "overlays/x/gpu") -> AtRest:
    """The small cluster, declared otherwise, read by one Application."""
    s = shipped("lab-small")
    gitops = replace(s.cluster.gitops, applications=(Application("x-gpu", "openshift-gitops", path),))
    return replace(s, cluster=replace(s.cluster, declarations=declarations, gitops=gitops))


def test_a_file_below_an_applications_folder_is_a_patch_and_the_base_holds_the_rest() -> None:
    found = files(with_one(declared("nvidia-driver", "overlays/x/gpu/patches/driver.yaml", "ClusterPolicy")))
    patch, base = found["overlays/x/gpu/patches/driver.yaml"], found["base/gpu/driver.yaml"]
    assert patch["spec"] == {"driver": {"version": "580.173.02"}}
    assert "version" not in base["spec"]["driver"]
    assert base["metadata"] == patch["metadata"]
    assert found["overlays/x/gpu/kustomization.yaml"]["patches"] == [{"path": "patches/driver.yaml"}]
    assert found["overlays/x/gpu/kustomization.yaml"]["resources"][0] == "../../../base/gpu"


def test_a_file_of_no_application_is_the_base_of_the_overlay_that_is_called_so() -> None:
    found = files(with_one(declared("nvidia-driver", "base/gpu/policy.yaml", "ClusterPolicy")))
    assert found["base/gpu/policy.yaml"]["spec"]["driver"]["version"] == "580.173.02"
    assert found["base/gpu/kustomization.yaml"]["resources"][0] == "policy.yaml"
    assert "patches" not in found["overlays/x/gpu/kustomization.yaml"]


@pytest.mark.parametrize(
    ("declaration", "says"),
    [
        (
            declared("doca-ofed", "overlays/x/gpu/p.yaml", "NicClusterPolicy"),
            "does not declare nvidia-driver",
        ),
        (
            declared("nvidia-driver", "base/storage/p.yaml", "ClusterPolicy"),
            "no Application reads base/storage",
        ),
        (declared("gds", "overlays/x/gpu/p.yaml", "Widget"), "the twin does not play Widget"),
    ],
)
def test_a_cluster_that_the_twin_can_not_play_is_refused_with_its_place(
    declaration: Declaration, says: str
) -> None:
    rest = with_one(declaration)
    rest = replace(
        rest, release=replace(rest.release, components={**rest.release.components, "gds": "2.17.5"})
    )
    with pytest.raises(UsageError, match=says) as raised:
        files(rest)
    assert raised.value.where == rest.cluster.where
