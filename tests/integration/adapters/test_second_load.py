"""What a node runs is loaded a second time for real, once; a fault that shows only then is no arrival."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.integration.adapters.node_moves import LIMITS, NODE, Mover, play
from tests.integration.twin.nic_stage import NEW as NEW_NIC
from tests.integration.twin.setting import NEW

from knowngood.adapters.nodes.batch import Report
from knowngood.model.mover import Mark


def newest(report: Report) -> Mark:
    marks = [Mark(**mark) for mark in report.seen[NODE]["marks"].values()]
    return max(marks, key=lambda mark: mark.at)


def test_an_unchanged_driver_is_loaded_anew_once_and_a_repeated_call_finds_it_done(tmp_path: Path) -> None:
    """Its container keeps the module of an unchanged configuration: without its note of that it does not."""

    async def story(on: Mover) -> None:
        await on.claim()
        await on.declare(version=NEW)
        first = newest(await on.tried(nvidia_driver=NEW))
        again = await on.again(first, nvidia_driver=NEW)
        assert again.done == [NODE], again.failed
        assert newest(again).at > first.at
        repeated = await on.again(first, nvidia_driver=NEW)
        assert (repeated.done, repeated.detail[NODE]["restarted"]) == ([NODE], False)
        assert on.loads("nvidia") == [NEW, NEW]

    play(tmp_path, story)


def test_a_driver_that_loads_only_once_does_not_come_again(tmp_path: Path) -> None:
    async def story(on: Mover) -> None:
        await on.claim()
        await on.stage.fault("fails-at-second-load", NODE, version=NEW)
        await on.declare(version=NEW)
        first = newest(await on.tried(nvidia_driver=NEW))
        on.limits = replace(LIMITS, operand_age=4.0)
        again = await on.again(first, nvidia_driver=NEW)
        assert "driver pod nvidia-driver-ctr: CrashLoopBackOff" in again.failed[NODE]
        assert again.could_not == [], "it was measured"
        assert on.loads("nvidia") == [NEW]

    play(tmp_path, story)


def test_of_two_drivers_the_one_whose_pod_keeps_what_is_loaded_is_left_alone(tmp_path: Path) -> None:
    """A DOCA pod of the version that is loaded loads nothing: only a boot would."""

    async def story(on: Mover) -> None:
        await on.with_nic_driver()
        await on.claim()
        await on.declare_nic(NEW_NIC)
        await on.declare(version=NEW)
        first = newest(await on.tried(doca_ofed=NEW_NIC, nvidia_driver=NEW))
        nic_pod = (on.nic_pod() or {})["metadata"]["uid"]
        again = await on.again(first, doca_ofed=NEW_NIC, nvidia_driver=NEW)
        assert again.done == [NODE], again.failed
        assert on.loads("nvidia") == [NEW, NEW]
        assert (on.nic_pod() or {})["metadata"]["uid"] == nic_pod
        alone = await on.again(newest(again), doca_ofed=NEW_NIC)
        assert "can be loaded a second time by a restart" in alone.failed[NODE]
        assert alone.could_not == [NODE]

    play(tmp_path, story)
