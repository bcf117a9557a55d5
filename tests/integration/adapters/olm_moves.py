"""Moves of an operator on a namespace with OLM v0: the adapter, called off the twin's own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tests.integration.twin.behaviour import SPACE, Play
from tests.integration.twin.olm_stage import GPU, change, tell
from tests.unit.planner.matrices import cluster

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.adapters.movers.olm_v0 import OlmV0
from knowngood.adapters.movers.olm_v0_acts import OlmV0Acts
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Limits
from knowngood.model.mover import FleetState, Look, MoverSpec, Moving, Starts

T = TypeVar("T")
KEY = "run-1/hop-1/forward"
LIMITS = Limits(operand_age=5.0, apply=15.0)
SPEC = MoverSpec(
    kind="olm-v0",
    starts=Starts.APPROVE,
    fields={"Subscription": {"spec.channel": "v{minor}", "spec.startingCSV": f"{GPU}.v{{version}}"}},
    require={"Subscription": {"spec.installPlanApproval": "Manual"}},
)
"""As the GPU Operator's file has it."""
WIDGETS = replace(
    SPEC, fields={"Subscription": {"spec.channel": "stable", "spec.startingCSV": "widgets.v{version}"}}
)


def moving(before: str, after: str, package: str = GPU) -> Moving:
    at = ObjectRef("operators.coreos.com/v1alpha1", "Subscription", package, SPACE)
    return Moving(package, before, after, SPEC if package == GPU else WIDGETS, at)


class Desk:
    """What the tests call: the class, read and done."""

    def __init__(self, folder: Path) -> None:
        self.kube = Kube(folder / "kubeconfig")
        self.olm = OlmV0(self.kube, cluster())
        self.told: list[str] = []

    @property
    def task(self) -> FleetTask:
        return FleetTask(self.kube, KEY, LIMITS, self.told.append)

    async def start(self, move: Moving) -> str:
        return await asyncio.to_thread(OlmV0Acts().start, self.task, move)

    async def back(self, move: Moving) -> str:
        return await asyncio.to_thread(OlmV0Acts().back, self.task, move)

    async def found(self, move: Moving, *, undo: bool = False) -> str:
        """All findings before a start, or before a way back."""
        found = await asyncio.to_thread(self.olm.ready, move, undo=undo)
        return "; ".join(map(str, found))

    async def state(self, move: Moving) -> FleetState:
        return await asyncio.to_thread(self.olm.state, move)

    async def verdicts(self, move: Moving) -> set[str]:
        """Of what stands in the way of its way back."""
        return {str(f.verdict) for f in await asyncio.to_thread(self.olm.ready, move, undo=True)}

    async def looked(self, move: Moving) -> Look:
        return await asyncio.to_thread(self.olm.look, move)

    async def settled(self, move: Moving) -> Look:
        """Look until it is done or has failed."""
        async with asyncio.timeout(15):
            while True:
                look = await self.looked(move)
                if look.done or look.failed:
                    return look
                await asyncio.sleep(0.02)

    async def left(self, move: Moving) -> list[str]:
        return [left.where for left in await asyncio.to_thread(self.olm.residue, move)]


async def declared(stage: Play, version: str) -> None:
    """What Argo CD brings: channel and startingCSV of a version."""
    minor = ".".join(version.split(".")[:2])
    await change(stage, GPU, channel=f"v{minor}", startingCSV=f"{GPU}.v{version}")


Story = Callable[[Play, Desk], Awaitable[None]]


def on_olm(folder: Path, story: Story, **document: Any) -> None:
    """Tell a story on a namespace with OLM."""

    async def told(stage: Play) -> None:
        await story(stage, Desk(folder))

    tell(folder, told, **document)
