"""The GitOps repository of a rehearsal holds what the real one would, and the operators' schemas accept it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from tests.unit.rehearsal.shipped import matrix, shipped

from knowngood.model.errors import UsageError
from knowngood.rehearsal.gitops import files

CLUSTERS = sorted(matrix().clusters)
CRDS = Path(__file__).parents[4] / "shared" / "crds"
DEFINITIONS = {
    "NVIDIADriver": "nvidia.com_nvidiadrivers.yaml",
    "ClusterPolicy": "nvidia.com_clusterpolicies.yaml",
    "NicClusterPolicy": "mellanox.com_nicclusterpolicies.yaml",
}


def objects(name: str) -> dict[str, dict[str, Any]]:
    s = shipped(name)
    return files(s.cluster, s.profile, s.release)


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The definition's schema, refusing unknown fields: an API server would drop them silently."""
    made = {k: strict(v) if isinstance(v, dict) else v for k, v in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["properties"] = {k: strict(v) for k, v in schema["properties"].items()}
        made.setdefault("additionalProperties", False)
    return made


@pytest.mark.skipif(not CRDS.is_dir(), reason="the vendors' CRDs are not beside this checkout")
@pytest.mark.parametrize("name", CLUSTERS)
def test_every_object_fits_its_operators_schema(name: str) -> None:
    for path, value in objects(name).items():
        definition = yaml.safe_load((CRDS / DEFINITIONS[value["kind"]]).read_text())
        version = value["apiVersion"].split("/")[1]
        schemas = {v["name"]: v["schema"]["openAPIV3Schema"] for v in definition["spec"]["versions"]}
        checked = {k: v for k, v in value.items() if k != "metadata"}
        errors = [e.message for e in Draft202012Validator(strict(schemas[version])).iter_errors(checked)]
        assert not errors, path


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
    folders = {PurePosixPath(a["path"]) for a in shipped(name).cluster.gitops.applications}
    assert all(PurePosixPath(path).parent in folders for path in objects(name))


def test_a_cluster_declared_otherwise_is_refused_with_its_place() -> None:
    s = shipped("ams-prod")
    declaration = replace(s.cluster.declaration("nvidia-driver"), file="clusters/x/clusterpolicy.yaml")
    with pytest.raises(UsageError, match="one NVIDIADriver a ring") as raised:
        files(replace(s.cluster, declarations=(declaration,)), s.profile, s.release)
    assert raised.value.where == s.cluster.where
