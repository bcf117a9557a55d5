"""A component is found among the values that a chart is given: by its path's end, and by what the live object holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.first_hour import CLUSTER_POLICY, application, obj

from knowngood.adapters.gitops.checkout_files import checkout_of
from knowngood.matrix.build import DEFAULT_NAMESPACES
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.values import Object
from knowngood.planner.discover.declared import row_of
from knowngood.planner.discover.seen import Seen, Told
from knowngood.planner.discover.telling import tell

MATRIX = load(matrix_dir())
VERSION = CLUSTER_POLICY["spec"]["driver"]["version"]
LIVE = {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "name": "gpu-cluster-policy"}
CHART = "charts/gpu"


def chart(helm: Object, **source: str) -> Object:
    """An Application with a chart, from elsewhere or from a folder."""
    made = application("gpu-operator", "", CLUSTER_POLICY)
    spec = {**made["spec"], "source": {"repoURL": "https://charts.example.com", "helm": helm, **source}}
    return {**made, "spec": spec}


def told(folder: Path, gpu: Object, files: dict[str, object]) -> Told:
    root = application("root", "argocd", gpu)
    for name, held in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(held if isinstance(held, str) else yaml.safe_dump(held))
    found = checkout_of(folder, ["argocd", CHART])
    objects = {"Application": (root, gpu), "ClusterPolicy": (CLUSTER_POLICY,)}
    return tell(Seen(objects, {}, {}, found.files, None, found.reads), MATRIX, DEFAULT_NAMESPACES)


def test_a_pipe_among_the_manifests_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would never end."""
    os.mkfifo(tmp_path / "a.yaml")
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"read: 1")
    assert "another thing than a file" in checkout_of(tmp_path, []).unread["a.yaml"]


@pytest.mark.parametrize(
    ("helm", "written"),
    [
        ({"valuesObject": {"driver": {"version": VERSION}}}, "spec.source.helm.valuesObject.driver.version"),
        (
            {"valuesObject": {"gpu-operator": {"driver": {"version": VERSION}}}},
            "spec.source.helm.valuesObject.gpu-operator.driver.version",
        ),
        ({"values": f"driver:\n  version: '{VERSION}'\n"}, "spec.source.helm.values.driver.version"),
        (
            {"parameters": [{"name": "a", "value": "b"}, {"name": "driver.version", "value": VERSION}]},
            "spec.source.helm.parameters[name=driver.version].value",
        ),
    ],
)
def test_what_an_application_gives_its_chart_is_declared_in_its_manifest(
    tmp_path: Path, helm: dict[str, Any], written: str
) -> None:
    gpu = chart(helm, chart="gpu-operator", targetRevision="v25.10.1")
    found = told(tmp_path, gpu, {"argocd/gpu.yaml": {k: v for k, v in gpu.items() if k != "status"}})
    assert found.values["declare"]["nvidia-driver"] == {
        "file": "argocd/gpu.yaml",
        "path": "spec.driver.version",
        "object": LIVE,
        "written": written,
    }
    assert [a["name"] for a in found.values["gitops"]["applications"]] == ["root"]


@pytest.mark.parametrize(
    ("named", "values", "file"),
    [
        ([], {"values.yaml": VERSION}, "values.yaml"),
        (["prod.yaml"], {"values.yaml": VERSION, "prod.yaml": VERSION}, "prod.yaml"),
        (["prod.yaml"], {"values.yaml": VERSION, "prod.yaml": "570.1.1"}, "values.yaml"),
    ],
)
def test_of_a_charts_values_files_the_last_that_the_live_object_follows_counts(
    tmp_path: Path, named: list[str], values: dict[str, str], file: str
) -> None:
    gpu = chart({"valueFiles": named}, path=CHART)
    files: dict[str, object] = {f"{CHART}/{n}": {"driver": {"version": v}} for n, v in values.items()}
    files |= {f"{CHART}/Chart.yaml": {"name": "gpu"}, f"{CHART}/templates/policy.yaml": "{{ .Values }}\n{{"}
    found = told(tmp_path, gpu, files)
    declared = found.values["declare"]["nvidia-driver"]
    assert (declared["file"], declared["written"]) == (f"{CHART}/{file}", "driver.version")


def test_a_value_that_the_live_object_does_not_hold_is_not_it(tmp_path: Path) -> None:
    gpu = chart({"valuesObject": {"driver": {"version": "570.1.1"}}}, chart="gpu-operator")
    found = told(tmp_path, gpu, {"argocd/gpu.yaml": gpu, "x.yaml": obj("v1", "ConfigMap", "x")})
    assert "declare" not in found.values


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        ("../../clusters/prod.yaml", "../../clusters/prod.yaml"),
        ("/clusters/prod.yaml", "/clusters/prod.yaml"),
        ("$ours/clusters/prod.yaml", "/clusters/prod.yaml"),
    ],
)
def test_what_an_application_set_gives_a_chart_is_followed_and_written_into_the_cluster_file(
    tmp_path: Path, named: str, kept: str
) -> None:
    """Its Applications have no manifest in the repository: only the live one says which files count."""
    gpu = chart({}, path=CHART)
    source = {**gpu["spec"].pop("source"), "helm": {"valueFiles": [named]}}
    gpu["spec"]["sources"] = [{"repoURL": source["repoURL"], "ref": "ours"}, source]
    gpu["metadata"]["ownerReferences"] = [{"kind": "ApplicationSet", "name": "fleet"}]
    file = "clusters/prod.yaml"
    files: dict[str, object] = {
        f"{CHART}/Chart.yaml": {"name": "gpu"},
        file: {"driver": {"version": VERSION}},
    }
    found = told(tmp_path, gpu, files)
    declared = found.values["declare"]["nvidia-driver"]
    assert (declared["file"], declared["written"]) == (file, "driver.version")
    rows = found.values.get("gitops", {}).get("applications") or [row_of(Seen(files=()), gpu)]
    assert next(r for r in rows if r["name"] == "gpu-operator")["valueFiles"] == [kept]


def test_two_spellings_of_one_repository_are_one(tmp_path: Path) -> None:
    root = application("root", "argocd", CLUSTER_POLICY)
    other = application("gpu", CHART, CLUSTER_POLICY)
    other["spec"]["source"]["repoURL"] = root["spec"]["source"]["repoURL"].removesuffix(".git") + "/"
    objects = {"Application": (root, other), "ClusterPolicy": (CLUSTER_POLICY,)}
    found = tell(Seen(objects, files=checkout_of(tmp_path, []).files), MATRIX, DEFAULT_NAMESPACES)
    assert [a["name"] for a in found.values["gitops"]["applications"]] == ["gpu", "root"]
    assert found.values["gitops"]["repo"] == root["spec"]["source"]["repoURL"]


def test_a_manifest_that_nothing_delivers_is_a_question(tmp_path: Path) -> None:
    """Somebody applied it by hand: a commit in it would move nothing."""
    helm = {"valuesObject": {"driver": {"version": VERSION}}}
    gpu = chart(helm, chart="gpu-operator", targetRevision="v25.10.1")
    found = told(tmp_path, gpu, {"bootstrap/gpu.yaml": {k: v for k, v in gpu.items() if k != "status"}})
    assert "nvidia-driver: no Application reads bootstrap/gpu.yaml" in " ".join(found.questions["declare"])


def test_a_path_that_is_written_otherwise_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / "policy.yaml").write_text(yaml.safe_dump(CLUSTER_POLICY))
    gpu = application("gpu", "./gpu/", CLUSTER_POLICY)
    objects = {"Application": (gpu,), "ClusterPolicy": (CLUSTER_POLICY,)}
    found = tell(Seen(objects, files=checkout_of(tmp_path, ["gpu"]).files), MATRIX, DEFAULT_NAMESPACES)
    assert found.values["declare"]["nvidia-driver"]["file"] == "gpu/policy.yaml"
    assert [a["path"] for a in found.values["gitops"]["applications"]] == ["gpu"]
