"""A job that waits at a BMC is started by the next boot: it is asked about before a run, and before each ring."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.scene import a_plan, a_world, an_engine
from tests.unit.engine.world import World

from knowngood.model.bmcs import BmcJob, BmcState
from knowngood.model.errors import ExitCode, Interrupted
from knowngood.model.state import End
from knowngood.planner.readiness.bmc_jobs import is_over, told

STAGED = BmcJob("JID_8401", "Scheduled", "Firmware Update: BIOS", "Task successfully scheduled.", 0)
DONE = BmcJob("JID_8400", "Completed", "Firmware Update: BIOS", "Job completed successfully.", 100)


def ended(world: World) -> End:
    end = an_engine(world).run().end
    assert end is not None
    return end


def test_a_job_of_somebody_that_waits_for_a_boot_refuses_the_run_by_name() -> None:
    world = a_world()
    world.bmcs = {"gpu-1": BmcState(jobs=(DONE,)), "gpu-5": BmcState(jobs=(DONE, STAGED))}
    end = ended(world)
    assert (end.name, end.exit_code) == ("refused", ExitCode.REFUSED)
    assert "the BMC of gpu-5: job JID_8401 (Firmware Update: BIOS) is Scheduled, 0 %" in end.why
    assert "gpu-1" not in end.why, "what is over is nobody's business"
    assert len(world.commits) == 1


def test_a_bmc_that_can_not_be_read_is_not_one_without_jobs() -> None:
    world = a_world()
    world.bmcs = {"gpu-1": BmcState(trouble="it does not take our credentials (401)")}
    end = ended(world)
    assert (end.name, end.exit_code) == ("inconclusive", ExitCode.INCONCLUSIVE)
    assert "it does not take our credentials" in end.why


def test_firmware_of_another_release_refuses_the_run_and_what_no_release_names_is_not_judged() -> None:
    plan = a_plan()
    plan = replace(plan, from_versions={**plan.from_versions, "bios": "2.6.3"})
    world = a_world()
    world.bmcs = {"gpu-1": BmcState({"bios": "2.6.3", "bmc": "7.20"}), "gpu-2": BmcState({"bios": "2.5.1"})}
    end = an_engine(world, plan=plan).run().end
    assert end is not None
    assert end.name == "refused"
    assert "the BMC of gpu-2: it runs bios 2.5.1, the plan starts from 2.6.3" in end.why
    assert "gpu-1" not in end.why


def test_a_job_that_came_meanwhile_keeps_the_next_ring_from_being_touched() -> None:
    world = a_world()
    calm = a_world()
    ended(calm)

    def stage() -> None:
        world.bmcs = {"gpu-3": BmcState(jobs=(STAGED,))}

    world.strike_at, world.meanwhile = calm.moments.index("release gpu-2"), stage
    end = ended(world)
    assert (end.name, "job JID_8401" in end.why) == ("held", True), end.why
    assert not world.nodes["gpu-3"].claim
    assert len(world.commits) == 2, "the canary's alone"


def test_a_bmc_that_goes_silent_meanwhile_interrupts_the_run_which_then_goes_on() -> None:
    world, calm = a_world(), a_world()
    ended(calm)

    def away() -> None:
        world.bmcs = {"gpu-3": BmcState(trouble="MaxRetryError")}

    world.strike_at, world.meanwhile = calm.moments.index("release gpu-2"), away
    with pytest.raises(Interrupted, match="could not be read"):
        an_engine(world).run()
    world.revived().bmcs = {}
    assert ended(world).name == "done"


@pytest.mark.parametrize(
    ("state", "message", "over"),
    [
        ("Completed", "Job completed successfully.", True),
        ("CompletedWithErrors", "", True),
        ("Cancelled", "", True),
        ("Exception", "", True),
        ("Failed", "", True),
        ("New", "", False),
        ("Scheduled", "", False),
        ("Running", "", False),
        ("Pending", "", False),
        ("Starting", "", False),
        ("UserIntervention", "Job completed, server reboot pending", False),
        ("Completed", "Job completed, server reboot pending", False),
        ("", "", False),
        ("SomethingNewer", "", False),
    ],
)
def test_only_what_is_surely_at_its_end_is_over(state: str, message: str, over: bool) -> None:
    assert is_over(BmcJob("1", state, message=message)) is over


def test_a_job_is_told_in_its_own_words() -> None:
    assert told(BmcJob("JID_1", "")) == "job JID_1 is of no state"
    assert told(STAGED).endswith("is Scheduled, 0 %: Task successfully scheduled.")
