"""The GitOps repository of a rehearsal holds what the real one would, and the operators' schemas accept it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from tests.published import needs_definitions, problems
from tests.unit.rehearsal.shipped import matrix, shipped

from knowngood.model.errors import UsageError
from knowngood.rehearsal.gitops import files

CLUSTERS = sorted(matrix().clusters)


def objects(name: str) -> dict[str, dict[str, Any]]:
    s = shipped(name)
    return files(s.cluster, s.profile, s.release)


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


def test_a_cluster_declared_otherwise_is_refused_with_its_place() -> None:
    s = shipped("ams-prod")
    declaration = replace(s.cluster.declaration("nvidia-driver"), file="clusters/x/clusterpolicy.yaml")
    with pytest.raises(UsageError, match="one NVIDIADriver a ring") as raised:
        files(replace(s.cluster, declarations=(declaration,)), s.profile, s.release)
    assert raised.value.where == s.cluster.where
