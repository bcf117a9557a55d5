"""A value in a chart's values or in an Application: helm shows what becomes of it, or the Application carries it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from knowngood.adapters.gitops.charts import template
from knowngood.adapters.gitops.git import GitOpsRepository
from knowngood.adapters.gitops.render import Difference, FolderRenderer, prove
from knowngood.model.errors import Inconclusive
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.gitops import Application, GitOps
from knowngood.ports.gitops import RenderMismatch

from .conftest import Team, trailers

needs_helm = pytest.mark.skipif(shutil.which("helm") is None, reason="helm is not on PATH")
GPU = Application("gpu", "openshift-gitops", "charts/gpu")
ARGO = Application("root", "openshift-gitops", "argocd")
POLICY = ObjectRef("nvidia.com/v1", "ClusterPolicy", "gpu-cluster-policy")
VALUES = FieldChange(
    "nvidia-driver",
    "charts/gpu/values.yaml",
    "spec.driver.version",
    POLICY,
    "580.126.20",
    "595.91.07",
    written="driver.version",
)
CHART = {
    "charts/gpu/Chart.yaml": "apiVersion: v2\nname: gpu\nversion: 0.1.0\n",
    "charts/gpu/values.yaml": 'driver: {version: "580.126.20", repository: nvcr.io/nvidia}\nnote: a\n',
    "charts/gpu/templates/policy.yaml": """\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata: {name: gpu-cluster-policy, namespace: {{ .Release.Namespace }}}
spec:
  driver: {version: {{ .Values.driver.version | quote }}, repository: {{ .Values.driver.repository }}}
""",
}
MANIFEST = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: gpu}
spec:
  destination: {namespace: gpu-operator}
  source:
    path: charts/gpu
    helm:
      valueFiles: [values.yaml, prod.yaml]
      parameters: [{name: note, value: "b,c"}]
"""
SEVERAL = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: gpu}
spec:
  sources:
    - {repoURL: https://git/clusters.git, ref: ours}
    - {repoURL: https://git/clusters.git, path: charts/gpu, helm: {valueFiles: [$ours/prod/gpu.yaml, /all.yaml]}}
"""
ELSEWHERE = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: gpu-operator}
spec:
  source:
    chart: gpu-operator
    helm:
      parameters: [{name: toolkit.enabled, value: "true"}, {name: driver.version, value: "580.126.20"}]
      valuesObject: {driver: {version: "580.126.20"}}
      values: |
        driver:
          version: 580.126.20
"""


def pushed(team: Team, *files: tuple[str, str]) -> None:
    for file, text in files:
        path = team.desk / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    team.git("add", "-A")
    team.git("commit", "--quiet", "-m", "charts")
    team.git("push", "--quiet", "origin", "main")


def repository(
    team: Team, folder: Path, *applications: Application, helm: str | None = None
) -> GitOpsRepository:
    where = GitOps(f"file://{team.remote}", "main", applications)
    return GitOpsRepository(where, folder / "run", renderer=FolderRenderer(helm=helm))


def declare(ours: GitOpsRepository, change: FieldChange) -> str:
    return ours.declare([change], "driver 595.91.07", trailers("fleet"))


@needs_helm
def test_a_value_of_a_chart_is_proven_by_what_helm_makes_of_it(team: Team, tmp_path: Path) -> None:
    pushed(team, *CHART.items())
    declare(repository(team, tmp_path, GPU), VALUES)
    assert team.read("charts/gpu/values.yaml").startswith('driver: {version: "595.91.07", repository')


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_a_chart_that_kustomize_inflates_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "prod").mkdir()
    charts = "helmCharts: [{name: gpu-operator, repo: https://charts.example.com, version: v26.7.0}]\n"
    (tmp_path / "prod/kustomization.yaml").write_text(charts)
    with pytest.raises(Inconclusive) as raised:
        FolderRenderer().render(tmp_path, Application("prod", "argocd", "prod"))
    assert "bring it by an Application of its own" in raised.value.hint


@needs_helm
def test_a_values_file_that_another_source_names_is_followed(team: Team, tmp_path: Path) -> None:
    """As most teams have it who keep charts and values apart: one repository, named twice."""
    more = {
        "argocd/gpu.yaml": SEVERAL,
        "prod/gpu.yaml": 'driver: {version: "580.126.20"}\n',
        "all.yaml": "note: b\n",
    }
    pushed(team, *CHART.items(), *more.items())
    declare(repository(team, tmp_path, GPU), replace(VALUES, file="prod/gpu.yaml"))
    assert "595.91.07" in team.read("prod/gpu.yaml")


@needs_helm
def test_a_chart_whose_application_a_set_makes_is_given_what_the_cluster_file_says(
    team: Team, tmp_path: Path
) -> None:
    """No manifest of it lies in the repository; without the names it can't be told which files count."""
    pushed(team, *CHART.items(), ("charts/gpu/values-prod.yaml", 'driver: {version: "580.126.20"}\n'))
    change = replace(VALUES, file="charts/gpu/values-prod.yaml")
    with pytest.raises(Inconclusive, match=r"which of values\.yaml, values-prod\.yaml count") as raised:
        declare(repository(team, tmp_path / "without", GPU), change)
    assert "write valueFiles of Application gpu into the cluster file" in raised.value.hint
    declare(repository(team, tmp_path, replace(GPU, value_files=("values-prod.yaml",))), change)
    assert "595.91.07" in team.read("charts/gpu/values-prod.yaml")


def test_subfolders_count_where_the_application_reads_them(tmp_path: Path) -> None:
    (tmp_path / "prod/gpu").mkdir(parents=True)
    (tmp_path / "prod/gpu/policy.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n")
    flat = Application("prod", "argocd", "prod")
    assert not FolderRenderer().render(tmp_path, flat)
    assert [key[3] for key in FolderRenderer().render(tmp_path, replace(flat, recurse=True))] == ["a"]


@needs_helm
def test_a_value_that_a_later_values_file_says_too_reaches_nothing(team: Team, tmp_path: Path) -> None:
    """As the Application's manifest orders them; the one that counts can be moved."""
    more = {"argocd/gpu.yaml": MANIFEST, "charts/gpu/prod.yaml": 'driver: {version: "580.126.20"}\n'}
    pushed(team, *CHART.items(), *more.items())
    with pytest.raises(RenderMismatch, match="reaches no Application's"):
        declare(repository(team, tmp_path, GPU), VALUES)
    declare(repository(team, tmp_path, GPU), replace(VALUES, file="charts/gpu/prod.yaml"))
    assert "595.91.07" in team.read("charts/gpu/prod.yaml")


@needs_helm
@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (
            "charts/gpu/values-prod.yaml",
            "a: b\n",
            "which of values.yaml, values-prod.yaml count is not known",
        ),
        ("argocd/gpu.yaml", MANIFEST, r"prod\.yaml is not in the repository"),
        (
            "argocd/gpu.yaml",
            MANIFEST.replace("valueFiles", "fileParameters"),
            "fileParameters of Application gpu",
        ),
        ("charts/gpu/templates/x.yaml", "{{ fail }}", "helm template"),
    ],
)
def test_what_helm_cant_be_told_or_make_is_inconclusive(
    team: Team, tmp_path: Path, file: str, text: str, words: str
) -> None:
    pushed(team, *CHART.items(), (file, text))
    with pytest.raises(Inconclusive, match=words):
        declare(repository(team, tmp_path, GPU), VALUES)


def test_without_helm_a_chart_is_inconclusive(team: Team, tmp_path: Path) -> None:
    pushed(team, *CHART.items())
    with pytest.raises(Inconclusive, match="without helm"):
        declare(repository(team, tmp_path, GPU, helm=""), VALUES)


@pytest.mark.parametrize(
    "written",
    [
        "spec.source.helm.parameters[name=driver.version].value",
        "spec.source.helm.valuesObject.driver.version",
        "spec.source.helm.values.driver.version",
    ],
)
def test_what_an_application_gives_a_chart_from_elsewhere_is_the_only_difference(
    team: Team, tmp_path: Path, written: str
) -> None:
    pushed(team, ("argocd/gpu-operator.yaml", ELSEWHERE))
    given = replace(VALUES, file="argocd/gpu-operator.yaml", written=written)
    ours = repository(team, tmp_path, ARGO)
    commit = declare(ours, given)
    assert team.read("argocd/gpu-operator.yaml").count("595.91.07") == 1
    ours.undo(commit, [given], "undo", trailers("fleet"))
    assert team.read("argocd/gpu-operator.yaml") == ELSEWHERE


def test_a_manifest_that_no_application_reads_is_refused(team: Team, tmp_path: Path) -> None:
    pushed(team, ("elsewhere/gpu-operator.yaml", ELSEWHERE), ("argocd/x.yaml", ""))
    given = replace(
        VALUES, file="elsewhere/gpu-operator.yaml", written="spec.source.helm.valuesObject.driver.version"
    )
    with pytest.raises(RenderMismatch, match="reaches no Application's"):
        declare(repository(team, tmp_path, ARGO), given)


def carrying(name: str) -> Difference:
    key = ("argoproj.io/v1alpha1", "Application", "openshift-gitops", name)
    path = "spec.source.helm.valuesObject.driver.version"
    return Difference("root", key, path, VALUES.before, VALUES.after)


def test_a_value_is_carried_by_one_application_alone() -> None:
    """A kustomization's patch of every Application would move each ring's child."""
    given = replace(VALUES, file="argocd/kustomization.yaml", written=carrying("").path)
    prove([carrying("gpu-ring-0")], [given])
    with pytest.raises(RenderMismatch, match="reaches Application gpu-ring-0, and Application gpu-ring-1"):
        prove([carrying("gpu-ring-0"), carrying("gpu-ring-1")], [given])
    prove(
        [carrying("gpu-ring-0"), carrying("gpu-ring-1")], [given, replace(given, file="argocd/ring-1.yaml")]
    )


def test_a_commit_that_was_to_change_nothing_and_does_is_refused() -> None:
    with pytest.raises(RenderMismatch, match="nothing was to change, and Application gpu"):
        prove([], [], [carrying("gpu")])


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (
            SEVERAL.replace("clusters.git, ref", "other.git, ref"),
            "another repository or revision than the chart",
        ),
        (
            MANIFEST.replace("prod.yaml", "env/*.yaml").replace("values.yaml, ", ""),
            "pattern, and in which order",
        ),
        (MANIFEST + "  x: [\n", "can't be read"),
        (
            MANIFEST.replace("b,c", "{b,c}").replace("valueFiles", "values: '' #"),
            "parameter note .* is a list",
        ),
    ],
)
def test_a_manifest_that_says_more_than_we_can_follow_is_inconclusive(
    tmp_path: Path, manifest: str, words: str
) -> None:
    """The chart's defaults would be the proof of something else."""
    (tmp_path / "argocd.yaml").write_text(manifest)
    with pytest.raises(Inconclusive, match=words):
        template("/bin/true", tmp_path, GPU, deadline=5.0)


def test_a_parameter_that_may_be_a_secret_is_no_argument(tmp_path: Path) -> None:
    (tmp_path / "charts/gpu").mkdir(parents=True)
    given = '[{name: a.b, value: "pa,ss"}, {name: n, value: "3"}, {name: s, value: "4", forceString: true}]'
    text = MANIFEST.replace('[{name: note, value: "b,c"}]', given).replace("valueFiles", "values: '' #")
    (tmp_path / "argocd.yaml").write_text(text)
    helm = tmp_path / "helm"
    helm.write_text('#!/bin/sh\necho "$@"\nfor a; do case "$a" in *.b=*) /bin/cat "${a#*=}";; esac; done\n')
    helm.chmod(0o755)
    arguments, said = template(str(helm), tmp_path, GPU, deadline=5.0).split("\n", 1)
    assert said == "pa,ss"
    assert "pa" not in arguments.replace(str(tmp_path), "").replace("--namespace", "").replace(
        "parameter", ""
    )
    assert "--set n=3" in arguments
    assert "--set s=" not in arguments
