"""The Network Operator: policies to DaemonSets, what its webhook refuses, how little labels and states prove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.twin.nic_stage import (
    HARDWARE,
    NEW,
    NEW_SAYS,
    OLD,
    OLD_SAYS,
    SPACE,
    Nics,
    cluster_policy,
    play,
    ring,
)
from tests.published import needs_definitions, problems

from knowngood.twin.behaviours.kube import NIC_CLUSTER_POLICY, NIC_NODE_POLICY, NODE, labels_of, node_of
from knowngood.twin.behaviours.nic_manifests import short_hash, suffix_of
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

KERNEL = "5.14.0-427.92.1.el9_4.x86_64"


def test_one_policy_is_one_daemon_set_a_kernel_for_every_node_with_a_nic(tmp_path: Path) -> None:
    nodes: list[Object] = [
        {"name": "gpu-1", "role": "gpu", **HARDWARE},
        {"name": "gpu-2", "role": "gpu", **HARDWARE, "kernel": "5.14.0-570.el9_6.x86_64"},
        {"name": "cpu-1", "role": "cpu"},
    ]

    async def story(nics: Nics) -> None:
        await nics.declare(cluster_policy())
        found = nics.daemon_sets()
        assert set(found) == {
            f"mofed-rhcos4.18-{short_hash(node.get('kernel', KERNEL))}-ds" for node in nodes[:2]
        }
        for daemon_set in found.values():
            spec = daemon_set["spec"]
            assert spec["updateStrategy"]["type"] == "OnDelete"
            assert labels_of(daemon_set)["nvidia.com/ofed-driver"] == ""
            assert labels_of(spec["template"])["ds-owner"] == "NicClusterPolicy"
            pod = spec["template"]["spec"]
            assert [c["name"] for c in pod["containers"]] == [
                "mofed-container",
                "openshift-driver-toolkit-ctr",
            ]
            assert pod["containers"][0]["image"].endswith(f"/doca-driver:{OLD}-rhcos4.18-amd64")
            assert pod["terminationGracePeriodSeconds"] == 300
        assert [nics.loads(n) for n in ("gpu-1", "gpu-2")] == [[OLD_SAYS]] * 2, "what runs is not loaded anew"
        assert nics.pod("cpu-1") is None

    play(tmp_path, story, nodes)


def test_a_new_version_moves_nothing_until_the_pod_restarts_and_then_that_node_alone(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        for name in ("ring-0", "ring-1"):
            await nics.declare(ring(name))
        names = {f"mofed-rhcos4.18-{short_hash(KERNEL)}-ring-{number}-ds" for number in (0, 1)}
        assert set(nics.daemon_sets()) == names
        before = nics.pod("gpu-1")
        await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
        await nics.play.until(
            "notReady while one lags", lambda: nics.state(NIC_NODE_POLICY, "ring-0") == "notReady"
        )
        assert (nics.pod("gpu-1"), nics.running("gpu-1")) == (before, OLD_SAYS)
        await nics.restart("gpu-1")
        await nics.play.until("ready again", lambda: nics.state(NIC_NODE_POLICY, "ring-0") == "ready")
        assert nics.loads("gpu-1") == [OLD_SAYS, NEW_SAYS]
        assert (nics.running("gpu-2"), nics.state(NIC_NODE_POLICY, "ring-1")) == (OLD_SAYS, "ready")

    play(tmp_path, story)


def test_from_26_7_a_policys_name_is_hashed_in_its_objects_names() -> None:
    """A long one would not fit into a label."""
    assert suffix_of(ring("ring-0"), "26.4.1") == "-ring-0"
    assert suffix_of(ring("ring-0"), "26.7.0") == f"-{short_hash('ring-0')}"
    assert suffix_of(cluster_policy(), "26.7.0") == ""


def test_under_one_policy_any_new_pod_takes_the_new_version(tmp_path: Path) -> None:
    """NicClusterPolicy is leaky: a pod that is deleted for whatever reason comes back as what is declared now."""

    async def story(nics: Nics) -> None:
        await nics.declare(cluster_policy())
        await nics.move(NIC_CLUSTER_POLICY, "nic-cluster-policy", NEW)
        await nics.restart("gpu-2")
        await nics.play.until("it has loaded", lambda: nics.ready("gpu-2"))
        assert (nics.running("gpu-1"), nics.running("gpu-2")) == (OLD_SAYS, NEW_SAYS)

    play(tmp_path, story)


def test_a_restarted_pod_of_the_same_version_loads_nothing(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.declare(cluster_policy())
        await nics.restart("gpu-1")
        await nics.play.until("ready", lambda: nics.ready("gpu-1"))
        assert nics.loads("gpu-1") == [OLD_SAYS]

    play(tmp_path, story)


def test_a_boot_finds_the_kernels_own_driver_and_the_pod_loads_doca_ofed_again(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.declare(cluster_policy())
        await nics.play.fault("node-reboots", "gpu-1", seconds="1")
        await nics.play.until("loaded again", lambda: nics.loads("gpu-1") == [OLD_SAYS, "", OLD_SAYS])
        assert nics.running("gpu-1") == OLD_SAYS

    play(tmp_path, story)


def test_the_wait_label_follows_the_pod_and_says_go_where_there_is_none(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        seen: list[str] = []

        def note(_event: str, node: Object) -> None:
            value = labels_of(node).get("network.nvidia.com/operator.mofed.wait")
            if node["metadata"]["name"] == "gpu-1" and seen[-1:] != [value]:
                seen.append(str(value))

        nics.twin.cache.listen(NODE, note)
        await nics.declare(ring("ring-0"))
        await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
        await nics.restart("gpu-1")
        await nics.play.until("loaded", lambda: nics.running("gpu-1") == NEW_SAYS)
        await nics.play.until("go", lambda: nics.waits("gpu-1") == "false")
        assert seen[-2:] == ["true", "false"]
        assert nics.waits("gpu-2") == "false", "no policy brings a driver there, and nobody need wait"
        await nics.play.client.delete(NIC_NODE_POLICY, "ring-0")
        await nics.play.until("no pod is left", lambda: nics.pod("gpu-1") is None and not nics.daemon_sets())
        await nics.play.until("go once it is gone", lambda: nics.waits("gpu-1") == "false")
        assert nics.running("gpu-1") == NEW_SAYS, "the driver stays when its pod goes"

    play(tmp_path, story)


def test_a_taint_that_the_policy_does_not_tolerate_takes_the_rings_daemon_set_with_its_pod(
    tmp_path: Path,
) -> None:
    """The operator finds no node to make a DaemonSet for, and takes the one that is there for stale."""

    async def story(nics: Nics) -> None:
        await nics.declare(ring("ring-0"))
        await nics.play.quiet(0.5)
        taint = {"key": "example.com/foreign", "effect": "NoSchedule"}
        await nics.play.client.patch(NODE, "gpu-1", {"spec": {"taints": [taint]}})
        await nics.play.quiet()
        assert nics.ready("gpu-1"), "a taint alone wakes nobody"
        await nics.relabel("gpu-1")
        await nics.play.until("its DaemonSet is gone", lambda: not nics.daemon_sets())
        await nics.play.until("its pod too", lambda: nics.pod("gpu-1") is None)
        await nics.play.until("notReady", lambda: nics.state(NIC_NODE_POLICY, "ring-0") == "notReady")

    play(tmp_path, story)


def test_two_policies_that_a_relabelled_node_matches_are_both_in_error_and_change_nothing(
    tmp_path: Path,
) -> None:
    async def story(nics: Nics) -> None:
        for name in ("ring-0", "ring-1"):
            await nics.declare(ring(name, nodeSelector={f"example.com/{name}": "yes"}))
        labels = {"example.com/ring-0": "yes", "example.com/ring-1": "yes"}
        await nics.play.client.patch(NODE, "gpu-1", {"metadata": {"labels": labels}})
        for name in ("ring-0", "ring-1"):
            await nics.play.until("error", lambda name=name: nics.state(NIC_NODE_POLICY, name) == "error")  # type: ignore[misc]
        reason = nics.play.get(NIC_NODE_POLICY, "ring-0", "")["status"]["reason"]
        assert 'node "gpu-1" is selected by policies: [ring-0, ring-1]' in reason

    nodes = [
        {"name": n, "role": "gpu", "labels": {f"example.com/{r}": "yes"}, **HARDWARE}
        for r, n in (("ring-0", "gpu-1"), ("ring-1", "gpu-2"))
    ]
    play(tmp_path, story, nodes)


def test_a_policy_of_another_name_is_ignored(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        policy = cluster_policy()
        policy["metadata"]["name"] = "mine"
        await nics.play.client.create(policy)
        await nics.play.until("ignored", lambda: nics.state(NIC_CLUSTER_POLICY, "mine") == "ignore")
        assert not nics.daemon_sets()

    play(tmp_path, story)


REFUSED: dict[str, tuple[Object, int, str]] = {
    "overlapping selectors": (
        ring("again", nodeSelector={"example.com/ring": "ring-0"}),
        403,
        'node "gpu-1"',
    ),
    "everything": (ring("all", nodeSelector={}), 403, "node selector overlap detected"),
    "a section in both kinds": (cluster_policy(), 403, 'NicNodePolicy "ring-0" already defines ofedDriver'),
    "a name above 30 characters": (ring("r" * 31), 422, "metadata.name"),
    "no version": (ring("ring-9", "latest"), 422, "invalid OFED version"),
    "safe load by hand": (
        ring("ring-9", ofedDriver={"upgradePolicy": {"safeLoad": True}}),
        422,
        "safeLoad requires",
    ),
}


def test_the_webhook_refuses_what_would_fight(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.declare(ring("ring-0"))
        for what, (policy, code, words) in REFUSED.items():
            with pytest.raises(ClientError) as refused:
                await nics.play.client.create(policy)
            message = refused.value.body["message"]
            assert (refused.value.code, words in message) == (code, True), f"{what}: {message}"
            assert message.startswith('admission webhook "vnic')
        change: dict[str, Any] = {"spec": {"ofedDriver": {"version": "?"}}}
        with pytest.raises(ClientError, match="invalid OFED version"):
            await nics.play.client.patch(NIC_NODE_POLICY, "ring-0", change)
        await nics.play.client.create(ring("r" * 30, nodeSelector={"example.com/ring": "ring-1"}))

    play(tmp_path, story)


def test_the_device_plugin_offers_its_devices_only_while_nobody_waits(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        def offered() -> str:
            return str(nics.play.get(NODE, "gpu-1", "")["status"]["allocatable"]["rdma/rdma_shared_device_a"])

        seen: set[str] = set()
        nics.twin.cache.listen(NODE, lambda _event, _node: seen.add(offered()))
        plugin = {"image": "k8s-rdma-shared-dev-plugin", "repository": "nvcr.io/nvidia", "version": "v1.5.3"}
        await nics.declare(ring("ring-0", rdmaSharedDevicePlugin=plugin))
        await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
        await nics.restart("gpu-1")
        await nics.play.until("taken back", lambda: offered() == "0")
        await nics.play.until("offered again", lambda: offered() == "63" and nics.ready("gpu-1"))
        assert nics.running("gpu-1") == NEW_SAYS

    play(tmp_path, story)


@needs_definitions
def test_what_the_operator_writes_is_valid_by_published_schemas(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.declare(ring("ring-0"))
        policy = await nics.play.client.get(NIC_NODE_POLICY, "ring-0")
        pod = nics.pod("gpu-1")
        assert pod is not None
        assert node_of(pod) == "gpu-1"
        for obj in (policy, *nics.daemon_sets().values(), pod):
            assert problems(obj) == [], obj["kind"]
        account = await nics.play.client.get(("v1", "ServiceAccount"), "ofed-driver", SPACE)
        assert problems(account) == []

    play(tmp_path, story)
