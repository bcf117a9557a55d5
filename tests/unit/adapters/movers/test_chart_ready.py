"""Why a chart is not begun: nothing is committed where it would not come, or would not come back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.unit.adapters.movers.chart_scene import APPLICATION, DEFINITION, NEW, OLD, QUEUES, Scene, moving

from knowngood.adapters.movers import chart_render
from knowngood.model.verdict import Verdict


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helm that prints the file that is returned, and writes down how it was called."""
    program = tmp_path / "helm"
    program.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/arguments\ncat >{tmp_path}/values\n'
        f"test -f {tmp_path}/printed || {{ echo 'Error: no such chart' >&2; exit 1; }}\ncat {tmp_path}/printed\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(chart_render, "HELM", str(program))
    return tmp_path / "printed"


def brings(printed: Path, *versions: str) -> None:
    """The chart has the definition in these versions, and stores in the last one."""
    rows = [{"name": v, "storage": v == versions[-1]} for v in versions]
    definition = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": QUEUES},
        "spec": {"versions": rows},
    }
    printed.write_text(yaml.safe_dump_all([{"kind": "Service"}, definition]))


def why(scene: Scene, *, undo: bool = False) -> list[str]:
    of = moving(OLD, NEW) if undo else moving()
    return [f"{f.verdict.value} {f.what}" for f in scene.charts.ready(of, undo=undo)]


def test_a_chart_at_rest_without_definitions_is_ready_forth_and_back_without_helm() -> None:
    scene = Scene(OLD)
    assert (why(scene), why(scene, undo=True)) == ([], [])


def test_stored_version_refuses(helm: Path) -> None:
    """What the newer chart stores and the older lacks would be refused on the way back: so nothing starts."""
    scene = Scene(OLD)
    scene.definition("v1", "v2")
    brings(helm, "v1", "v2")
    assert (why(scene), why(scene, undo=True)) == ([], [])
    brings(helm, "v2", "v3")
    (said,) = why(scene, undo=True)
    assert said.startswith(
        f"fail from {NEW} no revert leads back: it stores {QUEUES} as v3, which {OLD} lacks"
    )
    brings(helm, "v1")
    (said,) = why(scene)
    assert said == f"fail objects of {QUEUES} are stored as v2, which {NEW} lacks"


@pytest.mark.parametrize("undo", [False, True])
def test_a_definition_that_one_version_lacks_would_be_pruned_with_all_its_objects(
    helm: Path, undo: bool
) -> None:
    """Nothing starts, but where Argo CD does not prune it; what skipCrds leaves out says nothing."""
    scene, kind = Scene(OLD), "resourcequotas.example.com"
    scene.definition("v1")
    brings(helm, "v1")
    helm.write_text(helm.read_text().replace(QUEUES, kind))
    assert why(scene, undo=undo) == []  # it does not prune
    application, policy = scene.kube.objects[APPLICATION], {"automated": {"selfHeal": True, "prune": True}}
    scene.kube.put(APPLICATION, application | {"spec": application["spec"] | {"syncPolicy": policy}})
    (said,) = why(scene, undo=undo)
    assert said.startswith("fail")
    assert said.endswith(
        f"{NEW} lacks {QUEUES}, so that Argo CD would delete it, and with it every object of it"
    )
    source = application["spec"]["source"] | {"helm": {"skipCrds": True}}
    spec = application["spec"] | {"syncPolicy": policy, "source": source}
    scene.kube.put(APPLICATION, application | {"spec": spec})
    (said,) = why(scene, undo=undo)
    assert said.startswith("inconclusive")
    assert "skipCrds" in said
    definition = scene.kube.objects[DEFINITION]
    kept = {"argocd.argoproj.io/sync-options": "ServerSideApply=true, Prune=false"}
    definition["metadata"]["annotations"] = kept
    scene.kube.put(DEFINITION, definition)
    assert why(scene, undo=undo) == []


def test_helm_is_called_as_argo_cd_calls_it_and_values_are_no_arguments(helm: Path) -> None:
    scene = Scene(OLD)
    scene.definition("v1")
    brings(helm, "v1")
    scene.kube.objects[APPLICATION]["spec"]["source"]["helm"] = {"valuesObject": {"token": "hidden"}}
    assert why(scene) == []
    place = "oci://ghcr.io/nvidia/kai-scheduler/kai-scheduler"
    options = f"--version v{NEW} --namespace kai-scheduler --include-crds --values -"
    assert (helm.parent / "arguments").read_text() == f"template {options} -- kai-scheduler {place}\n"
    assert (helm.parent / "values").read_text() == '{"token": "hidden"}'
    scene.kube.objects[APPLICATION]["spec"]["source"]["repoURL"] = "https://charts.example.com"
    assert why(scene) == []
    assert "--repo https://charts.example.com -- kai-scheduler kai" in (helm.parent / "arguments").read_text()


def test_what_helm_can_not_tell_is_inconclusive(helm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(OLD)
    scene.definition("v1")
    for undo in (False, True):
        (said,) = why(scene, undo=undo)
        assert said.startswith("inconclusive which versions of its definitions")
        assert said.endswith("Error: no such chart")
    helm.write_text("a: b: c")
    assert "printed no YAML" in why(scene)[0]
    scene.kube.objects[APPLICATION]["spec"]["source"]["helm"] = {"parameters": [{"name": "a", "value": "b"}]}
    assert "its values come from parameters, too" in why(scene)[0]
    source = scene.kube.objects[APPLICATION]["spec"]["source"]
    source.pop("helm")
    address, source["repoURL"] = source["repoURL"], "https://me:hidden@charts.example.com"
    assert "carries credentials" in why(scene)[0]
    assert "hidden" not in str(why(scene))
    source["repoURL"] = address
    monkeypatch.setattr(chart_render, "HELM", "/nowhere/helm")
    (found,) = scene.charts.ready(moving(), undo=False)
    assert (found.verdict, found.hint) == (Verdict.INCONCLUSIVE, "install helm where the run is")


def test_what_is_not_whole_is_not_moved() -> None:
    scene = Scene(OLD)
    scene.workload("Deployment", "binder", OLD, availableReplicas=1)
    assert why(scene) == [
        f"fail {OLD} does not run whole: Deployment kai-scheduler/binder: 1 of 2 pods are available"
    ]
    scene = Scene(NEW)
    assert f"asks for v{NEW}, not v{OLD}" in why(scene)[0]
    del scene.kube.objects[APPLICATION]
    assert why(scene) == why(scene, undo=True) == ["fail there is none on this cluster"]


def test_an_application_that_would_not_sync_by_itself_is_named() -> None:
    scene = Scene(OLD)
    scene.kube.objects[APPLICATION]["spec"]["syncPolicy"] = {}
    assert why(scene) == ["fail automatic sync is off"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"source": {"chart": "", "targetRevision": f"v{OLD}"}}, "its source names no chart of a registry"),
        ({"sources": [{}], "source": {"chart": "k", "targetRevision": f"v{OLD}"}}, "it has several sources"),
    ],
)
def test_only_one_chart_of_a_registry_tells_its_version(spec: dict[str, object], words: str) -> None:
    scene = Scene(OLD)
    scene.kube.objects[APPLICATION]["spec"] |= spec
    assert words in why(scene)[0]
