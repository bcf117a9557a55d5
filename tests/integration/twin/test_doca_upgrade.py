"""autoUpgrade of DOCA-OFED: labels that move by themselves, a node at a time; what stays when it is switched off."""

from __future__ import annotations

from pathlib import Path

from tests.integration.twin.nic_stage import NEW, NEW_SAYS, OLD_SAYS, Nics, cluster_policy, play

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.daemonsets import DaemonSets
from knowngood.twin.behaviours.doca_upgrade import STATE, DocaUpgrades
from knowngood.twin.behaviours.kube import NIC_CLUSTER_POLICY, NODE, labels_of
from knowngood.twin.behaviours.network_operator import NetworkOperator
from knowngood.twin.behaviours.scheduler import Scheduler
from knowngood.twin.values import Object

POLICY = "nic-cluster-policy"
ON = {"upgradePolicy": {"autoUpgrade": True, "drain": {"enable": True}}}


def cast(twin: Twin) -> list[Controller]:
    """The usual ones and the upgrade controller."""
    return [Scheduler(twin), DaemonSets(twin), NetworkOperator(twin), DocaUpgrades(twin)]


def states(nics: Nics) -> dict[str, list[str]]:
    """Node -> the upgrade states it goes through from now on."""
    found: dict[str, list[str]] = {}

    def note(_event: str, node: Object) -> None:
        seen = found.setdefault(node["metadata"]["name"], [])
        value = labels_of(node).get(STATE, "")
        if seen[-1:] != [value]:
            seen.append(value)

    nics.twin.cache.listen(NODE, note)
    return found


def test_nodes_are_moved_one_after_the_other_through_the_vendors_states(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.declare(cluster_policy(ofedDriver=ON))
        seen = states(nics)
        await nics.move(NIC_CLUSTER_POLICY, POLICY, NEW)
        nodes = ("gpu-1", "gpu-2")
        await nics.play.until("both are done", lambda: all(nics.running(n) == NEW_SAYS for n in nodes))
        await nics.play.until("told", lambda: all(seen[n][-1] == "upgrade-done" for n in nodes))
        way = [
            "upgrade-required",
            "cordon-required",
            "wait-for-jobs-required",
            "drain-required",
            "pod-restart-required",
            "uncordon-required",
            "upgrade-done",
        ]
        assert [seen[n][-7:] for n in nodes] == [way, way]
        assert not any(nics.play.get(NODE, n, "")["spec"].get("unschedulable") for n in nodes)
        loads = [e for e in nics.play.events("module-loaded") if e["version"] == NEW_SAYS]
        unloads = [e for e in nics.play.events("module-unloaded") if e["module"] == "mlx5_core"]
        assert loads[0]["time"] < unloads[1]["time"], "the second node goes when the first is back"

    play(tmp_path, story, cast=cast)


def test_switched_off_in_the_middle_the_labels_go_and_the_cordon_stays(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.declare(cluster_policy(ofedDriver=ON))
        await nics.play.fault("doca-dtk-mismatch", "gpu-1", version=NEW_SAYS)
        await nics.play.fault("doca-dtk-mismatch", "gpu-2", version=NEW_SAYS)
        await nics.move(NIC_CLUSTER_POLICY, POLICY, NEW)

        def label(node: str) -> str:
            return labels_of(nics.play.get(NODE, node, "")).get(STATE, "")

        await nics.play.until(
            "one waits for its pod", lambda: "pod-restart-required" in {label("gpu-1"), label("gpu-2")}
        )
        off = {"spec": {"ofedDriver": {"upgradePolicy": {"autoUpgrade": False}}}}
        await nics.play.client.patch(NIC_CLUSTER_POLICY, POLICY, off)
        await nics.play.until("no label", lambda: not label("gpu-1") and not label("gpu-2"))
        await nics.play.quiet()
        cordoned = [n for n in ("gpu-1", "gpu-2") if nics.play.get(NODE, n, "")["spec"].get("unschedulable")]
        assert len(cordoned) == 1
        assert nics.running("gpu-1") == nics.running("gpu-2") == OLD_SAYS

    play(tmp_path, story, cast=cast)
