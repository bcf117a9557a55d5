"""Each component that an operator makes of a field, by its own file: done, restored, and three incidents on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.twin.behaviour import Play, play
from tests.movers import EVERY
from tests.unit.planner.matrices import cluster

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.adapters.movers.operand import Operands
from knowngood.adapters.movers.operand_acts import OperandActs
from knowngood.matrix.build import DEFAULT_NAMESPACES
from knowngood.model.field import ObjectRef
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.planner.moving import shown
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.daemonsets import DaemonSets
from knowngood.twin.behaviours.kube import CLUSTER_POLICY, NIC_CLUSTER_POLICY, NIC_NODE_POLICY, Kind
from knowngood.twin.behaviours.scheduler import Scheduler
from knowngood.twin.behaviours.section_operands import STORAGE_MODULE, SectionOperands
from knowngood.twin.behaviours.workloads import Deployments, ReplicaSets
from knowngood.twin.crds import CLUSTER_POLICY_PARTS
from knowngood.twin.values import Object

NETWORK = "nvidia-network-operator"
WHERE: dict[str, tuple[Kind, str, str, str, str]] = {
    "dcgm-exporter": (CLUSTER_POLICY, "policy", "", "4.5.3-4.8.2", "4.6.0-4.8.3"),
    "nic-configuration-operator": (NIC_CLUSTER_POLICY, "nic-policy", "", "1.3.0", "1.3.1"),
    "powerscale-csi": (STORAGE_MODULE, "isilon", "isilon", "2.15.1", "2.16.0"),
}
"""What declares it, by kind, name and namespace; a version and one after it."""
NODES = [{"name": "cpu-1", "role": "cpu"}, {"name": "cpu-2", "role": "cpu"}]


class All(SectionOperands):
    """Of all its kinds: here no GPU Operator is at work."""

    watches = (CLUSTER_POLICY, NIC_CLUSTER_POLICY, STORAGE_MODULE)


def nested(texts: dict[str, str]) -> Object:
    """Dotted paths as an object."""
    found: Object = {}
    for path, text in texts.items():
        *parents, last = path.split(".")
        place: Any = found
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = text
    return found


class Desk:
    """One of them: what Git would do to its object, and what the class says of it."""

    def __init__(self, stage: Play, component: str, folder: Path) -> None:
        self.stage = stage
        self.kind, self.name, self.space, self.old, self.new = WHERE[component]
        self.spec = EVERY[component]
        self.kube = Kube(folder / "kubeconfig")
        self.of = Operands(self.kube, replace(cluster(), namespaces=DEFAULT_NAMESPACES))
        at = ObjectRef(*self.kind, self.name, self.space)
        self.forth = Moving(component, self.old, self.new, self.spec, at)
        self.back = Moving(component, self.new, self.old, self.spec, at)

    def body(self, version: str) -> Object:
        return nested(shown(self.spec, self.kind[1], version))

    async def made(self) -> None:
        """Its object, at the old version and whole."""
        metadata = {"name": self.name, **({"namespace": self.space} if self.space else {})}
        one = {
            "apiVersion": self.kind[0],
            "kind": self.kind[1],
            "metadata": metadata,
            **self.body(self.old),
        }
        if self.kind == CLUSTER_POLICY:
            one["spec"] = {**{part: {} for part in CLUSTER_POLICY_PARTS}, **one["spec"]}
        await self.stage.client.create(one)
        assert (await self.until(self.back, "workloads run")).done

    async def declared(self, version: str) -> None:
        """What a commit brings."""
        await self.stage.client.patch(self.kind, self.name, self.body(version), self.space or None)

    async def until(self, moving: Moving, words: str) -> Look:
        """The first look that says so."""
        look = Look()
        try:
            async with asyncio.timeout(15):
                while True:
                    look = await asyncio.to_thread(self.of.look, moving)
                    if words in (look.done or look.waiting):
                        return look
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"never said: {words}; but: {look}") from None

    async def why_not(self, moving: Moving, *, undo: bool = False) -> str:
        found = await asyncio.to_thread(self.of.ready, moving, undo=undo)
        return "; ".join(map(str, found))

    async def state(self) -> FleetState:
        return await asyncio.to_thread(self.of.state, self.forth)


def cast(twin: Twin) -> Sequence[Controller]:
    return [Scheduler(twin), DaemonSets(twin), Deployments(twin), ReplicaSets(twin), All(twin)]


def test_each_that_ships_is_here() -> None:
    assert WHERE.keys() == {name for name, spec in EVERY.items() if spec.kind == "operand"}


@pytest.mark.parametrize("component", WHERE)
def test_an_operand_is_done_and_restored_and_no_incident_is_taken_for_an_arrival(
    component: str, tmp_path: Path
) -> None:
    async def story(stage: Play) -> None:
        desk = Desk(stage, component, tmp_path)
        await desk.made()
        assert await desk.why_not(desk.forth) == await desk.why_not(desk.back, undo=True) == ""
        assert f"does not run whole: {desk.kind[1]} {desk.name}" in await desk.why_not(desk.back)

        await stage.fault("operand-not-followed", version=desk.new)
        await stage.fault("operand-image-is-missing", version=desk.new)
        await desk.declared(desk.new)
        assert (
            f":{'' if component == 'dcgm-exporter' else 'v'}{desk.old}"
            in (await desk.until(desk.forth, " has ")).waiting
        )
        assert (await desk.state()).running == ""
        await stage.client.delete(("v1", "ConfigMap"), "operand-not-followed", "twin-system")
        assert desk.new in (await desk.until(desk.forth, "ImagePullBackOff")).waiting
        await stage.fault("operand-crashes", version=desk.new)
        await stage.client.delete(("v1", "ConfigMap"), "operand-image-is-missing", "twin-system")
        assert not (await desk.until(desk.forth, "CrashLoopBackOff")).done
        await stage.clear()
        task = FleetTask(desk.kube, "me/0", namespaces=DEFAULT_NAMESPACES)
        assert f"run {desk.new}" in await asyncio.to_thread(OperandActs().start, task, desk.forth)
        assert await desk.state() == FleetState(desk.new, desk.new)

        await desk.declared(desk.old)
        assert (await desk.until(desk.back, f"run {desk.old}")).done
        assert await desk.state() == FleetState(desk.old, desk.old)

    async def prepared(stage: Play) -> None:
        for space in (NETWORK, "isilon"):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
            await stage.twin.api.ensure(namespace)
        await story(stage)

    play(
        tmp_path,
        prepared,
        cast,
        scale=3000.0,
        kinds=[NIC_CLUSTER_POLICY, NIC_NODE_POLICY],
        runs=True,
        nodes=NODES,
        networkOperator={"version": "26.4.1", "namespace": NETWORK},
    )
