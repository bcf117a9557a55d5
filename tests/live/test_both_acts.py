"""Both acts of the main job on a real API server, with its own controller manager and scheduler.

KNOWNGOOD_LIVE_KUBECONFIG names an administrator's kubeconfig of a cluster that is empty and yours; the twin brings the
nodes and operators (`twin up --on`). KNOWNGOOD_LIVE_KUBELET_ADDRESS is where that API server reaches this machine, by
default the loopback interface. The program runs as the ServiceAccount of deploy/, and is refused nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.bound import bind
from tests.integration.play import Ended, Play, explained, staged
from tests.live.counting import Counted, counting

LIVE = os.environ.get("KNOWNGOOD_LIVE_KUBECONFIG", "")
ADDRESS = os.environ.get("KNOWNGOOD_LIVE_KUBELET_ADDRESS", "127.0.0.1")
CANARY, LATER = "lab-gpu-1", "lab-gpu-2"
PROVEN, BAD = "r595", "r610"
FAULT, VERSION = "xid-31-after-driver", "610.57.04"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not LIVE, reason="KNOWNGOOD_LIVE_KUBECONFIG names no cluster to play on"),
]


@dataclass(frozen=True)
class Live:
    """The stage on the live cluster, and what the API server answered to the program."""

    play: Play
    counted: Counted

    def upgrade(self, to: str) -> Ended:
        """Move the cluster as the ServiceAccount."""
        where = ("--kubeconfig", str(self.counted.kubeconfig))
        return self.play.knowngood(*where, "upgrade", "lab-small", "--to", to, "--yes", "--output", "json")


@pytest.fixture(scope="module", name="live")
def _live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    on = ("--on", str(Path(LIVE).resolve()), "--kubelet-address", ADDRESS)
    with staged(folder / "stage", "lab-small", *on) as play:
        runner = bind(play.stage.kubeconfig, folder)
        with counting(runner, folder) as counted:
            yield Live(play, counted)


def test_the_first_act_ends_done_and_nothing_was_refused(live: Live) -> None:
    ended = live.upgrade(PROVEN)
    assert ended.code == 0, explained(ended)
    assert ended.result["end"] == "done"
    assert live.counted.refused == []
    assert live.counted.answers.get(200, 0) > 100, "the program did not go through the proxy"


def test_the_second_act_is_restored_and_nothing_was_refused(live: Live) -> None:
    before, driver = live.play.snapshot("before"), live.play.drivers()[CANARY][-1]
    live.play.stage.fault(FAULT, CANARY, {"version": VERSION})
    ended = live.upgrade(BAD)
    assert ended.code == 6, explained(ended)
    assert ended.result["end"] == "restored"
    live.play.stage.clear_faults()
    assert live.play.hits(FAULT), "it never hit"
    assert live.play.differences(before) == ""
    assert live.play.drivers()[CANARY][-2:] == [VERSION, driver]
    assert VERSION not in live.play.drivers()[LATER]
    assert live.counted.refused == []
