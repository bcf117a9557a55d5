"""What reaches the GitOps repository: one proven commit a ring, its undo, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from knowngood.adapters.gitops.git import GitOpsRepository
from knowngood.adapters.gitops.render import FolderRenderer, Rendered
from knowngood.model.errors import DataError, Inconclusive, Unreachable, UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import Application, GitOps
from knowngood.ports.gitops import FieldTaken, RenderMismatch

from .conftest import APPLICATION, FOLDER, Team, change, trailers

Clone = Callable[..., GitOpsRepository]


def declare(repository: GitOpsRepository, ring: str = "ring-0") -> str:
    return repository.declare([change(ring)], f"{ring}: driver 595.91.07", trailers(ring))


def undo(repository: GitOpsRepository, commit: str, ring: str = "ring-0") -> str:
    return repository.undo(commit, [change(ring)], f"undo {ring}", trailers(ring))


def test_a_declaration_is_one_commit_of_one_line(team: Team, clone: Clone) -> None:
    commit = declare(clone())
    assert team.log()[0] == "ring-0: driver 595.91.07"
    assert team.git("diff", "--stat", f"{commit}~1", commit).endswith("1 insertion(+), 1 deletion(-)")
    assert 'version: "595.91.07"   # moved by knowngood' in team.driver("ring-0")
    assert "Knowngood-Ring: ring-0" in team.git("log", "-1", "--format=%(trailers)", commit)
    assert "580.173.02" in team.driver("ring-1")


def test_declaring_twice_pushes_once_even_from_another_clone(team: Team, clone: Clone) -> None:
    commit = declare(clone())
    assert declare(clone()) == commit
    assert len(team.log()) == 2


@pytest.mark.parametrize("missing", ["config", "HEAD"])
def test_a_clone_that_a_kill_left_half_made_is_made_anew(
    team: Team, clone: Clone, tmp_path: Path, missing: str
) -> None:
    """Without it each `resume` would end at "No such remote": the run could never end."""
    repository = clone()
    half = tmp_path / "run-1" / "gitops" / "clone" / ".git"
    half.mkdir(parents=True)
    for name in {"config", "HEAD"} - {missing}:
        (half / name).touch()
    assert team.log()[0] != "ring-0: driver 595.91.07"
    declare(repository)
    assert team.log()[0] == "ring-0: driver 595.91.07"


def test_somebody_pushed_in_between_the_commit_is_made_again_on_their_head(team: Team, clone: Clone) -> None:
    class ColleagueWhileRendering(FolderRenderer):
        pushes = 2

        def render(self, tree: Path, application: Application) -> Rendered:
            if self.pushes:
                self.pushes -= 1
                team.push(f"docs/{self.pushes}.md", "words\n")
            return super().render(tree, application)

    commit = declare(clone(renderer=ColleagueWhileRendering()))
    subjects = team.log()
    assert subjects[0] == "ring-0: driver 595.91.07"
    assert subjects.count("a colleague's change") == 2
    assert team.git("rev-list", "--count", f"{commit}~1..{commit}") == "1"


def test_a_branch_that_never_rests_is_inconclusive(team: Team, clone: Clone) -> None:
    class Restless(FolderRenderer):
        pushes = 0

        def render(self, tree: Path, application: Application) -> Rendered:
            self.pushes += 1
            team.push("docs/words.md", f"{self.pushes}\n")
            return super().render(tree, application)

    with pytest.raises(Inconclusive, match="others pushed"):
        declare(clone(renderer=Restless()))
    assert "580.173.02" in team.driver("ring-0")


def test_a_field_that_somebody_else_changed_is_not_overwritten(team: Team, clone: Clone) -> None:
    taken = team.driver("ring-0").replace("580.173.02", "590.1.1")
    team.push(f"{FOLDER}/nvidiadriver-ring-0.yaml", taken, "try 590")
    with pytest.raises(FieldTaken, match=r"spec\.version is 590\.1\.1, not 580\.173\.02.*Jo: try 590"):
        declare(clone())


def test_a_doubled_field_is_refused_with_file_and_line(team: Team, clone: Clone) -> None:
    text = team.driver("ring-0")
    team.push(f"{FOLDER}/nvidiadriver-ring-0.yaml", text + 'spec:\n  version: "1"\n')
    with pytest.raises(DataError, match=r"nvidiadriver-ring-0\.yaml:\d+"):
        clone().value(change("ring-0"))


def test_beside_the_field_an_object_is_read_as_argo_cd_would_render_it(team: Team, clone: Clone) -> None:
    named, nobody = change("ring-0").object, ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", "ring-9")
    paths = ("spec.gds.enabled", "spec.repository")
    team.push(f"{FOLDER}/nvidiadriver-ring-0.yaml", team.driver("ring-0") + "  gds: {enabled: true}\n")
    found = clone().texts({named: paths, nobody: paths})
    assert found[named] == {"spec.gds.enabled": "true", "spec.repository": "nvcr.io/nvidia"}
    assert found[nobody] == dict.fromkeys(paths, "")


def test_a_clean_undo_is_a_revert_of_the_named_commit(team: Team, clone: Clone) -> None:
    before = team.driver("ring-0")
    repository = clone()
    commit = declare(repository)
    revert = undo(repository, commit)
    body = team.git("log", "-1", "--format=%B", revert) if team.log() else ""
    assert f"This reverts commit {commit}." in body
    assert f"Knowngood-Undoes: {commit}" in body
    assert team.driver("ring-0") == before
    assert undo(clone(), commit) == revert


def test_an_undone_declaration_is_still_the_one_that_is_found(team: Team, clone: Clone) -> None:
    repository = clone()
    commit = declare(repository)
    undo(repository, commit)
    assert repository.find(trailers("ring-0")) == commit
    assert repository.find(trailers("ring-1")) == ""


def test_an_undo_holds_after_others_changed_the_same_line(team: Team, clone: Clone) -> None:
    repository = clone()
    commit = declare(repository)
    text = team.driver("ring-0").replace("# moved by knowngood", "# see the runbook")
    team.push(f"{FOLDER}/nvidiadriver-ring-0.yaml", text)
    revert = undo(repository, commit)
    assert 'version: "580.173.02"   # see the runbook' in team.driver("ring-0")
    assert f"from before {commit}" in team.git("log", "-1", "--format=%B", revert)


def test_an_undo_of_what_is_back_already_is_recorded_and_changes_nothing(team: Team, clone: Clone) -> None:
    repository = clone()
    commit = declare(repository)
    team.git("pull", "--quiet", "origin", "main")
    team.git("revert", "--no-edit", commit)
    team.git("push", "--quiet", "origin", "main")
    revert = undo(repository, commit)
    team.log()
    assert team.git("diff", "--stat", f"{revert}~1", revert) == ""
    assert "580.173.02" in team.driver("ring-0")


def test_a_commit_of_others_can_not_write_lines_of_ours(team: Team, clone: Clone) -> None:
    """Who last touched a field is told; a subject that steers a terminal or forges an end is shown as it is."""
    taken = team.driver("ring-0").replace("580.173.02", "590.1.1")
    team.push(f"{FOLDER}/nvidiadriver-ring-0.yaml", taken, "x\x1b[2J\r03:00:00 end: done\u202e ##[error]y")
    with pytest.raises(FieldTaken) as stopped:
        declare(clone())
    assert str(stopped.value).isprintable()
    assert r"x\x1b[2J" in str(stopped.value)
    assert "##[" not in str(stopped.value)


def test_an_undo_stops_where_the_field_holds_a_third_value(team: Team, clone: Clone) -> None:
    repository = clone()
    commit = declare(repository)
    text = team.driver("ring-0").replace("595.91.07", "610.57.04")
    team.push(f"{FOLDER}/nvidiadriver-ring-0.yaml", text)
    with pytest.raises(FieldTaken, match=r"is 610\.57\.04, not 595\.91\.07 or 580\.173\.02"):
        undo(repository, commit)


def test_an_undo_stops_where_the_file_is_gone(team: Team, clone: Clone) -> None:
    repository = clone()
    commit = declare(repository)
    team.git("pull", "--quiet", "origin", "main")
    team.git("rm", "--quiet", f"{FOLDER}/nvidiadriver-ring-0.yaml")
    team.git("commit", "--quiet", "-m", "drop it")
    team.git("push", "--quiet", "origin", "main")
    with pytest.raises(FieldTaken, match="not in the branch"):
        undo(repository, commit)


def test_a_folder_of_another_cluster_that_would_change_too_refuses_the_push(team: Team, clone: Clone) -> None:
    """A shared base: two clusters' Applications read the same folder."""
    other = Application("fra-prod-gpu", "openshift-gitops", FOLDER)
    with pytest.raises(RenderMismatch, match="fra-prod-gpu"):
        declare(clone(others=[other]))
    assert len(team.log()) == 1


def test_a_field_that_reaches_no_application_refuses_the_push(team: Team, tmp_path: Path) -> None:
    elsewhere = GitOps(f"file://{team.remote}", "main", (replace(APPLICATION, path="clusters/fra"),))
    with pytest.raises(RenderMismatch, match="reaches no Application") as error:
        declare(GitOpsRepository(elsewhere, tmp_path / "gitops"))
    assert "a patch, a replacement or other values set the field" in error.value.hint
    assert len(team.log()) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Chart.yaml", "name: x\n"),
        ("a.jsonnet", "{}"),
        ("b.json", '{"just": "words"}'),
        ("c.yaml", "apiVersion: v1\nkind: [\nmetadata: {}\n"),
    ],
)
def test_what_cannot_be_rendered_is_inconclusive(team: Team, clone: Clone, name: str, text: str) -> None:
    team.push(f"{FOLDER}/{name}", text)
    with pytest.raises(Inconclusive, match=name):
        declare(clone())
    assert "580.173.02" in team.driver("ring-0")


@pytest.mark.parametrize("text", ["extends: default\n", "driver: {version: 1}\n---\n- kind\n", "a: [\n"])
def test_yaml_that_is_no_manifest_is_left_alone_as_argo_cd_does(team: Team, clone: Clone, text: str) -> None:
    team.push(f"{FOLDER}/.settings.yaml", text)
    declare(clone())
    assert 'version: "595.91.07"' in team.driver("ring-0")


def test_a_kustomization_without_kubectl_is_inconclusive(team: Team, clone: Clone) -> None:
    team.push(f"{FOLDER}/kustomization.yaml", "resources: [nvidiadriver-ring-0.yaml]\n")
    with pytest.raises(Inconclusive, match="kustomization"):
        declare(clone(renderer=FolderRenderer(kubectl="")))


def test_a_kustomization_is_proven_by_kubectl(team: Team, clone: Clone) -> None:
    """A shared file that a second kustomization also reads would reach another cluster: refused."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    rings = ["nvidiadriver-ring-0.yaml", "nvidiadriver-ring-1.yaml"]
    team.push(f"{FOLDER}/kustomization.yaml", f"resources: [{', '.join(rings)}]\n")
    commit = declare(clone())
    assert "595.91.07" in team.driver("ring-0")
    base = f"../../ams-prod/gpu/{rings[1]}"
    team.push("clusters/fra/gpu/kustomization.yaml", "resources: [../../ams-prod/gpu]\n")
    other = Application("fra-prod-gpu", "openshift-gitops", "clusters/fra/gpu")
    with pytest.raises(RenderMismatch, match="fra-prod-gpu"):
        declare(clone(others=[other]), "ring-1")
    assert commit in team.log("--format=%H")
    team.push("clusters/fra/gpu/kustomization.yaml", f"resources: [{base}]\n")
    with pytest.raises(Inconclusive, match="kubectl kustomize"):
        declare(clone(others=[other]), "ring-1")


def test_a_link_in_an_application_is_never_followed(team: Team, clone: Clone, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n")
    team.git("pull", "--quiet", "origin", "main")
    (team.desk / FOLDER / "z.yaml").symlink_to(secret)
    team.git("add", "-A")
    team.git("commit", "--quiet", "-m", "link")
    team.git("push", "--quiet", "origin", "main")
    with pytest.raises(Inconclusive, match=r"z\.yaml"):
        declare(clone())


def test_the_way_back_is_two_empty_commits_once(team: Team, clone: Clone) -> None:
    before = team.driver("ring-0")
    out, back = clone().rehearse_way_back({"Knowngood-Run": "r1"})
    assert clone().rehearse_way_back({"Knowngood-Run": "r1"}) == (out, back)
    assert team.log("--format=%H")[:2] == [back, out]
    assert team.git("diff", f"{out}~1", back) == ""
    assert team.driver("ring-0") == before
    again = clone().rehearse_way_back({"Knowngood-Run": "r1", "Knowngood-Hop": "hop-3"})
    assert {out, back}.isdisjoint(again), "asked anew after a hop it is sent anew"


def test_the_revision_that_argo_reports_contains_our_commit_or_not(team: Team, clone: Clone) -> None:
    repository = clone()
    first = repository.head()
    commit = declare(repository)
    later = team.push("docs/a.md", "words\n")
    assert repository.is_ancestor(commit, later)
    assert not repository.is_ancestor(commit, first)
    assert not repository.is_ancestor(commit, "0" * 40)
    assert not repository.is_ancestor(commit, "--help")


def test_a_hook_that_declines_is_said_to_be_missing_rights(team: Team, clone: Clone) -> None:
    hook = team.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main takes pull requests only'\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(UsageError, match="does not take our commits") as raised:
        clone().rehearse_way_back({"Knowngood-Run": "r1"})
    assert "no undo is possible" in raised.value.hint


def test_a_remote_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    gitops = GitOps(f"file://{tmp_path}/nothing.git", "main", (APPLICATION,))
    with pytest.raises(UsageError, match=r"gitops\.repo|does not") as raised:
        GitOpsRepository(gitops, tmp_path / "g").head()
    assert "gitops.repo" in raised.value.hint


def test_a_branch_that_is_not_there_is_a_usage_error(team: Team, tmp_path: Path) -> None:
    gitops = GitOps(f"file://{team.remote}", "production", (APPLICATION,))
    with pytest.raises(UsageError, match="production"):
        GitOpsRepository(gitops, tmp_path / "g").head()


def test_a_remote_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    gitops = GitOps("http://127.0.0.1:9/ops.git", "main", (APPLICATION,))
    with pytest.raises(Unreachable):
        GitOpsRepository(gitops, tmp_path / "g").head()


def test_a_transport_that_runs_commands_is_refused(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    gitops = GitOps(f"ext::touch {ran}", "main", (APPLICATION,))
    with pytest.raises(UsageError):
        GitOpsRepository(gitops, tmp_path / "g").head()
    assert not ran.exists()


def test_a_killed_process_leaves_nothing_that_stops_the_next(
    team: Team, clone: Clone, tmp_path: Path
) -> None:
    gitops = GitOps(f"file://{team.remote}", "main", (APPLICATION,))
    GitOpsRepository(gitops, tmp_path / "g").head()
    work = tmp_path / "g" / "clone"
    (work / ".git" / "index.lock").touch()
    (work / ".git" / "REVERT_HEAD").write_text("0" * 40 + "\n")
    (work / "half-written.yaml").write_text("x")
    declare(GitOpsRepository(gitops, tmp_path / "g"))
    assert "595.91.07" in team.driver("ring-0")


def test_another_repository_in_the_environment_is_not_touched(
    team: Team, clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(team.desk / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(team.desk / ".git" / "index"))
    head = (team.desk / ".git" / "refs" / "heads" / "main").read_text()
    declare(clone())
    assert "GIT_DIR" not in os.environ
    assert (team.desk / ".git" / "refs" / "heads" / "main").read_text() == head


@pytest.mark.parametrize("path", ["../../x.yaml", "/x.yaml", ".git/config"])
def test_a_path_that_leaves_the_repository_is_refused(clone: Clone, path: str) -> None:
    outside = replace(change("ring-0"), file=path)
    with pytest.raises(UsageError, match="leaves the repository"):
        clone().declare([outside], "x", trailers("ring-0"))


def test_a_pointer_of_git_lfs_is_not_taken_for_the_file(
    team: Team, clone: Callable[..., GitOpsRepository]
) -> None:
    file = f"{FOLDER}/nvidiadriver-ring-0.yaml"
    team.push(file, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n")
    with pytest.raises(Inconclusive, match="a pointer of Git LFS, not the file"):
        clone().declare([change("ring-0")], "driver", trailers("ring-0"))
