"""Holds on the twin's API server: its machine-config operator and health checks heed them, and go on once let go."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.twin.behaviour import Play, Story, play
from tests.published import needs_definitions, problems

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.nodes.holding import KubeHolds, standing
from knowngood.matrix.locate import playbooks_dir
from knowngood.model.mover import HOLDS
from knowngood.ports.holds import Term
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.health_checks import MACHINE_CHECK, NODE_CHECK, HealthChecks
from knowngood.twin.behaviours.kube import NODE, Kind, annotations_of, is_true
from knowngood.twin.behaviours.mco import MachineConfigOperator
from knowngood.twin.behaviours.mco_daemon import MachineConfigDaemons
from knowngood.twin.behaviours.mco_nodes import CURRENT, DESIRED, POOL
from knowngood.twin.health_objects import MACHINES

TERM = Term("r1", "ana@laptop", "2099-01-01T00:00:00Z")
ROLE = "node-role.kubernetes.io/canary"
NODES = [
    {"name": "gpu-1", "role": "gpu", "gpus": 8, "labels": {ROLE: ""}},
    *({"name": f"gpu-{i}", "role": "gpu", "gpus": 8} for i in (2, 3, 4)),
]
CHECKS: dict[Kind, str] = {
    MACHINE_CHECK: f"MachineHealthCheck {MACHINES}/workers",
    NODE_CHECK: "NodeHealthCheck workers",
}
CANARY = "MachineConfigPool canary"


def pools(twin: Twin) -> Sequence[Controller]:
    return [MachineConfigOperator(twin), MachineConfigDaemons(twin)]


def all_of_them(twin: Twin) -> Sequence[Controller]:
    return [*pools(twin), HealthChecks(twin)]


def tell(folder: Path, story: Story, *checks: Kind) -> None:
    seed: dict[str, Any] = {"machineConfig": {"pools": [{"name": "canary", "nodeSelector": {ROLE: ""}}]}}
    seed["healthChecks"] = [{"kind": kind[1], "name": "workers"} for kind in checks]
    kinds = [POOL, *checks]
    play(folder, story, all_of_them if checks else pools, scale=2000.0, kinds=kinds, nodes=NODES, **seed)


async def holds(folder: Path) -> KubeHolds:
    return await asyncio.to_thread(lambda: KubeHolds(Kube(folder / "kubeconfig")))


async def silent_and_back(stage: Play, name: str) -> None:
    await stage.fault("mhc-power-cycles", name)
    await stage.until("it is silent", lambda: not is_true(stage.get(NODE, name, ""), "Ready"))
    await stage.until("it is back", lambda: is_true(stage.get(NODE, name, ""), "Ready"))


@pytest.mark.parametrize("kind", CHECKS, ids=lambda kind: str(kind[1]))
def test_a_held_check_does_not_power_cycle_and_one_that_was_let_go_does(kind: Kind, tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        ours = await holds(tmp_path)
        taken = await asyncio.to_thread(ours.take, ["health-checks"], ["gpu-1"], TERM)
        assert taken.held == (CHECKS[kind],)
        await silent_and_back(stage, "gpu-1")
        assert stage.events("power-cycled") == []
        gone = await asyncio.to_thread(ours.let_go, HOLDS, "r1")
        assert gone.done == (CHECKS[kind],)
        await stage.clear()
        await silent_and_back(stage, "gpu-1")
        assert [row["node"] for row in stage.events("power-cycled")] == ["gpu-1"]

    tell(tmp_path, story, kind)


def moved(stage: Play, name: str) -> bool:
    said = annotations_of(stage.get(NODE, name, ""))
    return said[CURRENT] == said[DESIRED] == "rendered-new"


async def render(stage: Play) -> None:
    await stage.client.patch(POOL, "canary", {"spec": {"configuration": {"name": "rendered-new"}}})


def test_a_held_pool_moves_no_node_and_one_that_was_let_go_does(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        ours = await holds(tmp_path)
        taken = await asyncio.to_thread(ours.take, ["machine-config-pool"], ["gpu-1"], TERM)
        assert taken.held == (CANARY,)
        await render(stage)
        await stage.quiet()
        assert annotations_of(stage.get(NODE, "gpu-1", ""))[DESIRED] != "rendered-new"
        found = await asyncio.to_thread(lambda: standing(Kube(tmp_path / "kubeconfig")))
        assert [(left.where, left.run) for left in found] == [(CANARY, "r1")]
        await asyncio.to_thread(ours.let_go, HOLDS, "r1")
        await stage.until("it moves", lambda: moved(stage, "gpu-1"))

    tell(tmp_path, story)


def test_the_sriov_operator_unpauses_a_pool_that_we_paused_and_that_is_answered(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        ours = await holds(tmp_path)
        await stage.fault("sriov-unpauses-pool", "gpu-1")
        taken = await asyncio.to_thread(ours.take, ["machine-config-pool"], ["gpu-1"], TERM)
        await stage.until("it is unpaused", lambda: stage.events("fault-hit"))
        await stage.until("that is seen", lambda: not stage.get(POOL, "canary", "")["spec"]["paused"])
        found = await asyncio.to_thread(ours.keep, taken.held, TERM)
        assert found == {CANARY: "somebody had it go on: held again"}
        assert (await stage.client.get(POOL, "canary"))["spec"]["paused"] is True
        assert await asyncio.to_thread(ours.keep, taken.held, TERM) == {}

    tell(tmp_path, story)


def by_hand(folder: Path, playbook: str) -> str:
    """A playbook as a person runs it; what it printed."""
    given = {"knowngood_nodes": ["gpu-1"], "knowngood_fence": "alice/0"}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(playbooks_dir() / playbook)]
    environment = {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8"}
    environment |= {"KUBECONFIG": str(folder / "kubeconfig"), "USER": "alice"}
    command += ["-e", json.dumps({**given, "ansible_python_interpreter": sys.executable})]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_by_hand_the_roles_hold_and_let_go(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        assert "changed=1" in await asyncio.to_thread(by_hand, tmp_path, "hold-others.yml")
        found = await asyncio.to_thread(lambda: standing(Kube(tmp_path / "kubeconfig")))
        assert [(left.where, left.run) for left in found] == [(CANARY, "alice")]
        assert "of run alice (alice)" in found[0].detail
        assert "changed=1" in await asyncio.to_thread(by_hand, tmp_path, "let-go.yml")
        assert not (await stage.client.get(POOL, "canary"))["spec"]["paused"]

    tell(tmp_path, story)


@needs_definitions
def test_what_is_held_is_valid_by_its_own_definition(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        ours = await holds(tmp_path)
        taken = await asyncio.to_thread(ours.take, HOLDS, ["gpu-1"], TERM)
        assert set(taken.held) == {CANARY, *CHECKS.values()}
        pool = await stage.client.get(POOL, "canary")
        machine_check = await stage.client.get(MACHINE_CHECK, "workers", MACHINES)
        node_check = await stage.client.get(NODE_CHECK, "workers")
        assert [problems(one) for one in (pool, machine_check, node_check) if problems(one)] == []

    tell(tmp_path, story, *CHECKS)
