"""Where a run's record goes: the branch that the matrix came from, told or not told, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.adapters.gitops.desk import Desk, desk_at, git

from knowngood.adapters.gitops.matrix_target import CI_BRANCH, destination
from knowngood.model.destination import Destination, Way
from knowngood.model.errors import UsageError
from knowngood.model.jsonable import from_json, to_json


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in CI_BRANCH:
        monkeypatch.delenv(name, raising=False)
    return desk_at(tmp_path)


def commit(desk: Desk, subject: str = "a change") -> None:
    desk.git("commit", "--quiet", "--allow-empty", "-m", subject)


def detached_with(desk: Desk, *branches: str) -> None:
    """A CI checkout: a commit and no branch; other branches of the remote go on from it."""
    for name in branches:
        desk.git("checkout", "--quiet", "-b", name)
        commit(desk, name)
        desk.git("push", "--quiet", "origin", name)
        desk.git("checkout", "--quiet", "main")
    desk.git("checkout", "--quiet", "--detach", "main")


def test_it_is_the_upstream_of_the_branch_whatever_that_is_called(desk: Desk) -> None:
    desk.git("push", "--quiet", "origin", "main:prod/eu")
    desk.git("fetch", "--quiet")
    desk.git("branch", "--quiet", "--set-upstream-to=origin/prod/eu")
    found = destination(desk.matrix)
    assert found == Destination(Way.PUSH, f"file://{desk.remote}", "prod/eu", "prod/eu", "matrix")
    assert from_json(Destination, to_json(found)) == found, "it is frozen in record 0"


def test_a_branch_without_upstream_is_the_remotes_branch_of_that_name(desk: Desk) -> None:
    desk.git("branch", "--quiet", "--unset-upstream")
    assert destination(desk.matrix).branch == "main"


def test_a_detached_head_is_on_the_branch_whose_newest_commit_it_is(desk: Desk) -> None:
    detached_with(desk, "fix-1", "fix-2")
    assert destination(desk.matrix).branch == "main"


def test_a_detached_head_in_the_past_of_many_branches_is_on_the_default_one(desk: Desk) -> None:
    detached_with(desk, "fix-1")
    desk.colleague("notes.md", "", "x")
    desk.git("fetch", "--quiet")
    git(desk.remote, "symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(UsageError, match="have it"):
        destination(desk.matrix)
    git(desk.remote, "symbolic-ref", "HEAD", "refs/heads/main")
    assert destination(desk.matrix).branch == "main"


def test_a_ci_systems_word_chooses_among_the_branches_that_have_the_commit_and_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    detached_with(desk, "fix-1")
    monkeypatch.setenv("CI_COMMIT_BRANCH", "fix-1")
    assert destination(desk.matrix).branch == "fix-1"
    monkeypatch.setenv("CI_COMMIT_BRANCH", "somewhere-else")
    assert destination(desk.matrix).branch == "main"


def test_a_checkout_of_a_bare_commit_asks_the_remote(desk: Desk, tmp_path: Path) -> None:
    """As some CI systems do it: no remote branch is known here."""
    ci = tmp_path / "ci"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{desk.remote}", str(ci))
    git(ci, "checkout", "--quiet", "--detach")
    git(ci, "branch", "-D", "main")
    git(ci, "update-ref", "-d", "refs/remotes/origin/main")
    git(ci, "symbolic-ref", "-d", "refs/remotes/origin/HEAD")
    assert destination(ci / "matrix").branch == "main"


def test_what_no_branch_of_the_remote_has_can_not_be_told_and_the_way_to_name_it_is(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "--detach")
    commit(desk)
    with pytest.raises(UsageError, match="can't be told") as raised:
        destination(desk.matrix)
    assert "--record branch=NAME" in raised.value.hint
    named = destination(desk.matrix, "branch=proof")
    assert (named.branch, named.base) == ("proof", "main"), "made from the remote's default branch"


def test_a_branch_of_ones_own_is_not_taken_for_the_one_it_was_made_from(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "-b", "mine")
    commit(desk)
    with pytest.raises(UsageError, match="branch mine came from"):
        destination(desk.matrix)


def test_two_remotes_without_a_word_are_not_chosen_from(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "--detach")
    desk.git("remote", "rename", "origin", "here")
    desk.git("remote", "add", "there", "file:///elsewhere")
    with pytest.raises(UsageError, match="here, there"):
        destination(desk.matrix)
    desk.git("config", "checkout.defaultRemote", "here")
    assert destination(desk.matrix).url == f"file://{desk.remote}"


def test_without_a_remote_it_is_the_branch_that_is_checked_out(desk: Desk) -> None:
    desk.git("remote", "remove", "origin")
    assert destination(desk.matrix).way is Way.HERE
    assert destination(desk.matrix, "branch=main").way is Way.HERE
    assert destination(desk.matrix, "branch=proof").url == str(desk.root)
    desk.git("checkout", "--quiet", "--detach")
    with pytest.raises(UsageError, match="on no branch"):
        destination(desk.matrix)


@pytest.mark.parametrize(
    "said", ["nowhere", "branch", "branch=", "branch=-x", "branch=a..b", "file=x", "branch=a b"]
)
def test_what_names_no_place_is_refused(desk: Desk, said: str) -> None:
    with pytest.raises(UsageError):
        destination(desk.matrix, said)
