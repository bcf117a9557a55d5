"""A value in a base or a component: followed to who reads it, refused where somebody reads it who is not to move."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from knowngood.adapters.gitops.following import Repository
from knowngood.adapters.gitops.git import GitOpsRepository
from knowngood.model.errors import Inconclusive
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.gitops import Application, GitOps
from knowngood.ports.gitops import RenderMismatch

from .conftest import Team, trailers

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")

PROD = Application("prod-gpu", "openshift-gitops", "config/overlays/prod")
BASE = "config/base/operators/policy.yaml"
POLICY = ObjectRef("nvidia.com/v1", "ClusterPolicy", "gpu-cluster-policy")
CHANGE = FieldChange("nvidia-driver", BASE, "spec.driver.version", POLICY, "580.173.02", "595.91.07")
FILES = {
    BASE: """\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata: {name: gpu-cluster-policy}
spec:
  driver: {enabled: true, version: "580.173.02"}
""",
    "config/base/operators/kustomization.yaml": "resources: [policy.yaml]\n",
    "config/base/kustomization.yaml": "resources: [operators]\n",
    "config/overlays/prod/kustomization.yaml": "resources: [../../base]\ncomponents: [../../components/tolerant]\n",
    "config/components/tolerant/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - path: tolerant.yaml
""",
    "config/components/tolerant/tolerant.yaml": """\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata: {name: gpu-cluster-policy}
spec: {daemonsets: {priorityClassName: "high"}}
""",
}
DEV = "config/overlays/dev/kustomization.yaml"
PINNED = """\
resources: [../../base]
patches:
  - patch: |-
      apiVersion: nvidia.com/v1
      kind: ClusterPolicy
      metadata: {name: gpu-cluster-policy}
      spec: {driver: {version: "570.1.1"}}
"""


def laid(folder: Path, **files: str) -> None:
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def pushed(team: Team, **more: str) -> Team:
    laid(team.desk, **{**FILES, **more})
    team.git("add", "-A")
    team.git("commit", "--quiet", "-m", "base and overlay")
    team.git("push", "--quiet", "origin", "main")
    return team


def repository(team: Team, folder: Path, *others: Application) -> GitOpsRepository:
    return GitOpsRepository(GitOps(f"file://{team.remote}", "main", (PROD,)), folder / "run", others=others)


def declare(repository: GitOpsRepository, change: FieldChange = CHANGE) -> str:
    return repository.declare([change], "driver 595.91.07", trailers("fleet"))


def test_what_an_overlay_reads_is_followed_through_bases_and_components(tmp_path: Path) -> None:
    laid(tmp_path, **FILES)
    assert Repository(tmp_path).read_by(PROD.path) == frozenset(FILES)
    assert Repository(tmp_path).strangers([BASE], [PROD]) == ()
    (stranger,) = Repository(tmp_path).strangers([BASE], [])
    assert stranger.path == PROD.path


def test_bases_that_read_each_other_or_leave_the_repository_end_nowhere(tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.yaml"
    outside.write_text("a: 1\n")
    text = "resources: [., ../b, ../../../outside.yaml, 'https://example.com/x.yaml', nothing.yaml]\n"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "kustomization.yaml").write_text(text.replace("../b", "../a"))
    assert Repository(tmp_path).read_by("b") == {"a/kustomization.yaml", "b/kustomization.yaml"}


@needs_kubectl
def test_a_value_in_a_base_moves_the_overlay_that_reads_it_and_back(team: Team, tmp_path: Path) -> None:
    ours = repository(pushed(team), tmp_path)
    assert ours.taking([CHANGE]) == ()
    assert team.read(BASE) == FILES[BASE]
    commit = declare(ours)
    assert 'version: "595.91.07"' in team.read(BASE)
    ours.undo(commit, [CHANGE], "undo", trailers("fleet"))
    assert team.read(BASE) == FILES[BASE]


@needs_kubectl
def test_a_value_in_a_component_moves_the_overlay_that_reads_it(team: Team, tmp_path: Path) -> None:
    file = "config/components/tolerant/tolerant.yaml"
    moved = replace(CHANGE, file=file, path="spec.daemonsets.priorityClassName", before="high", after="low")
    declare(repository(pushed(team), tmp_path), moved)
    assert 'priorityClassName: "low"' in team.read(file)


@needs_kubectl
@pytest.mark.parametrize("manifest", [True, False], ids=["its manifest is here", "nobody knows it"])
def test_a_base_that_another_overlay_reads_too_is_refused_with_both_named(
    team: Team, tmp_path: Path, manifest: bool
) -> None:
    """No cluster file names the other one: it is found in the repository."""
    spec = "spec: {source: {path: config/overlays/dev}}"
    argo = f"kind: Application\nmetadata: {{name: dev-gpu}}\n{spec}\n" if manifest else "a: b\n"
    pushed(team, **{DEV: "resources: [../../base]\n", "argocd/dev.yaml": argo})
    other = "dev-gpu" if manifest else "of config/overlays/dev, which no cluster file names"
    both = f"reaches Application prod-gpu, and Application {other}"
    ours = repository(team, tmp_path)
    with pytest.raises(RenderMismatch, match=both):
        declare(ours)
    (found,) = ours.taking([CHANGE])
    assert both in found.what
    assert "as a patch" in found.hint
    assert len(team.log()) == 2


@needs_kubectl
def test_a_base_of_another_clusters_application_is_refused_with_both_named(
    team: Team, tmp_path: Path
) -> None:
    """Of the same name as ours, as Applications of two clusters often are."""
    pushed(team, **{DEV: "resources: [../../base]\n"})
    other = replace(PROD, path="config/overlays/dev")
    with pytest.raises(RenderMismatch, match="reaches Application prod-gpu, and Application prod-gpu, which"):
        declare(repository(team, tmp_path, other))


@needs_kubectl
def test_an_overlay_that_says_the_value_itself_is_not_reached(team: Team, tmp_path: Path) -> None:
    declare(repository(pushed(team, **{DEV: PINNED}), tmp_path))
    assert 'version: "595.91.07"' in team.read(BASE)


@needs_kubectl
def test_an_overlay_that_reads_it_and_cant_be_rendered_is_inconclusive(team: Team, tmp_path: Path) -> None:
    pushed(team, **{DEV: "resources: [../../base, nothing-there.yaml]\n"})
    with pytest.raises(Inconclusive, match="kubectl kustomize"):
        declare(repository(team, tmp_path))


@needs_kubectl
def test_two_applications_of_one_cluster_that_read_a_base_are_refused_with_both_named(
    team: Team, tmp_path: Path
) -> None:
    pushed(team, **{DEV: "resources: [../../base]\n"})
    dev = Application("dev-gpu", "openshift-gitops", "config/overlays/dev")
    both = GitOps(f"file://{team.remote}", "main", (PROD, dev))
    with pytest.raises(RenderMismatch, match="reaches Application prod-gpu, and Application dev-gpu"):
        declare(GitOpsRepository(both, tmp_path / "run"))


@pytest.mark.parametrize(
    "text",
    [
        "# R&D\nresources: [../../base]\n",
        PINNED.replace('version: "570.1.1"', 'args: "a && b"'),
        "x-bases: &b [../../base]\nresources: *b\n",
        "resources: [../../base]\n#" + "x" * 1024 * 1024,
    ],
    ids=["a comment", "an inline patch", "an alias", "large"],
)
def test_an_overlay_that_we_cant_or_need_not_parse_is_asked(tmp_path: Path, text: str) -> None:
    """What may read the base is never overlooked."""
    laid(tmp_path, **FILES, **{DEV: text})
    assert [a.path for a in Repository(tmp_path).strangers([BASE], [PROD])] == ["config/overlays/dev"]


@needs_kubectl
def test_a_kustomization_that_is_no_yaml_is_named_with_what_to_do(team: Team, tmp_path: Path) -> None:
    pushed(team, **{DEV: "resources: [../../base\n"})
    with pytest.raises(Inconclusive, match=DEV) as found:
        declare(repository(team, tmp_path))
    assert "mend it" in found.value.hint


def test_what_reads_through_a_base_that_cant_be_read_is_asked_too(tmp_path: Path) -> None:
    for folder, text in {"a": "resources: [../b]\n", "b": "x: [\n", "c": "resources: [x.yaml]\n"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "kustomization.yaml").write_text(text)
    assert [a.path for a in Repository(tmp_path).strangers(["other.yaml"], [])] == ["a"]
    assert Repository(tmp_path).is_known("c")
    assert not Repository(tmp_path).is_known("a")


def test_a_base_that_an_application_reads_itself_is_asked_too(tmp_path: Path) -> None:
    argo = "kind: Application\nmetadata: {name: bare}\nspec: {source: {path: config/base}}\n"
    laid(tmp_path, **FILES, **{"argocd/bare.yaml": argo})
    assert [a.name for a in Repository(tmp_path).strangers([BASE], [PROD])] == ["bare"]


def test_a_file_that_a_generator_reads_is_followed(tmp_path: Path) -> None:
    text = "configMapGenerator: [{name: a, files: [k=a.txt], envs: [b.env]}]\nhelmCharts: [{valuesFile: v.yaml}]\n"
    for file, said in {"kustomization.yaml": text, "a.txt": "", "b.env": "", "v.yaml": ""}.items():
        (tmp_path / file).write_text(said)
    assert Repository(tmp_path).read_by(".") == {"kustomization.yaml", "a.txt", "b.env", "v.yaml"}


def giving(name: str, file: str, chart: str = "path: charts/gpu") -> str:
    source = f"{{{chart}, helm: {{valueFiles: [{file}]}}}}"
    return f"kind: Application\nmetadata: {{name: {name}}}\nspec: {{source: {source}}}\n"


@pytest.mark.parametrize("file", ["../../env/all.yaml", "/env/all.yaml", "$values/env/all.yaml"])
def test_an_application_whose_chart_is_given_the_file_is_asked_too(tmp_path: Path, file: str) -> None:
    laid(tmp_path, **{"env/all.yaml": "a: 1\n", "argocd/dev.yaml": giving("dev", file)})
    ours = Application("gpu", "openshift-gitops", "charts/gpu")
    (found,) = Repository(tmp_path).giving(["env/all.yaml"], [ours])
    assert (found.name, found.path) == ("dev", "charts/gpu")
    assert list(Repository(tmp_path).giving(["env/all.yaml"], [replace(ours, name="dev")])) == []
    assert list(Repository(tmp_path).giving(["env/other.yaml"], [ours])) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (giving("dev", "$values/env/all.yaml", "chart: gpu-operator"), "chart from elsewhere"),
        (giving("dev", "/env/all.yaml") + "x: [\n", "can't be read"),
    ],
)
def test_one_whose_chart_cant_be_rendered_is_inconclusive(tmp_path: Path, text: str, words: str) -> None:
    laid(tmp_path, **{"env/all.yaml": "a: 1\n", "argocd/dev.yaml": text})
    with pytest.raises(Inconclusive, match=words):
        list(Repository(tmp_path).giving(["env/all.yaml"], []))
