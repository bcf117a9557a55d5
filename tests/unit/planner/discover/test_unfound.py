"""What a cluster has and no file is known to say is asked about by name: which Application brings it, and why."""

from __future__ import annotations

from typing import Any

import pytest
from tests.first_hour import CLUSTER_POLICY, application

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.values import Object
from knowngood.planner.discover.seen import Seen, Told, Version
from knowngood.planner.discover.unfound import unfound, unrendered

MATRIX = load(matrix_dir())
RUNS = CLUSTER_POLICY["spec"]["driver"]["version"]
DRIVER = MATRIX.movers["nvidia-driver"]
FOLDER: Object = {"repoURL": "https://git", "path": "gpu"}
REMOTE: Object = {
    "repoURL": "https://charts",
    "chart": "gpu-operator",
    "helm": {"valueFiles": ["$v/gpu.yaml"]},
}


def made(source: Object, *several: Object, by: str = "") -> Object:
    found = application("gpu", "gpu", CLUSTER_POLICY)
    found["spec"] = {**found["spec"], "source": source} if not several else {"sources": [source, *several]}
    if by:
        found["metadata"]["ownerReferences"] = [{"kind": "ApplicationSet", "name": by}]
    return found


def asked(app: Object, running: str = RUNS) -> str:
    told = Told(versions={"nvidia-driver": Version(running, "read")})
    unfound(Seen({"Application": (app,), "ClusterPolicy": (CLUSTER_POLICY,)}), told, "nvidia-driver", DRIVER)
    return " ".join(told.questions.get("declare", ()))


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (
            made(REMOTE),
            "a chart from elsewhere, and gives it values files; write the value into helm.valuesObject",
        ),
        (
            made(REMOTE, {"repoURL": "https://git", "ref": "v"}, by="fleet"),
            "ApplicationSet fleet makes it, so",
        ),
        (
            made(FOLDER, by="fleet"),
            "is made by ApplicationSet fleet: where its template or generator says it",
        ),
        (made(FOLDER), "makes it by a chart's template or a generator"),
        (made({**FOLDER, "plugin": {"name": "cue"}}), "makes its objects by a plugin, which is not run here"),
    ],
)
def test_the_application_that_brings_it_and_the_way_out_are_named(app: Object, words: str) -> None:
    said = asked(app)
    assert f"nvidia-driver: ClusterPolicy gpu-cluster-policy has spec.driver.version {RUNS}" in said
    assert "Application gpu" in said
    assert words in said


def test_a_file_on_the_way_that_could_not_be_read_is_the_reason() -> None:
    """Anything may stand there; the chart or generator that others have is none of this one's."""
    told = Told(versions={"nvidia-driver": Version(RUNS, "read")})
    objects = {"Application": (made(FOLDER),), "ClusterPolicy": (CLUSTER_POLICY,)}
    reads = {"gpu": frozenset(("gpu/kustomization.yaml",))}
    seen = Seen(objects, {"gpu/kustomization.yaml:3": "anchors and aliases are not allowed"}, reads=reads)
    unfound(seen, told, "nvidia-driver", DRIVER)
    (question,) = told.questions["declare"]
    assert question.endswith(
        "reads what could not be read, gpu/kustomization.yaml:3: anchors and aliases are not allowed"
    )


def test_what_does_not_run_is_not_asked_about() -> None:
    assert asked(made(FOLDER), running="570.211.01") == ""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"directory": {"exclude": "old/*"}}, "directory.exclude"),
        ({"kustomize": {"patches": [{"patch": "x"}]}}, "tells kustomize patches itself"),
    ],
)
def test_what_is_not_rendered_as_argo_cd_does_is_named(more: dict[str, Any], words: str) -> None:
    assert words in unrendered(made({**FOLDER, **more}))
    assert unrendered(made({**FOLDER, "directory": {"recurse": True}, "kustomize": {"version": "v5"}})) == ""


def test_two_folders_of_one_application_are_named() -> None:
    assert "reads several folders" in unrendered(made(FOLDER, {**FOLDER, "path": "network"}))


def test_where_nothing_shows_what_runs_the_object_is_believed() -> None:
    """From a folder of `oc adm inspect` no node is read."""
    told = Told()
    unfound(
        Seen({"Application": (made(FOLDER),), "ClusterPolicy": (CLUSTER_POLICY,)}),
        told,
        "nvidia-driver",
        DRIVER,
    )
    assert f"has spec.driver.version {RUNS}" in told.questions["declare"][0]
