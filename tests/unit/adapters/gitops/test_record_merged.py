"""A record that goes to a branch of its own: its pull request is opened, and waited for by what is merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.adapters.gitops.desk import Desk, desk_at

from knowngood.adapters.gitops.matrix_record import promotion_for
from knowngood.adapters.gitops.matrix_target import destination
from knowngood.model.gitops import PullRequests
from knowngood.ports.cancel import Cancel

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


def merging(desk: Desk, message: str) -> str:
    """A team's command that squashes a branch into main at once, under words of its own, and deletes it."""
    host = desk.root / "host"
    return (
        f"git clone -q {desk.remote} {host} && cd {host} && git -c user.name=H -c user.email=h@example.com "
        f'merge -q --squash "origin/$0" && git -c user.name=H -c user.email=h@example.com commit -qm "{message}" '
        '&& git push -q origin HEAD:main && git push -q origin ":$0"'
    )


def test_a_run_waits_until_its_record_is_merged_under_whatever_words(desk: Desk) -> None:
    to = destination(desk.matrix, "branch=ams-r595")
    how = PullRequests(("sh", "-c", merging(desk, "theirs (#9)"), "{branch}"), wait=20.0)
    told = promotion_for(desk.matrix, to, desk.run, how, Cancel()).promote(
        "r595", "rehearsed", "ams", EVIDENCE
    )
    assert told.note.endswith("merged into main")
    assert told.commit != desk.there("main"), "it was squashed"


def test_a_record_that_nobody_merges_is_waited_for_until_its_deadline(desk: Desk) -> None:
    """What is proven stays proven; a run that was cut short waits again."""
    to = destination(desk.matrix, "branch=ams-r595")
    writer = promotion_for(desk.matrix, to, desk.run, PullRequests(("true",), wait=0.1), Cancel())
    for _ in range(2):
        told = writer.promote("r595", "rehearsed", "ams", EVIDENCE)
        assert "nobody merged it into main in 0 s: merge it" in told.note
        assert told.commit == desk.there("ams-r595")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ("sh", "-c", "echo https://git.example.com/pulls/7", "{base}"),
            "is open: https://git.example.com/pulls/7",
        ),
        (("sh", "-c", "exit 4"), "could not be opened, open it by hand"),
    ],
)
def test_a_record_on_a_branch_of_its_own_opens_its_pull_request(
    desk: Desk, command: tuple[str, ...], words: str
) -> None:
    """What is pushed is recorded, whatever becomes of the command."""
    to = destination(desk.matrix, "branch=ams-r595")
    told = promotion_for(desk.matrix, to, desk.run, PullRequests(command)).promote(
        "r595", "rehearsed", "ams", EVIDENCE
    )
    assert f"its pull request into main {words}" in told.note
    assert told.commit == desk.there("ams-r595")
