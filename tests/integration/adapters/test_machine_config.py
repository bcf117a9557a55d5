"""The class machine-config on the twin: one pool's node is booted into the release's kernel while we hold it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.adapters.node_moves import FENCE, LIMITS, NODE, TAINTS, Mover, operands, tolerates
from tests.integration.twin.setting import OLD, RINGS, tolerations
from tests.integration.twin.stage import Stage, raised
from tests.movers import EVERY

from knowngood.adapters.cluster import held
from knowngood.adapters.movers import node_work
from knowngood.adapters.nodes.batch import Report, Task
from knowngood.adapters.nodes.holding import KubeHolds
from knowngood.model.mover import Hold, Mark, MoverSpec, Moving
from knowngood.model.names import MAINTENANCE_TAINT
from knowngood.ports.holds import Term
from knowngood.twin.behaviours.cvo import NAME
from knowngood.twin.behaviours.cvo_payloads import CLUSTER_VERSION
from knowngood.twin.behaviours.mco_nodes import POOL

pytestmark = pytest.mark.slow


FIRST, MINOR = "4.18.52", "4.19.20"
KERNEL, NEW_KERNEL = "5.14.0-427.92.1.el9_4.x86_64", "5.14.0-570.12.1.el9_6.x86_64"
DECLARED = "5.14.0-570.el9_6"
SPEC = MoverSpec(kind="machine-config", hold=Hold.TAINT, users=("gpu", "rdma"), scheme="kernel")
SPECS = {"rhcos-kernel": SPEC, "nvidia-driver": EVERY["nvidia-driver"]}
RUN = FENCE.rpartition("/")[0]
POOLS = [{"name": ring, "nodeSelector": {"example.com/ring": ring}} for ring in RINGS]
PAYLOADS = [
    {"version": FIRST, "image": f"mirror.example.com/ocp@{FIRST}"},
    {"version": MINOR, "image": f"mirror.example.com/ocp@{MINOR}", "kernel": NEW_KERNEL},
]
SEED: dict[str, Any] = {
    "openshift": FIRST,
    "machineConfig": {"pools": POOLS},
    "clusterVersion": {"payloads": PAYLOADS, "operators": ["etcd", "machine-config"]},
}


class Booting(Mover):
    """A node in a pool that the run holds, under a control plane that is at the new release already."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        super().__init__(stage, folder)
        self.specs = SPECS
        self.holds = KubeHolds(self._kube)
        self.limits = replace(LIMITS, node_unreachable=12.0)

    async def control_plane(self) -> None:
        """As the fleet part leaves it: pools paused by the run, the control plane moved."""
        term = Term(RUN, "me@here", "2099-01-01T00:00:00+00:00")
        nodes = list(RINGS.values())
        taken = await asyncio.to_thread(self.holds.take, ["machine-config-pool"], nodes, term)
        assert len(taken.held) == len(RINGS), taken
        wanted = {"version": MINOR, "image": f"mirror.example.com/ocp@{MINOR}"}
        await self.stage.client.patch(CLUSTER_VERSION, NAME, {"spec": {"desiredUpdate": wanted}})
        await self.stage.until("its control plane is done", lambda: self.newest() == ("Completed", MINOR))

    def newest(self) -> tuple[str, str]:
        version = self.stage.twin.cache.get(CLUSTER_VERSION, NAME)
        assert version is not None
        first = version["status"]["history"][0]
        return first["state"], first["version"]

    def pool(self, ring: str) -> dict[str, Any]:
        found = self.stage.twin.cache.get(POOL, ring)
        assert found is not None
        return found

    def kernel(self, node: str) -> str:
        return str(self.stage.node(node)["status"]["nodeInfo"]["kernelVersion"])

    async def boot(self, *more: Moving) -> Report:
        moves = (Moving("rhcos-kernel", "5.14.0-427.el9_4", DECLARED, SPEC), *more)
        return await self._each(replace_moves(self.task(), moves), node_work._apply)


def replace_moves(task: Task, moves: tuple[Moving, ...]) -> Task:
    return replace(task, moves=moves)


def tell(folder: Path, story: Callable[[Booting], Awaitable[None]]) -> None:
    async def run() -> None:
        async with raised(folder, change=SEED) as stage:
            for file in stage.repository.folder.glob("*.yaml"):
                obj = yaml.safe_load(file.read_text(encoding="utf-8"))
                at = obj["spec"]["daemonsets"] if obj["kind"] == "ClusterPolicy" else obj["spec"]
                at["tolerations"] = tolerations("nvidia.com/gpu", *TAINTS)
                file.write_text(yaml.safe_dump(obj), encoding="utf-8")
            await stage.sync(stage.repository.push("they tolerate our taints"))
            await stage.until("they tolerate our taints", lambda: all(map(tolerates, operands(stage))))
            await stage.at_rest(NODE, OLD)
            desk = Booting(stage, folder)
            await desk.control_plane()
            await story(desk)

    asyncio.run(run())


def test_one_ring_boots_into_the_new_kernel_and_its_driver_settles_on_the_same_drain(tmp_path: Path) -> None:
    async def story(desk: Booting) -> None:
        stage = desk.stage
        await stage.fault("boot-takes-15-minutes", NODE)
        await stage.fault("mco-uncordons-quarantine", NODE)
        await desk.claim()
        driver = Moving("nvidia-driver", OLD, OLD, SPECS["nvidia-driver"])
        report = await desk.boot(driver)
        assert report.done == [NODE], report.failed
        marks = {name: Mark(**mark) for name, mark in report.seen[NODE]["marks"].items()}
        boot = stage.twin.world.machines[NODE].boot_id
        assert (marks["rhcos-kernel"].version, marks["rhcos-kernel"].boot_id) == (NEW_KERNEL, boot)
        assert (marks["nvidia-driver"].version, marks["nvidia-driver"].boot_id) == (OLD, boot)
        node = stage.node(NODE)
        assert node["spec"]["unschedulable"], "the operator's uncordon is not the end of our hold"
        assert MAINTENANCE_TAINT in {t["key"] for t in node["spec"]["taints"]}
        assert [len(stage.events("booted", n)) for n in (NODE, RINGS["ring-1"])] == [1, 0], (
            "one boot, one ring"
        )
        assert desk.kernel(RINGS["ring-1"]) == KERNEL
        assert held.POOL.stands(desk.pool("ring-0")), "let go for its ring, and still the run's"
        assert not await asyncio.to_thread(desk.holds.keep, ["MachineConfigPool ring-0"], term()), (
            "not lifted"
        )
        await asyncio.to_thread(desk.holds.let_go, ["machine-config-pool"], RUN)
        await stage.until(
            "all is let go", lambda: "knowngood" not in str(desk.pool("ring-0")["metadata"]["annotations"])
        )

    tell(tmp_path, story)


def term() -> Term:
    return Term(RUN, "me@here", "2099-01-01T00:00:00+00:00")


def test_a_node_that_has_the_config_is_not_booted_again(tmp_path: Path) -> None:
    async def story(desk: Booting) -> None:
        await desk.claim()
        first = await desk.boot()
        again = await desk.boot()
        assert (first.detail[NODE]["restarted"], again.detail[NODE]["restarted"]) == (True, False)
        assert len(desk.stage.events("booted", NODE)) == 1

    tell(tmp_path, story)


def test_a_node_that_does_not_come_back_fails_by_name_and_the_other_ring_stays(tmp_path: Path) -> None:
    async def story(desk: Booting) -> None:
        await desk.stage.fault("kubelet-stays-away", NODE)
        await desk.claim()
        desk.limits = replace(LIMITS, node_unreachable=3.0, operand_age=3.0)
        report = await desk.boot()
        assert "the node is not Ready" in report.failed[NODE]
        assert report.could_not == [], "it was seen that it did not come"
        assert desk.kernel(RINGS["ring-1"]) == KERNEL
        assert desk.pool("ring-1")["spec"]["paused"]

    tell(tmp_path, story)


def test_a_pool_that_somebody_else_paused_is_not_unpaused(tmp_path: Path) -> None:
    async def story(desk: Booting) -> None:
        await desk.stage.client.patch(
            POOL, "ring-0", {"metadata": {"annotations": {"knowngood.dev/hold": None}}}
        )
        await desk.claim()
        report = await desk.boot()
        assert "paused by somebody else" in report.failed[NODE]
        assert report.could_not == [NODE]
        assert desk.pool("ring-0")["spec"]["paused"]

    tell(tmp_path, story)
