"""What needs a third ring: a later ring fails or is stopped, with a proven ring behind it and an untouched one ahead.

The example cluster ams-prod: three rings of two nodes, both of a ring out at once.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.integration.play import Play, awaited, explained, staged

CLUSTER = "ams-prod"
OLD, NEW = "580.173.02", "595.91.07"
CANARY, LATER, LAST = ("gpu-1", "gpu-2"), ("gpu-3", "gpu-4"), ("gpu-5", "gpu-6")
ALL = (*CANARY, *LATER, *LAST)
GOOD, BAD = LATER
FAULT = "xid-31-after-driver"
QUARANTINE = "knowngood.dev/quarantine"


def taken(snapshot: Path) -> dict[str, Any]:
    """A snapshot of the oracle."""
    found: dict[str, Any] = json.loads(snapshot.read_text())
    return found


def loaded(*versions: str, nodes: tuple[str, ...] = (*CANARY, *LATER)) -> dict[str, list[str]]:
    """What `Play.drivers` must say of these nodes."""
    return {node: list(versions) for node in nodes}


def declared(play: Play) -> list[str]:
    """The driver that Git holds for each ring."""
    files = (f"clusters/{CLUSTER}/gpu/nvidiadriver-ring-{number}.yaml" for number in range(3))
    texts = (play.git("show", f"main:{file}") for file in files)
    return [next(v for v in (OLD, NEW) if f"version: {v}" in text) for text in texts]


def left_alone(play: Play, before: dict[str, Any], after: dict[str, Any]) -> None:
    """The ring that had not begun: same loads, same nodes, and nobody wrote to them."""
    for node in LAST:
        assert after["nodes"][node] == before["nodes"][node]
        assert after["loads"][node] == before["loads"][node]
    assert not [r for r in play.audit() if r["kind"] == "Node" and r["name"] in LAST]


def one_node_fails_in_the_second_ring(play: Play) -> None:
    play.stage.fault(FAULT, BAD, {"version": NEW})


@pytest.mark.slow
def test_a_node_that_fails_alone_in_a_later_ring_is_quarantined_and_the_run_holds(tmp_path: Path) -> None:
    """The proven ring keeps the new version, the good neighbour works on, the next ring never begins."""
    with staged(tmp_path / "stage", CLUSTER) as play:
        before = taken(play.snapshot("before"))
        one_node_fails_in_the_second_ring(play)
        ended = play.upgrade("r595")
        assert ended.code == 5, explained(ended)
        assert ended.result["end"] == "held", explained(ended)
        assert set(ended.result["blamed"]) == {BAD}, explained(ended)

        assert {e["node"] for e in play.hits(FAULT)} == {BAD}
        assert len(play.hits(FAULT)) >= 2, "it was not tested again before it was blamed"
        assert play.drivers() == loaded(OLD, NEW) | loaded(OLD, nodes=LAST)
        assert declared(play) == [NEW, NEW, OLD]

        after = taken(play.snapshot("held"))
        left_alone(play, before, after)
        out = {name for name, node in after["nodes"].items() if node["unschedulable"]}
        tainted = {name for name, node in after["nodes"].items() if QUARANTINE in str(node["taints"])}
        assert out == tainted == {BAD}
        for node in (*CANARY, GOOD):
            assert play.given_back(node) == [NEW], "what passed goes back to work as it is"
            assert after["nodes"][node]["taints"] == before["nodes"][node]["taints"]
        assert play.given_back(BAD) == []
        assert not any(after["ours"].values()), after["ours"]


@pytest.mark.exhaustive
def test_where_the_policy_undoes_a_later_ring_takes_the_proven_ones_back_with_it(tmp_path: Path) -> None:
    """`policy.onWaveFailure: undo`: newest ring first, and every node of the cluster is as it was."""
    with staged(tmp_path / "stage", CLUSTER, policy="undo") as play:
        before = play.snapshot("before")
        one_node_fails_in_the_second_ring(play)
        ended = play.upgrade("r595")
        assert ended.code == 6, explained(ended)
        assert ended.result["end"] == "restored", explained(ended)
        assert set(ended.result["blamed"]) == {BAD}, explained(ended)

        assert play.hits(FAULT), "it never hit"
        play.stage.clear_faults()
        assert play.differences(before) == ""
        left_alone(play, taken(before), taken(play.snapshot("after")))
        assert play.drivers() == loaded(OLD, NEW, OLD) | loaded(OLD, nodes=LAST)
        assert [play.given_back(n) for n in (*CANARY, *LATER)] == [[NEW, OLD]] * 2 + [[OLD]] * 2
        rings = [subject.split(":")[0] for subject in play.commits() if "ring-" in subject]
        assert rings == [f"{CLUSTER} ring-{n}" for n in (0, 1, 1, 0)], "newest first"


@pytest.mark.exhaustive
def test_a_run_killed_in_a_later_ring_is_resumed_and_does_nothing_twice(tmp_path: Path) -> None:
    """SIGKILL of the runner alone, while the drivers of the second ring are restarted."""
    with staged(tmp_path / "stage", CLUSTER) as play:
        with play.running("upgrade", CLUSTER, "--to", "r595", "--yes") as runner:
            awaited(lambda: play.intended("ring-1/batch-1/apply"), "the second ring's restart")
            os.kill(runner.pid, signal.SIGKILL)
            runner.wait()
        ended = play.knowngood("resume", play.run_id(), "--output", "json")
        assert ended.code == 0, explained(ended)
        assert (ended.result["end"], ended.result["resumed"]) == ("done", 1)
        assert play.drivers() == loaded(OLD, NEW, nodes=ALL)
        assert declared(play) == [NEW] * 3
        rings = [subject for subject in play.commits() if "ring-" in subject]
        assert len(rings) == len(set(rings)) == 3, "a commit is made twice"
        assert not any(taken(play.snapshot("after"))["ours"].values())
