"""A branch that takes only pull requests: a branch of ours, the team's command, a merge known by content, the undo."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.planner.matrices import cluster

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.gitops.forge import PullRequest, call
from knowngood.adapters.gitops.pull_requests import MergedDelivery, PullRequestRepository
from knowngood.cli.wiring import delivery, gitops
from knowngood.model.errors import DeadlineExceeded, Inconclusive, UsageError
from knowngood.model.gitops import GitOps, PullRequests
from knowngood.ports.cancel import Cancel
from knowngood.ports.gitops import FieldTaken

from .conftest import APPLICATION, Team, change, trailers

GUARD = """#!/bin/sh
while read old new ref; do
  [ "$ref" != refs/heads/main ] || { echo 'main takes pull requests only'; exit 1; }
done
"""
SQUASH = "git merge --quiet --squash origin/$1 && git commit --quiet -m 'merged by us (#7)'"
MERGE = "git merge --quiet --no-ff -m 'Merge pull request 7' origin/$1"
REBASE = "git commit --quiet --allow-empty -m theirs && git cherry-pick origin/$1"
MERGER = """#!/bin/sh -eu
# What a host does when somebody presses its button.
exec 2>&1
unset GIT_DIR GIT_WORK_TREE
rm -rf host && git clone --quiet "REMOTE" host && cd host
git config user.name Jo && git config user.email jo@example.com
HOW
mv "REMOTE/hooks/pre-receive" "REMOTE/hooks/away"
git push --quiet origin HEAD:main DELETE
mv "REMOTE/hooks/away" "REMOTE/hooks/pre-receive"
"""


def script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def merger(team: Team, folder: Path, how: str, *, deletes: bool = True) -> str:
    text = MERGER.replace("REMOTE", str(team.remote)).replace("HOW", how)
    return script(folder / "merge", text.replace("DELETE", ":$1" if deletes else ""))


@pytest.fixture(name="guarded")
def _guarded(team: Team) -> Team:
    hook = team.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    script(hook, GUARD)
    return team


ABOUT = PullRequest("https://git.example.com/ops", "main", "knowngood/x", "0" * 40, "title", "body")
Make = Callable[..., PullRequestRepository]


@pytest.fixture(name="repository")
def _repository(guarded: Team, tmp_path: Path) -> Make:
    """Each call is another machine's clone."""
    made: list[Path] = []

    def make(open_: tuple[str, ...] = ("true",), merge: tuple[str, ...] = ()) -> PullRequestRepository:
        made.append(tmp_path / f"run-{len(made)}")
        how = PullRequests(open_, merge)
        where = GitOps(f"file://{guarded.remote}", "main", (APPLICATION,), pull_requests=how)
        return PullRequestRepository(where, made[-1] / "gitops", how)

    return make


class Argo:
    """Delivers what is merged; remembers which commit it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def look_anew(self, *_: object) -> None:
        self.asked.append("anew")

    def wait(self, commit: str, *_: object) -> float:
        self.asked.append(commit)
        return 0.0


def wait(repository: PullRequestRepository, commit: str, *changes: object, seconds: float = 0.2) -> str:
    argo = Argo()
    delivery = MergedDelivery(argo, repository, SystemClock(), seconds)  # type: ignore[arg-type]
    delivery.wait(commit, changes, 1.0, Cancel())  # type: ignore[arg-type]
    return argo.asked[0]


def declare(repository: PullRequestRepository) -> str:
    return repository.declare([change("ring-0")], "ring-0: driver 595.91.07", trailers("ring-0"))


def undo(repository: PullRequestRepository, commit: str) -> str:
    return repository.undo(commit, [change("ring-0")], "undo ring-0", trailers("ring-0"))


def branches(team: Team) -> list[str]:
    return [line.split("refs/heads/")[1] for line in team.git("ls-remote", "--heads", "origin").splitlines()]


def test_a_change_is_a_branch_and_a_pull_request_and_main_is_left_alone(
    guarded: Team, repository: Make, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    opens = script(tmp_path / "open", f'#!/bin/sh\nprintf "%s|" "$@" "$KNOWNGOOD_BASE" >> {said}\n')
    ours = repository((opens, "--head={branch}", "{title}", "{base}"))
    before = guarded.log("--format=%H")[0]
    commit = declare(ours)
    (branch,) = (b for b in branches(guarded) if b != "main")
    assert branch.startswith("knowngood/r1-hop-1-ring-0-")
    assert said.read_text() == f"--head={branch}|ring-0: driver 595.91.07|main|main|"
    assert guarded.log("--format=%H")[0] == before
    assert repository().find(trailers("ring-0")) == commit
    assert declare(repository()) == commit


@pytest.mark.parametrize("how", [MERGE, SQUASH, REBASE], ids=["merge", "squash", "rebase"])
def test_a_merge_is_known_by_its_content_and_its_undo_is_prepared(
    guarded: Team, repository: Make, tmp_path: Path, how: str
) -> None:
    """Also where the host deletes the branch and forgets our words: another machine finds and undoes it."""
    ours = repository((merger(guarded, tmp_path, how), "{branch}"))
    commit = declare(ours)
    merged = wait(ours, commit, change("ring-0"))
    assert "595.91.07" in guarded.driver("ring-0")
    assert guarded.git("merge-base", "--is-ancestor", merged, "FETCH_HEAD") == ""
    (prepared,) = (b for b in branches(guarded) if b.startswith("knowngood/"))
    assert prepared == f"knowngood/undo/{commit[:12]}"
    other = repository(merge=(merger(guarded, tmp_path, how), "{branch}"))
    assert other.find(trailers("ring-0")) in (commit, merged)
    undone = undo(other, commit)
    wait(other, undone, change("ring-0").inverse())
    assert "580.173.02" in guarded.driver("ring-0")
    assert [b for b in branches(guarded) if b.startswith("knowngood/undo/undo")] == []


def test_what_nobody_merges_is_withdrawn_and_nothing_was_changed(guarded: Team, repository: Make) -> None:
    ours = repository()
    commit = declare(ours)
    with pytest.raises(DeadlineExceeded, match="nobody merged"):
        wait(ours, commit, change("ring-0"))
    assert undo(ours, commit) == guarded.log("--format=%H")[0]
    assert branches(guarded) == ["main"]
    assert ours.find(trailers("ring-0")) == ""


def test_an_undo_without_a_command_that_merges_waits_for_a_human(
    guarded: Team, repository: Make, tmp_path: Path
) -> None:
    ours = repository((merger(guarded, tmp_path, SQUASH), "{branch}"))
    commit = declare(ours)
    wait(ours, commit, change("ring-0"))
    undone = undo(repository(), commit)
    with pytest.raises(DeadlineExceeded):
        wait(repository(), undone, change("ring-0").inverse())
    assert "595.91.07" in guarded.driver("ring-0")


def test_an_undo_of_what_holds_a_third_value_is_refused(
    guarded: Team, repository: Make, tmp_path: Path
) -> None:
    ours = repository((merger(guarded, tmp_path, SQUASH), "{branch}"))
    commit = declare(ours)
    wait(ours, commit, change("ring-0"))
    third = replace(change("ring-0", "595.91.07", "600.1.1"))
    again = repository((merger(guarded, tmp_path, SQUASH), "{branch}"))
    wait(again, again.declare([third], "third", trailers("ring-0", "r2")), third)
    with pytest.raises(FieldTaken, match=r"is 600\.1\.1"):
        undo(ours, commit)


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        (("no-such-program-here",), UsageError, "can't be run"),
        (("sh", "-c", "echo no login >&2; exit 3"), Inconclusive, "ended with 3 .*no login"),
    ],
)
def test_a_command_that_fails_is_named_with_its_words(
    repository: Make, command: tuple[str, ...], error: type[Exception], words: str
) -> None:
    ours = repository(command)
    with pytest.raises(error, match=words):
        declare(ours)
    assert declare(ours)  # its branch is there: somebody may have opened it by hand


def test_the_way_back_is_a_branch_that_is_gone_again(guarded: Team, repository: Make) -> None:
    ours = repository()
    out, back = ours.rehearse_way_back({"Knowngood-Run": "r1"})
    assert out == back == guarded.log("--format=%H")[0]
    assert branches(guarded) == ["main"]
    assert wait(ours, back) == "anew"
    assert ours.taking([change("ring-0")]) == ()


def test_where_a_cluster_file_asks_for_pull_requests_a_run_makes_them(tmp_path: Path) -> None:
    how = PullRequests(("true",), wait=5.0)
    lab = cluster()
    asked = replace(lab, gitops=replace(lab.gitops, pull_requests=how))
    repository = gitops(asked, tmp_path)
    assert isinstance(repository, PullRequestRepository)
    kube: Any = None
    assert isinstance(delivery(kube, asked, repository, SystemClock()), MergedDelivery)
    assert not isinstance(gitops(lab, tmp_path / "lab"), PullRequestRepository)


def test_a_squash_under_their_message_is_found_though_the_branch_is_gone(
    guarded: Team, repository: Make, tmp_path: Path
) -> None:
    """Before its undo is prepared, too: else a rollback would say that nothing ever reached the branch."""
    ours = repository((merger(guarded, tmp_path, SQUASH), "{branch}"))
    commit = declare(ours)
    assert branches(guarded) == ["main"]
    assert ours.find(trailers("ring-0")) == commit
    assert ours.find(trailers("ring-1")) == ""
    assert declare(ours) == commit


def test_a_fresh_machine_finds_an_undo_that_was_squashed_under_other_words_with_its_branch_gone(
    guarded: Team, repository: Make, tmp_path: Path
) -> None:
    """Else a way back would say that nothing ever reached the branch, and not wait for Argo CD to bring it."""
    host = merger(guarded, tmp_path, SQUASH)
    ours = repository((host, "{branch}"))
    commit = declare(ours)
    merged = wait(ours, commit, change("ring-0"))
    undone = ours.undo(commit, [change("ring-0")], "undo ring-0", trailers("ring-0"))
    wait(ours, undone, change("ring-0").inverse())
    assert branches(guarded) == ["main"]
    other = repository()
    assert other.find(trailers("ring-0")) == ""
    assert other.brought([change("ring-0")], "2020-01-01T00:00:00Z") == merged
    assert other.brought([change("ring-0")], "2100-01-01T00:00:00Z") == "", "of an earlier run"
    assert other.brought([change("ring-1")], "2020-01-01T00:00:00Z") == ""
    other.undo(merged, [change("ring-0")], "undo ring-0", trailers("ring-0"))
    assert "580.173.02" in guarded.driver("ring-0")


def test_what_was_closed_and_not_merged_is_not_found(guarded: Team, repository: Make) -> None:
    ours = repository()
    declare(ours)
    (branch,) = (b for b in branches(guarded) if b != "main")
    guarded.git("push", "--quiet", "origin", f":{branch}")
    assert ours.find(trailers("ring-0")) == ""


def test_an_undo_that_cant_be_opened_says_so_at_once_and_then_waits(
    guarded: Team, repository: Make, tmp_path: Path
) -> None:
    ours = repository((merger(guarded, tmp_path, SQUASH), "{branch}"))
    commit = declare(ours)
    wait(ours, commit, change("ring-0"))
    other = repository(("sh", "-c", "echo no login >&2; exit 3"))
    with pytest.raises(Inconclusive, match="no login"):
        undo(other, commit)
    undone = undo(other, commit)
    with pytest.raises(DeadlineExceeded, match=r"nobody merged .*no login"):
        wait(other, undone, change("ring-0").inverse())


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """A child of it that lives on could open the pull request, or merge it, after we said that it did not."""
    late = tmp_path / "late"
    hangs = script(tmp_path / "open", f"#!/bin/sh\n(sleep 2; touch {late}) &\nsleep 60\n")
    with pytest.raises(Inconclusive, match="it gave no answer in 0 s"):
        call((hangs,), ABOUT, tmp_path, deadline=0.4)
    time.sleep(2.2)
    assert not late.exists()


def test_what_a_command_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    leaves = script(tmp_path / "open", "#!/bin/sh\nsleep 5 &\necho https://git.example.com/7\n")
    began = time.monotonic()
    assert call((leaves,), ABOUT, tmp_path, deadline=20) == "https://git.example.com/7"
    assert time.monotonic() - began < 4


def test_a_command_that_prints_without_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(Inconclusive, match="it printed more than 16 MiB"):
        call(("yes",), ABOUT, tmp_path, deadline=60)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("true", "true ended well, without a word"),
        ("echo no such repository", "echo said: no such repository"),
    ],
)
def test_a_command_that_opened_nothing_is_told_when_nobody_merges(
    repository: Make, command: str, words: str
) -> None:
    ours = repository(tuple(command.split()))
    commit = declare(ours)
    with pytest.raises(DeadlineExceeded, match=f"nobody merged {commit[:10]} in 0 s; {words}"):
        wait(ours, commit, change("ring-0"))


def test_where_something_else_is_merged_the_field_is_taken_at_once(
    guarded: Team, repository: Make, tmp_path: Path
) -> None:
    """Nobody waits an hour for what can't be merged any more."""
    other = "sed -i s/580.173.02/590.48.01/ clusters/ams-prod/gpu/*ring-0.yaml && git commit --quiet -am 'other (#8)'"
    ours = repository((merger(guarded, tmp_path, other), "{branch}"))
    commit = declare(ours)
    with pytest.raises(FieldTaken, match=r"is 590\.48\.01, not 580\.173\.02 or 595\.91\.07"):
        wait(ours, commit, change("ring-0"), seconds=60)
