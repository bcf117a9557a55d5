"""A run's record is written in a clone of our own: on the remote's head, our commit only, nothing of the user's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapters.gitops.desk import Desk, desk_at, git

from knowngood.adapters.gitops.clone import Clone
from knowngood.adapters.gitops.matrix_record import PATCH, MatrixClone, promotion_for
from knowngood.adapters.gitops.matrix_target import destination
from knowngood.model.errors import Inconclusive, KnowngoodError, Unreachable, UsageError
from knowngood.ports.promotion import Promotion, Recorded

EVIDENCE = {
    "run": "r1",
    "release": "r595",
    "cluster": "ams",
    "status": "rehearsed",
    "because": "no pin",
    "time": "2026-08-22T03:00:00Z",
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_at(tmp_path)


def recorder(desk: Desk, said: str = "") -> Promotion:
    return promotion_for(desk.matrix, destination(desk.matrix, said), desk.run)


def promote(desk: Desk, said: str = "", **more: Any) -> Recorded:
    return recorder(desk, said).promote("r595", "rehearsed", "ams", {**EVIDENCE, **more})


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], times: int = 1) -> None:
    """Something happens after the fetch, just before the push."""
    push, left = Clone.push, [times]

    def late(self: Clone, commit: str, *, dry_run: bool = False) -> bool:
        if left[0] and not dry_run:
            left[0] -= 1
            act()
        return push(self, commit, dry_run=dry_run)

    monkeypatch.setattr(Clone, "push", late)


def test_the_record_is_one_commit_on_the_remotes_head_and_the_users_checkout_stays_as_it_is(
    desk: Desk,
) -> None:
    (desk.root / "draft.md").write_text("staged")
    desk.git("add", "draft.md")
    file = desk.matrix / "clusters" / "ams.yaml"
    file.write_text("profile: p\nrelease: mine\n")
    before = desk.as_it_is()
    told = promote(desk)
    assert told.commit == desk.there()
    assert desk.subjects() == ["r595 is rehearsed: proven on ams", "first"]
    assert desk.read("releases/r595.yaml") == "# the driver\nstatus: rehearsed"
    assert "release: r595   # pinned" in desk.read("clusters/ams.yaml")
    assert json.loads(desk.read("evidence/ams/r595-r1.json")) == EVIDENCE
    assert desk.as_it_is() == before
    assert file.read_text() == "profile: p\nrelease: mine\n"


@pytest.mark.parametrize("inner", [".", "gpu/matrix"])
def test_the_matrix_may_be_anywhere_in_its_repository(tmp_path: Path, inner: str) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    desk = desk_at(folder, inner)
    writer = promotion_for(desk.root / inner, destination(desk.root / inner), desk.run)
    assert writer.ready("r595", "ams")
    told = writer.promote("r595", "rehearsed", "ams", EVIDENCE)
    files = git(desk.remote, "show", "--name-only", "--format=", told.commit).splitlines()
    at = "" if inner == "." else f"{inner}/"
    assert sorted(files) == [
        f"{at}clusters/ams.yaml",
        f"{at}evidence/ams/r595-r1.json",
        f"{at}releases/r595.yaml",
    ]


def test_unpushed_commits_of_the_user_stay_unpublished(desk: Desk) -> None:
    (desk.root / "draft.md").write_text("not yet")
    desk.git("add", "-A")
    desk.git("commit", "--quiet", "-m", "a draft")
    promote(desk)
    assert "a draft" not in desk.subjects()


def test_a_push_by_somebody_else_in_between_is_no_obstacle(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: desk.colleague("notes.md", "", "x"))
    told = promote(desk)
    assert told.commit == desk.there()
    assert desk.subjects() == ["r595 is rehearsed: proven on ams", "a colleague's", "first"]


def test_a_release_that_was_revoked_in_between_is_not_raised_and_it_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "matrix/releases/r595.yaml"
    meanwhile(
        monkeypatch, lambda: desk.colleague(file, "status: candidate", "status: revoked\nreason: Xid 31")
    )
    told = promote(desk)
    assert "r595 is revoked by now" in told.note
    assert "status: revoked" in desk.read("releases/r595.yaml")
    assert "release: r595" in desk.read("clusters/ams.yaml"), "the cluster is where it is"


@pytest.mark.parametrize("present", ["known-good", "deprecated"])
def test_a_status_is_not_lowered_by_a_race(desk: Desk, monkeypatch: pytest.MonkeyPatch, present: str) -> None:
    change = ("matrix/releases/r595.yaml", "candidate", present)
    meanwhile(monkeypatch, lambda: desk.colleague(*change))
    promote(desk)
    assert f"status: {present}" in desk.read("releases/r595.yaml")


def test_a_branch_that_is_never_quiet_is_said_and_nothing_is_pushed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = iter(range(100))
    meanwhile(monkeypatch, lambda: desk.colleague(f"notes-{next(number)}.md", "", "x"), times=99)
    with pytest.raises(Inconclusive, match="others pushed"):
        promote(desk)
    assert set(desk.subjects()) == {"a colleague's", "first"}


def test_the_same_run_is_recorded_once_from_any_clone(desk: Desk, tmp_path: Path) -> None:
    first = promote(desk)
    elsewhere = promotion_for(desk.matrix, destination(desk.matrix), tmp_path / "other")
    again = elsewhere.promote("r595", "rehearsed", "ams", EVIDENCE)
    assert (again.commit, desk.subjects()[1:]) == (first.commit, ["first"])
    assert again.status == "rehearsed"


def test_a_push_whose_answer_was_lost_is_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    push = Clone.push

    def lost(self: Clone, commit: str, *, dry_run: bool = False) -> bool:
        push(self, commit)
        raise Unreachable("push: the connection broke")

    monkeypatch.setattr(Clone, "push", lost)
    assert promote(desk).commit == desk.there()


def test_a_record_that_was_merged_as_another_commit_is_found_by_its_evidence(desk: Desk) -> None:
    promote(desk, "branch=proof")
    squashed = desk.colleague(
        "matrix/evidence/ams/r595-r1.json", "", desk.read("evidence/ams/r595-r1.json", "proof")
    )
    git(desk.remote, "branch", "-D", "proof")
    assert promote(desk, "branch=proof").commit == squashed
    assert git(desk.remote, "branch", "--list", "proof") == ""


def test_a_failure_is_recorded_alone(desk: Desk) -> None:
    recorder(desk).record_failure("r595", "ams", {**EVIDENCE, "status": "failed"})
    assert desk.subjects()[0] == "r595 was not proven on ams"
    assert "candidate" in desk.read("releases/r595.yaml")
    assert "r580" in desk.read("clusters/ams.yaml")


def test_a_protected_branch_is_an_error_that_says_what_to_do_and_leaves_the_checkout(desk: Desk) -> None:
    desk.protect()
    before = desk.as_it_is()
    with pytest.raises(UsageError, match="does not take our commits") as raised:
        promote(desk)
    assert "--record branch=NAME" in raised.value.hint
    assert (desk.subjects(), desk.as_it_is()) == (["first"], before)


def test_from_a_detached_head_the_record_goes_to_the_branch_that_has_the_commit(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "--detach")
    promote(desk)
    assert desk.subjects()[0] == "r595 is rehearsed: proven on ams"


def test_a_new_branch_is_made_from_the_one_that_the_matrix_came_from(desk: Desk) -> None:
    (desk.root / "draft.md").write_text("not yet")
    desk.git("add", "-A")
    desk.git("commit", "--quiet", "-m", "a draft")
    desk.colleague("notes.md", "", "x")
    told = promote(desk, "branch=proof/ams")
    assert told.commit == desk.there("proof/ams")
    assert desk.subjects("proof/ams") == ["r595 is rehearsed: proven on ams", "a colleague's", "first"]
    assert desk.subjects() == ["a colleague's", "first"]


def test_a_branch_that_is_there_is_continued_not_moved_to_another(desk: Desk) -> None:
    git(desk.remote, "branch", "prod", "main")
    desk.colleague("notes.md", "", "for main only")
    promote(desk, "branch=prod")
    assert desk.subjects("prod") == ["r595 is rehearsed: proven on ams", "first"]


def test_what_is_revoked_where_a_branch_will_be_merged_is_not_raised_in_it(desk: Desk) -> None:
    git(desk.remote, "branch", "proof", "main")
    desk.colleague("matrix/releases/r595.yaml", "candidate", "revoked")
    told = promote(desk, "branch=proof")
    assert "revoked by now" in told.note
    assert "candidate" in desk.read("releases/r595.yaml", "proof")


def test_a_file_is_a_patch_that_git_am_takes_and_nothing_is_pushed(desk: Desk) -> None:
    before = desk.as_it_is()
    told = promote(desk, "file")
    assert told.file == str(desk.run / PATCH)
    assert (desk.subjects(), desk.as_it_is()) == (["first"], before)
    desk.git("am", "--quiet", told.file)
    assert desk.git("log", "-1", "--format=%s") == "r595 is rehearsed: proven on ams"
    assert "Knowngood-Run: r1" in desk.git("log", "-1", "--format=%(trailers)")
    assert "rehearsed" in (desk.matrix / "releases" / "r595.yaml").read_text()


def test_a_record_that_comes_late_does_not_move_the_pin_behind_a_later_run(desk: Desk) -> None:
    later = {**EVIDENCE, "run": "r2", "release": "r610", "time": "2026-08-23T03:00:00Z"}
    desk.colleague("matrix/evidence/ams/r610-r2.json", "", json.dumps(later))
    desk.colleague("matrix/clusters/ams.yaml", "r580", "r610")
    told = promote(desk)
    assert "run r2 came later" in told.note
    assert "release: r610" in desk.read("clusters/ams.yaml")
    assert "rehearsed" in desk.read("releases/r595.yaml")


def test_hooks_and_signatures_of_the_user_play_no_part(desk: Desk) -> None:
    for name in ("pre-commit", "pre-push", "reference-transaction", "post-commit"):
        hook = desk.root / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {desk.root}/ran\nexit 1\n")
        hook.chmod(0o755)
    desk.git("config", "commit.gpgSign", "true")
    desk.git("config", "gpg.program", "false")
    promote(desk)
    assert not (desk.root / "ran").exists()


def test_it_is_ready_where_the_push_would_be_taken_and_says_what_stays_unknown(desk: Desk) -> None:
    before = desk.there()
    assert "protected" in recorder(desk).ready("r595", "ams")
    assert desk.there() == before
    assert recorder(desk, "branch=new").ready("r595", "ams")
    assert git(desk.remote, "branch", "--list") == "* main"
    assert recorder(desk, "file").ready("r595", "ams") == ""


def test_a_push_that_would_be_refused_is_found_out_before_a_run_starts(desk: Desk) -> None:
    """A remote that can be read only, as many set it up."""
    desk.git("config", "remote.origin.pushurl", "file:///no/push")
    with pytest.raises(UsageError) as raised:
        recorder(desk).ready("r595", "ams")
    assert raised.value.hint
    assert recorder(desk, "file").ready("r595", "ams") == ""


def test_a_release_that_is_not_on_the_branch_is_found_out_before_a_run_starts(desk: Desk) -> None:
    (desk.matrix / "releases" / "r610.yaml").write_text("status: candidate\n")
    desk.git("add", "-A")
    desk.git("commit", "--quiet", "-m", "not pushed yet")
    with pytest.raises(UsageError, match="branch main") as raised:
        recorder(desk).ready("r610", "ams")
    assert "push it there first" in raised.value.hint
    assert recorder(desk, "file").ready("r610", "ams") == ""


BEHIND = {
    "another run has moved the pin": ("clusters/ams.yaml", "r580", "r590", "it pins r590, here it is r580"),
    "the release was revoked": ("releases/r595.yaml", "candidate", "revoked", "r595 is revoked there"),
    "the release was edited": (
        "releases/r595.yaml",
        "candidate",
        "candidate\ncomponents: {nvidia-driver: 595.91.07}",
        "r595 has other versions there",
    ),
}


@pytest.mark.parametrize("case", BEHIND)
def test_a_run_does_not_start_from_a_checkout_that_is_behind(desk: Desk, case: str) -> None:
    file, old, new, why = BEHIND[case]
    desk.colleague(f"matrix/{file}", old, new)
    with pytest.raises(UsageError, match=why) as raised:
        recorder(desk).ready("r595", "ams")
    assert "git pull" in raised.value.hint
    with pytest.raises(UsageError, match=why):
        recorder(desk, "branch=proof").ready("r595", "ams")
    desk.git("pull", "--quiet")
    assert recorder(desk).ready("r595", "ams")


def test_without_a_remote_the_record_waits_for_the_branch_that_the_run_began_on(desk: Desk) -> None:
    desk.git("remote", "remove", "origin")
    to = destination(desk.matrix)
    desk.git("checkout", "--quiet", "-b", "something-else")
    writer = promotion_for(desk.matrix, to, desk.run)
    with pytest.raises(UsageError, match="belongs on main, and something-else is checked out"):
        writer.promote("r595", "rehearsed", "ams", EVIDENCE)
    assert desk.git("status", "--porcelain") == ""


def test_a_remote_that_is_away_is_told_from_one_that_refuses(desk: Desk) -> None:
    desk.git("config", "remote.origin.url", "http://127.0.0.1:9/ops.git")
    with pytest.raises(Unreachable) as raised:
        recorder(desk).ready("r595", "ams")
    assert "--record file" in raised.value.hint


def test_a_repository_without_a_remote_takes_the_commit_on_its_branch(desk: Desk) -> None:
    desk.git("remote", "remove", "origin")
    told = promote(desk)
    assert told.commit == desk.git("rev-parse", "HEAD")
    assert desk.git("status", "--porcelain") == ""


def test_a_repository_without_a_remote_can_take_it_on_another_branch_too(desk: Desk) -> None:
    desk.git("remote", "remove", "origin")
    head = desk.git("rev-parse", "HEAD")
    told = promote(desk, "branch=proof")
    assert (desk.git("rev-parse", "HEAD"), desk.git("rev-parse", "proof")) == (head, told.commit)


def test_a_shallow_checkout_is_enough(desk: Desk, tmp_path: Path) -> None:
    desk.colleague("notes.md", "", "x")
    shallow = tmp_path / "ci"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{desk.remote}", str(shallow))
    git(shallow, "checkout", "--quiet", "--detach")
    ci = Desk(shallow, desk.remote, desk.run)
    assert promote(ci, "file").file
    assert promote(ci).commit == desk.there()


def test_a_folder_that_is_a_file_or_a_link_on_the_branch_is_an_error_not_a_way_out(desk: Desk) -> None:
    target = desk.run.parent / "outside"
    target.mkdir()
    (desk.matrix / "evidence").symlink_to(target)
    desk.git("add", "-A")
    desk.git("commit", "--quiet", "-m", "a link")
    desk.git("push", "--quiet")
    with pytest.raises(KnowngoodError, match="can't be written"):
        promote(desk)
    assert list(target.iterdir()) == []


def test_a_lock_that_a_killed_run_left_in_the_clone_is_no_obstacle(desk: Desk) -> None:
    assert isinstance(recorder(desk), MatrixClone)
    recorder(desk).ready("r595", "ams")
    (desk.run / "matrix" / "clone" / ".git" / "index.lock").write_text("")
    assert promote(desk).commit == desk.there()


def test_no_secret_of_the_remotes_url_is_in_a_file_or_a_message(desk: Desk) -> None:
    """GitLab writes the job's token into the URL."""
    desk.git("config", "remote.origin.url", "http://ci:s3cret@127.0.0.1:9/ops.git")
    to = destination(desk.matrix)
    assert "s3cret" not in repr(to)
    with pytest.raises(KnowngoodError) as raised:
        promotion_for(desk.matrix, to, desk.run).ready("r595", "ams")
    assert "s3cret" not in f"{raised.value} {raised.value.hint}"
    found = subprocess.run(["grep", "-r", "s3cret", str(desk.run)], capture_output=True, check=False)
    assert found.stdout == b""
