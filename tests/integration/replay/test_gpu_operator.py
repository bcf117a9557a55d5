"""The twin's GPU Operator does what the real one was recorded to do, but for what accepted.yaml lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.replay import accepted, gpu, gpu_edits
from tests.integration.replay.playing import Stage, held_against, lines_of
from tests.integration.replay.recording import needs_traces, read, without_leftovers

from knowngood.twin.behaviours.daemonsets import DaemonSets
from knowngood.twin.behaviours.driver_upgrade import DriverUpgrades
from knowngood.twin.behaviours.gpu_drivers import NvidiaDrivers
from knowngood.twin.behaviours.gpu_operator import GpuOperator
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.behaviours.scheduler import Scheduler


class Patient(DriverUpgrades):
    """Its validation never runs into its limit."""

    validation_s = math.inf


class Impatient(DriverUpgrades):
    """Its limit is over before the test looks again."""

    validation_s = 60.0


STAGE = Stage(
    plan=gpu.plan(),
    controllers=(NodeLifecycle, Scheduler, DaemonSets, GpuOperator, NvidiaDrivers, Patient),
    kinds=gpu.KINDS,
    perform=gpu_edits.perform,
    saw=gpu_edits.saw,
    there=tuple(gpu.there()),
    renamed=gpu.renamed,
    strands=gpu.strands,
)
INSTALL = ["create ClusterPolicy and two rings"]
AUTO = "ring-0 autoUpgrade on (...), version unchanged"
NEWER = ["ring-0 spec.version 580.173.02 -> 595.91.07", "driver pods of ring-0 restart"]
AND_BACK = [NEWER[0], "ring-0 spec.version back to 580.173.02 ..."]
GPU_5 = ["gpu-5 gets ring-1", "delete NVIDIADriver ring-1", "create ring-1 again"]
# What a scenario began with: the recordings are pieces of one long day.
BEFORE: dict[str, Sequence[str]] = {
    "00-install": (),
    "a-bump-autoupgrade-off": INSTALL,
    "d1-nfd-labels": INSTALL,
    "d2-rings": [*INSTALL, *AND_BACK],
    "e-spec-changes": [*INSTALL, *AND_BACK],
    "c-clusterpolicy-driver": [*INSTALL, *AND_BACK, *GPU_5],
    "b0-autoupgrade-real-pace": [*INSTALL, *AND_BACK],
    "b1-autoupgrade-on": [*INSTALL, *AND_BACK],
    "b2-autoupgrade-failing": [*INSTALL, *NEWER, AUTO],
    "b3-autoupgrade-off-in-the-middle": [*INSTALL, *NEWER, AUTO],
    "b4-autoupgrade-validation-times-out": [*INSTALL, AUTO],
}


@needs_traces
@pytest.mark.parametrize("scenario", BEFORE)
def test_the_twin_does_what_the_real_gpu_operator_did(scenario: str, tmp_path: Path) -> None:
    real = [line for line in read(scenario) if line.get("kind") != "Event"]
    if scenario == "00-install":
        real = without_leftovers(real)
    stage = STAGE
    if scenario.startswith("b"):
        stage = replace(
            stage, scale=300.0, polls=30
        )  # its pace is 0.4 s then: more than a pod needs to restart
    if "times-out" in scenario:
        stage = replace(stage, controllers=(*stage.controllers[:-1], Impatient))
    found = held_against(real, stage, BEFORE[scenario], tmp_path, lines_of(BEFORE))
    wrong = accepted.verdict(scenario, found, accepted.table())
    assert not wrong, "\n" + "\n".join(wrong)
