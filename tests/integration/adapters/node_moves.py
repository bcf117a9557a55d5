"""A node of a small twin that is moved by the adapters: claimed, emptied, what Git declares changed, applied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from tests.integration.twin.nic_stage import OLD as OLD_NIC
from tests.integration.twin.nic_stage import ring as nic_ring
from tests.integration.twin.setting import OLD, tolerations
from tests.integration.twin.stage import RUNNING, Stage, raised
from tests.movers import EVERY

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers import node_work
from knowngood.adapters.nodes import batch, drain, preflight
from knowngood.adapters.nodes.batch import Action, Report, Task
from knowngood.model.matrix import Limits
from knowngood.model.mover import Mark, Moving
from knowngood.model.names import MAINTENANCE_TAINT, QUARANTINE_TAINT
from knowngood.twin.behaviours.kube import NIC_NODE_POLICY, is_true, node_of
from knowngood.twin.behaviours.nic_manifests import OFED_LABEL
from knowngood.twin.values import Object

NODE, RING = "gpu-1", "ring-0"
NIC_SPACE = "nvidia-network-operator"
FENCE = "r20261129-070000-00aa/1"
LIMITS = Limits(claim=10.0, apply=60.0, operand_age=12.0, node_unreachable=12.0)
TAINTS = (MAINTENANCE_TAINT, QUARANTINE_TAINT)


class Mover:
    """What a story does with the node."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self._kube = Kube(folder / "kubeconfig")
        self.told: list[str] = []
        self.limits = LIMITS
        self.specs = {name: spec for name, spec in EVERY.items() if not spec.guards}

    def task(self, moves: tuple[Moving, ...] = ()) -> Task:
        return Task(
            kube=self._kube,
            fence=FENCE,
            limits=self.limits,
            namespaces={"network-operator": NIC_SPACE},
            specs=self.specs,
            moves=moves,
            tell=lambda _node, text: self.told.append(text),
        )

    async def claim(self) -> dict[str, Any]:
        """Claim and empty it; returns what was measured for its snapshot."""
        report = await self.claimed()
        assert report.done == [NODE], report.failed
        await self.stage.empty(NODE)
        return dict(report.seen[NODE])

    async def claimed(self) -> Report:
        """As the playbook claims it."""
        return await asyncio.to_thread(preflight.claim, self.task(), [NODE])

    async def drained(self, seconds: float) -> Report:
        """As the playbook drains it, within so many seconds."""
        self.limits = replace(self.limits, drain=seconds)
        report = await self._each(self.task(), drain.drain)
        self.limits = LIMITS
        return report

    async def apply(self, **versions: str) -> tuple[dict[str, Mark], dict[str, Any]]:
        """Bring these versions there (underscores for dashes); what came, and the figures."""
        report = await self.tried(**versions)
        assert report.done == [NODE], report.failed
        marks = {name: Mark(**mark) for name, mark in report.seen[NODE]["marks"].items()}
        return marks, report.detail[NODE]

    async def fails(self, **versions: str) -> str:
        """They do not come: why, once it stands still for some seconds."""
        self.limits = replace(LIMITS, operand_age=4.0)
        report = await self.tried(**versions)
        self.limits = LIMITS
        assert report.could_not == [], report
        return report.failed[NODE]

    async def tried(self, **versions: str) -> Report:
        return await self.again(None, **versions)

    async def again(self, since: Mark | None, **versions: str) -> Report:
        """Bring them there from a newer load than this one."""
        named = {name.replace("_", "-"): version for name, version in versions.items()}
        moves = tuple(Moving(name, "", version, EVERY[name]) for name, version in named.items())
        task = replace(self.task(moves), since={NODE: since} if since else {})
        return await self._each(task, node_work._apply)

    async def _each(self, task: Task, action: Action) -> Report:
        return await asyncio.to_thread(batch.each, task, [NODE], action)

    async def declare(self, **spec: Any) -> None:
        """Fields of the ring's NVIDIADriver, by Git, until the live object has them."""
        file = self.stage.repository.folder / f"nvidiadriver-{RING}.yaml"
        driver = yaml.safe_load(file.read_text(encoding="utf-8"))
        driver["spec"] |= spec
        file.write_text(yaml.safe_dump(driver), encoding="utf-8")
        await self.stage.sync(self.stage.repository.push(f"{RING}: {', '.join(spec)}"))

    async def declare_nic(self, version: str, **section: Any) -> None:
        """The ring's NIC driver."""
        await self.stage.client.patch(
            NIC_NODE_POLICY, RING, {"spec": {"ofedDriver": {"version": version, **section}}}
        )

    def nic_pod(self) -> Object | None:
        """The node's DOCA pod."""
        pods = self.stage.pods(NIC_SPACE)
        return next((p for p in pods if node_of(p) == NODE and OFED_LABEL in p["metadata"]["labels"]), None)

    def loads(self, module: str) -> list[str]:
        """The versions of a module that were loaded since the cluster had settled."""
        return [e["version"] for e in self.stage.events("module-loaded", NODE) if e["module"] == module]

    async def with_nic_driver(self, **section: Any) -> None:
        """Its NIC driver comes from a pod, as the ring's NicNodePolicy says."""
        self.specs = EVERY
        await self.stage.client.create(
            nic_ring(RING, OLD_NIC, tolerations=tolerations(*TAINTS), ofedDriver=section)
        )
        await self.stage.until("the DOCA pod is ready", lambda: is_true(self.nic_pod() or {}, "Ready"))


def operands(stage: Stage) -> list[Object]:
    """What runs on the node beside its drivers."""
    found = [stage.operand(name, NODE) for name in RUNNING]
    return [pod or {} for pod in found]


def tolerates(pod: Object) -> bool:
    """Whether a pod may run on a node that is claimed."""
    return any(t.get("key") == MAINTENANCE_TAINT for t in pod.get("spec", {}).get("tolerations", ()))


def play(folder: Path, story: Callable[[Mover], Awaitable[None]]) -> None:
    """Raise a twin whose operands tolerate our taints, and tell the story on it."""

    async def run() -> None:
        async with raised(folder) as stage:
            for file in stage.repository.folder.glob("*.yaml"):
                obj = yaml.safe_load(file.read_text(encoding="utf-8"))
                at = obj["spec"]["daemonsets"] if obj["kind"] == "ClusterPolicy" else obj["spec"]
                at["tolerations"] = tolerations("nvidia.com/gpu", *TAINTS)
                file.write_text(yaml.safe_dump(obj), encoding="utf-8")
            await stage.sync(stage.repository.push("they tolerate our taints"))
            # Their pods are made anew for it, and no GPU is offered meanwhile: what is claimed then had none.
            await stage.until("they tolerate our taints", lambda: all(map(tolerates, operands(stage))))
            await stage.at_rest(NODE, OLD)
            await story(Mover(stage, folder))

    asyncio.run(run())
