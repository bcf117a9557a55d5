"""What is done to an operator is done by a role: its answer and its refusal reach the engine as the port says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.adapters.olm_moves import KEY, LIMITS, Desk, declared, moving, on_olm
from tests.integration.twin.behaviour import SPACE, Play
from tests.integration.twin.olm_stage import GPU, phase, status, up_to
from tests.unit.planner.matrices import MOVER, cluster

from knowngood.adapters.processes.ansible import Playbooks
from knowngood.adapters.processes.ansible_fleet import AnsibleFleet
from knowngood.matrix.locate import playbooks_dir
from knowngood.model.errors import CouldNot, Refused
from knowngood.model.mover import Moving
from knowngood.model.progress import Progress
from knowngood.model.record import Record
from knowngood.ports.cancel import Cancel
from knowngood.ports.observer import Observer
from knowngood.twin.behaviours.olm_objects import SERVICE_VERSION

STEP, BACK = moving("26.3.3", "26.7.0"), moving("26.7.0", "26.3.3")


class Ear(Observer):
    def __init__(self) -> None:
        self.told: list[str] = []

    def record(self, record: Record) -> None:
        """Nobody writes any here."""

    def progress(self, progress: Progress) -> None:
        self.told.append(f"{progress.subject}: {progress.text}")


def fleet_of(desk: Desk, folder: Path, ear: Ear) -> AnsibleFleet:
    run = folder / "run"
    run.mkdir()
    playbooks = Playbooks(cluster(), folder / "kubeconfig", run, LIMITS, ear, playbooks_dir(), "run-1")
    return AnsibleFleet(desk.kube, cluster(), playbooks)


def test_a_role_approves_and_its_refusals_come_back_as_what_they_are(tmp_path: Path) -> None:
    ear = Ear()

    async def story(stage: Play, desk: Desk) -> None:
        fleet = fleet_of(desk, tmp_path, ear)

        async def act(verb: str, move: Moving) -> str:
            return await asyncio.to_thread(getattr(fleet, verb), move, KEY, Cancel())

        await up_to(stage, "26.3.3")
        await declared(stage, "26.7.0")
        await stage.until("it waits", lambda: status(stage).get("currentCSV") == f"{GPU}.v26.7.0")
        assert "approved" in await act("start", STEP)
        assert (await desk.settled(STEP)).done
        with pytest.raises(CouldNot, match="startingCSV is") as early:
            await act("back", BACK)
        assert "Argo CD" in early.value.hint
        await declared(stage, "26.3.3")
        spec = {"spec": {"cleanup": {"enabled": True}}}
        await stage.client.patch(SERVICE_VERSION, f"{GPU}.v26.7.0", spec, SPACE)
        with pytest.raises(Refused, match="would delete every object"):
            await act("back", BACK)
        assert phase(stage, f"{GPU}.v26.7.0") == "Succeeded"
        assert await act("start", Moving("thing", "1", "2", MOVER)) == "", "its commit alone starts it"

    on_olm(tmp_path, story)
    assert any("Approve the version" in text for text in ear.told)
