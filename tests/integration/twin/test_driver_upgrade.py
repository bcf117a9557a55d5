"""autoUpgrade of the GPU driver: a node between two driver pods keeps its place among those at work."""

from __future__ import annotations

from pathlib import Path

from tests.integration.replay import gpu
from tests.integration.twin.behaviour import SPACE, Play, play

from knowngood.twin.behaviours.census import HASH_LABEL
from knowngood.twin.behaviours.driver_upgrade import DriverUpgrades
from knowngood.twin.behaviours.gpu_manifests import OWNER_LABEL
from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DRIVER_COMPONENT,
    NODE,
    NVIDIA_DRIVER,
    labels_of,
    owner_reference,
)
from knowngood.twin.behaviours.upgrade_seats import REQUIRED, RESTART, STATE_LABEL, VALIDATION
from knowngood.twin.values import Object

NODES = [{"name": name, "role": "gpu", **gpu.HARDWARE} for name in ("gpu-1", "gpu-2")]
DRIVER = {COMPONENT_LABEL: DRIVER_COMPONENT}


def pod(daemon_set: Object, node: str, revision: str) -> Object:
    """A driver pod of that revision."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"driver-{node}-{revision}",
            "namespace": SPACE,
            "labels": {**DRIVER, HASH_LABEL: revision},
            "ownerReferences": [owner_reference(daemon_set)],
        },
        "spec": {"nodeName": node, "containers": [{"name": "driver", "image": "example.com/driver:1"}]},
    }


async def driven(stage: Play) -> Object:
    """ring-0 upgrades itself, its DaemonSet wants two pods and its newest template is `new`."""
    await stage.client.create(gpu.policy())
    driver = await stage.client.create(gpu.driver("ring-0", upgradePolicy={"autoUpgrade": True}))
    template = {
        "metadata": {"labels": DRIVER},
        "spec": {"containers": [{"name": "driver", "image": "example.com/driver:2"}]},
    }
    daemon_set = await stage.client.create(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {
                "name": "driver",
                "namespace": SPACE,
                "labels": DRIVER,
                "ownerReferences": [owner_reference(driver)],
            },
            "spec": {"selector": {"matchLabels": DRIVER}, "template": template},
        }
    )
    counts = dict.fromkeys(("currentNumberScheduled", "numberMisscheduled", "numberReady"), 0)
    wanted = {"status": {"desiredNumberScheduled": 2, **counts}}
    await stage.client.patch(DAEMON_SET, "driver", wanted, SPACE, subresource="status")
    await stage.client.create(
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": "driver-new",
                "namespace": SPACE,
                "labels": {**DRIVER, HASH_LABEL: "new"},
                "ownerReferences": [owner_reference(daemon_set)],
            },
            "revision": 1,
        }
    )
    return daemon_set


def test_the_next_node_does_not_begin_while_the_first_has_no_driver_pod(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        def state(node: str) -> str:
            return labels_of(stage.get(NODE, node, "")).get(STATE_LABEL, "")

        daemon_set = await driven(stage)
        for node, begun in (("gpu-1", RESTART), ("gpu-2", REQUIRED)):
            labels = {OWNER_LABEL: "ring-0", STATE_LABEL: begun}
            await stage.client.patch(NODE, node, {"metadata": {"labels": labels}})
        await stage.client.create(pod(daemon_set, "gpu-2", "old"))
        await stage.quiet()
        assert (state("gpu-1"), state("gpu-2")) == (RESTART, REQUIRED)
        await stage.client.create(pod(daemon_set, "gpu-1", "new"))
        await stage.until("gpu-1 goes on", lambda: state("gpu-1") == VALIDATION)
        assert state("gpu-2") == REQUIRED

    kinds = (DAEMON_SET, CONTROLLER_REVISION, NVIDIA_DRIVER)
    play(tmp_path, story, cast=lambda twin: [DriverUpgrades(twin)], scale=1200.0, kinds=kinds, nodes=NODES)
