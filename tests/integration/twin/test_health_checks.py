"""Health checks power-cycle a node that is not ready for too long, unless they are paused or many are ill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.integration.twin.behaviour import Play, Story, play
from tests.published import needs_definitions, problems

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.health_checks import (
    MACHINE,
    MACHINE_CHECK,
    NODE_CHECK,
    PAUSED,
    HealthChecks,
    seconds,
)
from knowngood.twin.behaviours.kube import NODE, Kind, is_true
from knowngood.twin.health_objects import MACHINES
from knowngood.twin.values import Object

NODES = [{"name": f"gpu-{i}", "role": "gpu", "gpus": 8} for i in range(1, 5)]
BOTH: tuple[Kind, ...] = (MACHINE_CHECK, NODE_CHECK)
PAUSES: dict[Kind, Object] = {
    MACHINE_CHECK: {"metadata": {"annotations": {PAUSED: ""}}},
    NODE_CHECK: {"spec": {"pauseRequests": ["knowngood works on gpu-1"]}},
}


def cast(twin: Twin) -> Sequence[Controller]:
    return [HealthChecks(twin)]


def tell(folder: Path, story: Story, kind: Kind, **check: str) -> None:
    checks = [{"kind": kind[1], "name": "workers", **check}]
    play(folder, story, cast, scale=2000.0, kinds=BOTH, nodes=NODES, healthChecks=checks)


def place(kind: Kind) -> str:
    return MACHINES if kind == MACHINE_CHECK else ""


def boots(stage: Play) -> dict[str, str]:
    return {name: machine.boot_id for name, machine in stage.twin.world.machines.items()}


def ready(stage: Play, name: str) -> bool:
    return is_true(stage.get(NODE, name, ""), "Ready")


async def ill_and_well_again(stage: Play, name: str) -> None:
    """The node falls silent, and somehow comes back."""
    await stage.fault("mhc-power-cycles", name)
    await stage.until("it is silent", lambda: not ready(stage, name))
    await stage.until("it is back", lambda: ready(stage, name))


@pytest.mark.parametrize("kind", BOTH, ids=lambda kind: str(kind[1]))
def test_a_node_that_is_silent_for_too_long_is_power_cycled_once(kind: Kind, tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        before = boots(stage)
        await ill_and_well_again(stage, "gpu-1")
        await stage.quiet()
        assert [name for name, boot in boots(stage).items() if before[name] != boot] == ["gpu-1"]
        assert [(row["node"], row["by"]) for row in stage.events("power-cycled")] == [
            ("gpu-1", f"{kind[1]} workers")
        ]
        assert [row["fault"] for row in stage.events("fault-hit")] == ["mhc-power-cycles"]

    tell(tmp_path, story, kind)


@pytest.mark.parametrize("kind", BOTH, ids=lambda kind: str(kind[1]))
def test_a_paused_check_leaves_the_node_alone(kind: Kind, tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        before = boots(stage)
        await stage.client.patch(kind, "workers", PAUSES[kind], place(kind) or None)
        await ill_and_well_again(stage, "gpu-1")
        assert boots(stage) == before
        assert stage.events("fault-hit") == []

    tell(tmp_path, story, kind)


def test_a_check_waits_for_its_time_out(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        before = boots(stage)
        await ill_and_well_again(stage, "gpu-1")
        assert boots(stage) == before

    tell(tmp_path, story, MACHINE_CHECK, timeout="30m")


def test_a_check_holds_still_where_more_are_ill_than_it_allows(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        before = boots(stage)
        await ill_and_well_again(stage, "gpu-1")
        assert boots(stage) == before

    tell(tmp_path, story, MACHINE_CHECK, maxUnhealthy="20%")


@needs_definitions
@pytest.mark.parametrize("kind", BOTH, ids=lambda kind: str(kind[1]))
def test_the_checks_are_valid_by_their_own_definitions(kind: Kind, tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        total = "expectedMachines" if kind == MACHINE_CHECK else "observedNodes"
        check = stage.get(kind, "workers", place(kind))
        await stage.until("it counts", lambda: stage.get(kind, "workers", place(kind)).get("status"))
        check = stage.get(kind, "workers", place(kind))
        assert check["status"][total] == 4
        machines = stage.twin.cache.all(MACHINE)
        assert [problems(one) for one in (check, *machines) if problems(one)] == []

    tell(tmp_path, story, kind)


@pytest.mark.parametrize(
    ("text", "long"), [("300s", 300), ("5m", 300), ("1h30m", 5400), ("0", 0), ("500ms", 0.5)]
)
def test_durations_are_gos(text: str, long: float) -> None:
    assert seconds(text) == long
