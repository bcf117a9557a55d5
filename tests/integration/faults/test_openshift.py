"""OpenShift itself moves, ring by ring: done, and a canary that does not come back, after which nothing goes back.

Real twin with its cluster-version and machine-config operators, Git, Argo CD, Ansible, pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.faults.rows import CANARY, FORWARD, LATER
from tests.integration.play import Play, awaited, explained
from tests.integration.release_stage import BEFORE, BETWEEN, KERNELS, MINOR, NEXT, SECOND, declared, moved

from knowngood.adapters.kubernetes.client import Kube, path

POOLS = path("machineconfiguration.openshift.io/v1", "machineconfigpools")
VERSION = path("config.openshift.io/v1", "clusterversions", "version")


def kernels(play: Play) -> dict[str, bool]:
    """Node with GPUs -> whether it runs the new kernel, as its kubelet says."""
    nodes = {n["metadata"]["name"]: n for n in Kube(play.stage.kubeconfig).list(path("v1", "nodes"))}
    base = KERNELS[MINOR[:4]].partition(".el")[0]
    return {n: nodes[n]["status"]["nodeInfo"]["kernelVersion"].startswith(base) for n in (CANARY, LATER)}


def paused(play: Play) -> dict[str, bool]:
    found = Kube(play.stage.kubeconfig).list(POOLS)
    return {p["metadata"]["name"]: bool(p["spec"].get("paused")) for p in found}


def release(play: Play) -> dict[str, object]:
    """What the ClusterVersion asks for and the newest of its history."""
    found = Kube(play.stage.kubeconfig).find(VERSION)
    assert found is not None
    newest = found["status"]["history"][0]
    return {**found["spec"]["desiredUpdate"], "newest": (newest["version"], newest["state"])}


def boots(play: Play, node: str) -> int:
    """How often the machine-config operator booted it."""
    booted = [e for e in play.events() if (e["event"], e["node"]) == ("booted", node)]
    return sum(e["cause"] == "machine-config" for e in booted)


@pytest.mark.slow
def test_a_minor_moves_the_control_plane_at_once_and_each_ring_in_its_turn(tmp_path: Path) -> None:
    """openshift and rhcos-kernel move; doca-ofed and nvidia-driver are loaded anew on the same drain."""
    with declared(tmp_path) as play:
        asked = play.knowngood(
            "upgrade", play.cluster, "--to", NEXT, "--yes", "--accept-no-canary", "openshift"
        )
        assert asked.code == 1, explained(asked)
        assert "--accept-forward-only goes there all the same" in asked.stderr
        ended = moved(play)
        assert (ended.code, ended.result["end"]) == (0, "done"), explained(ended)
        assert release(play)["newest"] == (MINOR, "Completed")
        assert "force" not in release(play)
        assert kernels(play) == {CANARY: True, LATER: True}
        assert {n: boots(play, n) for n in (CANARY, LATER)} == {CANARY: 1, LATER: 1}, (
            "one drain, one boot a node"
        )
        assert not any(paused(play).values()), "all is let go"
        subjects = [s for s in play.commits() if MINOR in s]
        assert len(subjects) == 1, "one commit: channel, version and image"


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_second_minor_in_the_same_run_finds_the_pools_held_anew(tmp_path: Path) -> None:
    """Each minor is a hop: the pools that the first let go, ring by ring, are paused before the second one's commit."""
    with declared(tmp_path, before=BEFORE, after=SECOND) as play:
        ended = moved(play, releases=2)
        assert (ended.code, ended.result["end"]) == (0, "done"), explained(ended)
        assert release(play)["newest"] == (SECOND, "Completed")
        assert {n: boots(play, n) for n in (CANARY, LATER)} == {CANARY: 2, LATER: 2}, (
            "one drain, one boot a node and minor"
        )
        assert not any(paused(play).values()), "all is let go"
        assert [sum(version in s for s in play.commits()) for version in (BETWEEN, SECOND)] == [1, 1]


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_in_channel_eus_the_control_plane_goes_over_the_odd_minor_and_each_node_boots_once(
    tmp_path: Path,
) -> None:
    with declared(tmp_path, before=BEFORE, after=SECOND) as play:
        kept = play.stage.folder / "kept.plan.json"
        plan = ("plan", play.cluster, "--to", NEXT, "--from-git", "--channel", "eus", "--out", str(kept))
        made = play.knowngood(*plan)
        assert made.code == 0, explained(made)
        said = ("--yes", "--accept-no-canary", "openshift", "--accept-forward-only", "--output", "json")
        ended = play.knowngood("upgrade", play.cluster, "--plan", str(kept), *said, deadline=1000)
        assert ended.code == 0, explained(ended)
        assert release(play)["newest"] == (SECOND, "Completed")
        assert {n: boots(play, n) for n in (CANARY, LATER)} == {CANARY: 1, LATER: 1}, (
            "one boot over two minors"
        )
        assert not any(paused(play).values()), "all is let go"
        assert [sum(version in s for s in play.commits()) for version in (BETWEEN, SECOND)] == [1, 1]


@pytest.mark.slow
def test_a_canary_that_does_not_come_back_leaves_the_rest_as_it_is_and_nothing_is_restored(
    tmp_path: Path,
) -> None:
    with declared(tmp_path, FORWARD.limits) as play:
        play.stage.fault(FORWARD.fault, FORWARD.node)
        ended = moved(play)
        assert (ended.code, ended.result["end"]) == (FORWARD.code, FORWARD.end), explained(ended)
        assert FORWARD.caught_by in ended.result["why"] + str(ended.result["blamed"]), explained(ended)
        assert "can't be undone" in ended.result["why"]
        assert play.hits(FORWARD.fault), "it never hit"
        assert boots(play, LATER) == 0
        assert not kernels(play)[LATER], "the later ring stays on the old system"
        assert paused(play)["ring-1"], "else its pool would move it on"
        assert "MachineConfigPool ring-1" in ended.result["why"]
        assert release(play)["newest"] == (MINOR, "Completed")
        assert not [c for c in ended.result["commits"] if c["kind"] == "undo"], "its commit stays"
        back = play.knowngood("rollback", play.run_id(), "--yes")
        assert back.code == 1, explained(back)
        assert "past its point of no return" in back.stderr


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_once_the_canary_is_mended_the_held_run_goes_on_to_its_end(tmp_path: Path) -> None:
    """The node comes up in the end; one command judges it and takes the next ring."""
    with declared(tmp_path, FORWARD.limits) as play:
        play.stage.fault(
            FORWARD.fault, FORWARD.node, {"seconds": "7200"}
        )  # two hours: longer than the run waits
        ended = moved(play)
        assert ended.code == FORWARD.code, explained(ended)
        where = path("v1", "nodes", CANARY)

        def ready() -> bool:
            said = Kube(play.stage.kubeconfig).get(where)["status"]["conditions"]
            return any(c["type"] == "Ready" and c["status"] == "True" for c in said)

        awaited(ready, f"{CANARY} is Ready", 240)
        on = play.knowngood("resume", play.run_id(), "--yes", "--output", "json", deadline=900)
        assert on.code == 0, explained(on)
        assert on.result["end"] == "done"
        assert kernels(play) == {CANARY: True, LATER: True}
        assert {n: boots(play, n) for n in (CANARY, LATER)} == {CANARY: 1, LATER: 1}, (
            "no node boots for it again"
        )
        assert not any(paused(play).values()), "all is let go"
        assert not [c for c in on.result["commits"] if c["kind"] == "undo"]
