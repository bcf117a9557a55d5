"""The GitOps repository of a rehearsal holds what the real one would, and the operators' schemas accept it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.published import needs_definitions, problems
from tests.unit.rehearsal.shipped import matrix, shipped

from knowngood.model.declared import Scope
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import Application
from knowngood.model.matrix import Declaration
from knowngood.model.values import Object
from knowngood.planner.readiness.declaring import against_moving
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.gitops import files

CLUSTERS = sorted(matrix().clusters)


@pytest.fixture(name="applied", params=CLUSTERS)
def _applied(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[AtRest, list[Object]]:
    """A shipped cluster at rest, and the objects that Argo CD applies there."""
    rest = shipped(request.param)
    for name, value in files(rest).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(value))
    folders = [tmp_path / a.path for a in rest.cluster.gitops.applications]
    return rest, [one for folder in folders for one in read(folder)]


def read(folder: Path) -> list[Object]:
    """What Argo CD makes of a folder."""
    if not (folder / "kustomization.yaml").exists():
        return [json.loads(file.read_text()) for file in sorted(folder.glob("*.yaml"))]
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


@needs_definitions
def test_every_object_fits_its_operators_schema(applied: tuple[AtRest, list[Object]]) -> None:
    """But for Dell's, whose definition is not at hand."""
    for value in applied[1]:
        if value["kind"] != "ContainerStorageModule":
            assert not problems(value), value["metadata"]["name"]


def test_every_version_of_the_release_stands_in_the_object_that_the_cluster_file_names(
    applied: tuple[AtRest, list[Object]],
) -> None:
    rest, objects = applied
    by_name = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    for declaration in rest.cluster.declarations:
        by_ring = declaration.scope is Scope.NODE
        for ring in [r.name for r in rest.cluster.rings] if by_ring else [""]:
            named = declaration.of_ring(ring).object
            whole = by_name[named.kind, named.name]
            texts = rest.texts(declaration)
            assert texts
            assert {path: as_text(at(whole, path)) for path in texts} == texts
            if by_ring and "spec" in whole:
                assert whole["spec"]["nodeSelector"] == {"knowngood.dev/ring": ring}


def as_text(value: object) -> str:
    """As YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def at(whole: Object, path: str) -> Any:
    """What stands at PATH."""
    found: Any = whole
    for name in path.split("."):
        found = found[name]
    return found


def test_nothing_in_it_speaks_against_a_run(applied: tuple[AtRest, list[Object]]) -> None:
    """Automatic upgrades are off and our taints tolerated, or a rehearsal would end before it began."""
    drivers = [o for o in applied[1] if o["kind"] in {"NVIDIADriver", "ClusterPolicy", "NicClusterPolicy"}]
    assert drivers
    assert not [finding for one in drivers for finding in against_moving(one, ["nvidia.com/gpu"])]
    operators = [o["spec"] for o in applied[1] if o["kind"] == "Subscription"]
    assert all(spec["installPlanApproval"] == "Manual" for spec in operators)


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
