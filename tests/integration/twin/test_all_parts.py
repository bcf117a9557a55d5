"""A twin with every part that a seed can name: they stand beside each other, and an operator's move is felt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.twin.olm_stage import CONTENT, GPU
from tests.integration.twin.setting import OLD, RINGS, SPACE
from tests.integration.twin.stage import Stage, play

from knowngood.twin.behaviours.health_checks import MACHINE_CHECK
from knowngood.twin.behaviours.kube import DEPLOYMENT, name_of
from knowngood.twin.behaviours.mco_nodes import POOL
from knowngood.twin.behaviours.olm_objects import PLAN, SUBSCRIPTION
from knowngood.twin.health_objects import MACHINES

MARKETPLACE = "openshift-marketplace"
SOURCE = {"name": "certified", "namespace": MARKETPLACE, "place": "mirror.example.com/index:v4.18"}
INSTALLED = {
    "package": GPU,
    "namespace": SPACE,
    "channel": "v26.3",
    "csv": f"{GPU}.v26.3.2",
    "source": "certified",
    "sourceNamespace": MARKETPLACE,
}
PARTS: dict[str, Any] = {
    "olm": {"catalogs": {SOURCE["place"]: CONTENT}, "sources": [SOURCE], "installed": [INSTALLED]},
    "machineConfig": {},
    "healthChecks": [{"kind": "MachineHealthCheck", "name": "workers"}],
}


def images(stage: Stage) -> set[str]:
    """The tags of an operand that carries its operator's version."""
    pods = [stage.operand("gpu-feature-discovery", node) for node in RINGS.values()]
    return {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods if pod is not None}


def test_an_operator_that_olm_moves_takes_its_operands_along_and_leaves_the_drivers(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        twin = stage.twin
        assert images(stage) == {"v26.3.2"}
        assert [name_of(d) for d in twin.cache.all(DEPLOYMENT, SPACE)] == [GPU]
        assert {name_of(pool) for pool in twin.cache.all(POOL)} == {"master", "worker"}
        assert twin.cache.get(MACHINE_CHECK, "workers", MACHINES)
        boots = {name: machine.boot_id for name, machine in twin.world.machines.items()}
        plan = next(p for p in twin.cache.all(PLAN, SPACE) if not p["spec"]["approved"])
        assert plan["spec"]["clusterServiceVersionNames"] == [f"{GPU}.v26.3.3"]
        await stage.client.patch(PLAN, name_of(plan), {"spec": {"approved": True}}, SPACE)
        await stage.until("the operands follow", lambda: images(stage) == {"v26.3.3"})
        for node in RINGS.values():
            await stage.at_rest(node, OLD)
        assert {name: machine.boot_id for name, machine in twin.world.machines.items()} == boots
        assert stage.events("module-loaded") == []
        sub = twin.cache.get(SUBSCRIPTION, GPU, SPACE)
        assert sub is not None
        assert sub["status"]["installedCSV"] == f"{GPU}.v26.3.3"

    play(tmp_path, story, **PARTS)
