"""The class cluster-version on the twin: what it reads on the way, and what it refuses before a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.twin.behaviour import Play
from tests.integration.twin.behaviour import play as on_twin
from tests.integration.twin.test_cvo import GATE, NODES, OPERATORS, ROLE, cast, pause
from tests.unit.planner.matrices import cluster

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers.cluster_version import ClusterVersion
from knowngood.adapters.movers.cluster_version_acts import ClusterVersionActs
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.model.errors import Refused
from knowngood.model.field import ObjectRef
from knowngood.model.finding import Finding
from knowngood.model.matrix import Cluster, Declaration, Ring
from knowngood.model.mover import FleetState, Look, MoverSpec, Moving, Starts
from knowngood.model.names import BACKUP_ANNOTATION
from knowngood.model.verdict import Verdict
from knowngood.twin.behaviours.cvo import NAME
from knowngood.twin.behaviours.cvo_payloads import CLUSTER_OPERATOR, CLUSTER_VERSION
from knowngood.twin.behaviours.kube import NODE
from knowngood.twin.behaviours.mco_nodes import POOL

FIRST, NEXT, MINOR, UNSIGNED = "4.18.52", "4.18.60", "4.19.20", "4.18.61"
IMAGES = {
    v: f"mirror.example.com/ocp@sha256:{v.replace('.', '') * 13:0<64.64}"
    for v in (FIRST, NEXT, MINOR, UNSIGNED)
}
AT = ObjectRef("config.openshift.io/v1", "ClusterVersion", NAME)
SPEC = MoverSpec(
    kind="cluster-version",
    starts=Starts.DECLARE,
    fields={
        "ClusterVersion": {
            "spec.desiredUpdate.version": "{version}",
            "spec.desiredUpdate.image": "{image}",
        }
    },
)
Story = Callable[[Play, "Desk"], Awaitable[None]]


def here() -> Cluster:
    """Two rings, a pool each; the images that its mirror has."""
    found = cluster()
    toolkits = {v: f"mirror.example.com/dtk@sha256:{v}" for v in (FIRST, NEXT, MINOR)}
    declared = Declaration(
        "openshift", "ocp/version.yaml", "spec.desiredUpdate.version", AT, IMAGES, toolkits
    )
    rings = (Ring("ring-0", ("gpu-1",), 1), Ring("ring-1", ("gpu-2",), 1))
    traits = {**found.traits, "disconnected": "true"}
    return replace(found, declarations=(declared,), rings=rings, traits=traits)


def moving(after: str, before: str = FIRST) -> Moving:
    return Moving("openshift", before, after, SPEC, AT)


class Desk:
    """What the tests call, off the twin's own thread."""

    def __init__(self, stage: Play, folder: Path) -> None:
        self._stage, self._folder = stage, folder
        self.of = ClusterVersion(Kube(folder / "kubeconfig"), here())

    def with_ring(self, ring: Ring) -> ClusterVersion:
        """As a cluster file with this ring alone would have it."""
        return ClusterVersion(Kube(self._folder / "kubeconfig"), replace(here(), rings=(ring,)))

    async def ready(self, after: str, *, undo: bool = False) -> list[Finding]:
        move = moving(FIRST, after) if undo else moving(after)
        return list(await asyncio.to_thread(self.of.ready, move, undo=undo))

    async def why_not(self, after: str) -> str:
        return "; ".join(map(str, await self.ready(after)))

    async def look(self, after: str) -> Look:
        return await asyncio.to_thread(self.of.look, moving(after))

    async def state(self, after: str = NEXT) -> FleetState:
        return await asyncio.to_thread(self.of.state, moving(after))

    async def until(self, after: str, *words: str) -> Look:
        """Look until it says so."""
        async with asyncio.timeout(20):
            while True:
                found = await self.look(after)
                if all(word in (found.done or found.waiting or found.failed) for word in words):
                    return found
                await asyncio.sleep(0.01)

    async def declare(self, version: str, **more: Any) -> None:
        wanted = {"version": version, "image": IMAGES[version], **more}
        await self._stage.client.patch(CLUSTER_VERSION, NAME, {"spec": {"desiredUpdate": wanted}})

    async def backed_up(self, ago: timedelta = timedelta(hours=1)) -> None:
        at = (datetime.now(UTC) - ago).isoformat(timespec="seconds")
        annotations = {BACKUP_ANNOTATION: at}
        await self._stage.client.patch(CLUSTER_VERSION, NAME, {"metadata": {"annotations": annotations}})


def counted(stage: Play, pool: str) -> int:
    """How many nodes a pool says that it has."""
    found = stage.twin.cache.get(POOL, pool)
    return int(found["status"]["machineCount"]) if found else 0


def tell(folder: Path, story: Story, **more: Any) -> None:
    async def told(stage: Play) -> None:
        desk = Desk(stage, folder)
        await desk.backed_up()
        await story(stage, desk)

    payloads = [{"version": v, "image": i, "signed": v != UNSIGNED} for v, i in IMAGES.items()]
    seed = {"payloads": payloads, "operators": OPERATORS, **more}
    pools = {"pools": [{"name": "canary", "nodeSelector": {ROLE: ""}}]}
    kinds = [POOL, CLUSTER_VERSION]
    on_twin(folder, told, cast, 6000.0, kinds, nodes=NODES, machineConfig=pools, clusterVersion=seed)


def test_a_release_is_followed_to_its_end_and_paused_pools_are_left_behind(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        assert await desk.ready(NEXT) == []
        assert await desk.state() == FleetState(FIRST, FIRST)
        for pool in ("worker", "canary"):
            await pause(stage, pool, paused=True)
        await desk.declare(NEXT)
        look = await desk.until(NEXT, "Working towards", "waiting on")
        assert look.stands > 3600, "one operator may take three boots"
        on_its_way = await desk.state()
        assert (on_its_way.running, on_its_way.busy) == ("", f"{NEXT} is Partial")
        by_hand = FleetTask(Kube(tmp_path / "kubeconfig"), "me/0")
        assert (
            await asyncio.to_thread(ClusterVersionActs().start, by_hand, moving(NEXT))
            == f"{NEXT} is complete"
        )
        assert await desk.state() == FleetState(NEXT, NEXT)
        with pytest.raises(Refused, match="can't be undone"):
            ClusterVersionActs().back(by_hand, moving(FIRST, NEXT))

    tell(tmp_path, story)


def test_a_pool_that_nobody_paused_is_waited_for(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await pause(stage, "worker", paused=True)
        await stage.fault("kubelet-stays-away", "gpu-1", seconds="12000")
        await stage.fault("boot-takes-15-minutes", "cp-1", seconds="1500")
        await desk.declare(NEXT)
        assert "pool canary has 0 of 1 nodes" in (await desk.until(NEXT, "pool canary")).waiting
        assert (await desk.until(NEXT, "is complete")).done

    tell(tmp_path, story)


def test_a_degraded_operator_is_named_and_is_not_given_hours(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await stage.fault("operator-degrades-halfway")
        await desk.declare(NEXT)
        look = await desk.until(NEXT, "network is degraded")
        assert (look.stands, look.done, look.failed) == (0.0, "", "")
        assert "ClusterOperator network: it is Degraded" in await desk.why_not(NEXT)

    tell(tmp_path, story)


def test_what_the_operator_does_not_take_is_said_in_its_words_and_left_as_a_wish(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        assert "no ConfigMap in openshift-config-managed has a signature" in await desk.why_not(UNSIGNED)
        assert f"no driver-toolkit image of {UNSIGNED} is named" in await desk.why_not(UNSIGNED)
        await desk.declare(UNSIGNED)
        look = await desk.until(UNSIGNED, "is not taken (RetrievePayload)")
        assert "cannot be verified" in look.waiting
        assert (await desk.state()).pending == (f"version {UNSIGNED}",)
        left = await asyncio.to_thread(desk.of.residue, moving(UNSIGNED))
        assert [one.detail for one in left] == [f"version {UNSIGNED} waits"]

    tell(tmp_path, story)


def test_a_minor_needs_its_acknowledgement_and_a_patch_does_not(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await stage.until(
            "it says so", lambda: "an API goes" in str(stage.get(CLUSTER_VERSION, NAME, "")["status"])
        )
        assert "Upgradeable is False (AdminAckRequired): an API goes" in await desk.why_not(MINOR)
        assert await desk.ready(NEXT) == []
        back = await desk.ready(MINOR, undo=True)
        assert [str(one) for one in back] == [
            f"ClusterVersion version: from {MINOR} no way leads back to {FIRST}"
        ]
        assert await desk.ready(NEXT, undo=True) == []

    tell(tmp_path, story, gates={GATE: "an API goes"})


def test_each_thing_that_would_stop_it_halfway_refuses_it_before(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await pause(stage, "master", paused=True)
        assert "MachineConfigPool master: it is paused" in await desk.why_not(NEXT)
        await pause(stage, "master", paused=False)
        await pause(stage, "canary", paused=True)
        assert "MachineConfigPool canary: somebody paused it" in await desk.why_not(NEXT)
        await pause(stage, "canary", paused=False)
        await desk.declare(FIRST, force=True)
        assert "force is set" in await desk.why_not(NEXT)
        await desk.declare(FIRST, force=None)
        behind = await asyncio.to_thread(desk.of.ready, moving(NEXT, "4.18.51"), undo=False)
        assert "4.18.52 is Completed, the plan starts from 4.18.51" in str(behind[0])
        await desk.backed_up(timedelta(days=2))
        assert "not within the last day" in await desk.why_not(NEXT)
        await stage.client.patch(
            CLUSTER_VERSION, NAME, {"metadata": {"annotations": {BACKUP_ANNOTATION: None}}}
        )
        (found,) = await desk.ready(NEXT)
        assert (found.verdict, found.where) == (Verdict.INCONCLUSIVE, "etcd"), "nobody knows is not no"

    tell(tmp_path, story)


def test_a_pool_with_the_nodes_of_two_rings_can_not_move_ring_by_ring(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await stage.client.delete(POOL, "canary")
        await stage.until("it is gone", lambda: stage.twin.cache.get(POOL, "canary") is None)
        why = await desk.why_not(NEXT)
        assert "MachineConfigPool worker: it holds nodes of ring-0, ring-1 together" in why

    tell(tmp_path, story)


def test_where_no_operator_is_to_be_seen_nothing_is_said_of_the_release(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        (found,) = await desk.ready(NEXT)
        assert (found.verdict, found.where) == (Verdict.INCONCLUSIVE, "ClusterOperators")
        look = await desk.look(FIRST)
        assert (look.done, look.waiting) == (
            "",
            "no ClusterOperator is to be seen, so nobody says how they are",
        )

    tell(tmp_path, story, operators=[])


def test_a_pool_that_could_not_let_its_whole_ring_out_at_once_refuses_it_before(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await stage.client.patch(NODE, "gpu-1", {"metadata": {"labels": {ROLE: None}}})
        desk.of = desk.with_ring(Ring("ring-0", ("gpu-1", "gpu-2"), 2))
        await stage.until("it counts both", lambda: counted(stage, "worker") == 2)
        assert "MachineConfigPool worker: it lets 1 node out at once, and ring-0 has 2" in await desk.why_not(
            NEXT
        )
        desk.of = desk.with_ring(Ring("ring-0", ("gpu-1", "gpu-2"), 1))
        assert "let go, it moves all 2 nodes of ring-0, and a batch of it has 1" in await desk.why_not(NEXT)
        await stage.client.patch(POOL, "worker", {"spec": {"maxUnavailable": 2}})
        desk.of = desk.with_ring(Ring("ring-0", ("gpu-1", "gpu-2"), 2))
        assert "at once" not in await desk.why_not(NEXT)

    tell(tmp_path, story)


def test_an_operator_that_is_not_built_for_the_next_minor_refuses_it_in_its_own_words(tmp_path: Path) -> None:
    """As OLM says it of installed operators whose maxOpenShiftVersion is passed."""

    async def story(stage: Play, desk: Desk) -> None:
        why = "ClusterServiceVersion thing.v1 sets maxOpenShiftVersion 4.18"
        said = [
            {"type": "Available", "status": "True"},
            {
                "type": "Upgradeable",
                "status": "False",
                "reason": "IncompatibleOperatorsInstalled",
                "message": why,
            },
        ]
        operator = stage.get(CLUSTER_OPERATOR, OPERATORS[0], "")
        wanted = {**operator, "status": {**operator["status"], "conditions": said}}
        await stage.client.replace(wanted, subresource="status")
        await stage.until("it is told", lambda: why in str(stage.get(CLUSTER_VERSION, NAME, "")["status"]))
        assert f"Upgradeable is False (IncompatibleOperatorsInstalled): {why}" in await desk.why_not(MINOR)
        assert await desk.ready(NEXT) == []

    tell(tmp_path, story)
