"""A BMC's flash is started once and followed: each state has one meaning, and what nobody knows is not done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowngood.model.bmcs import BmcJob
from knowngood.planner.flash import Act, Begun, Means, Seen, means, next_act

OLD, NEW, BOOT = "2.6.3", "2.7.4", "b1"
OTHERS = BmcJob("JID_1", "Completed", "Export")
BEGUN = Begun("x", NEW, ("JID_1",), "JID_2")
CALM = Seen(OLD, (OTHERS,), None, BOOT)


def job(state: str, message: str = "", name: str = "JID_2") -> BmcJob:
    return BmcJob(name, state, "Update", message)


def seen(*jobs: BmcJob, begun: Begun | None = BEGUN, running: str = OLD, boot: str = BOOT) -> Seen:
    return Seen(running, (OTHERS, *jobs), begun, boot)


def act(of: Seen, wanted: str = NEW) -> Act:
    return next_act(of, "x", wanted, there=of.running == wanted).act


@pytest.mark.parametrize(
    ("state", "message", "meaning"),
    [
        ("New", "", Means.GOING),
        ("Running", "", Means.GOING),
        ("Downloading", "", Means.GOING),
        ("Scheduled", "Task successfully scheduled.", Means.STAGED),
        ("Pending", "", Means.STAGED),
        ("UserIntervention", "Job completed, server reboot pending", Means.STAGED),
        ("Completed", "reboot required", Means.STAGED),
        ("Completed", "Job completed successfully.", Means.DONE),
        ("Exception", "", Means.FAILED),
        ("CompletedWithErrors", "", Means.FAILED),
        ("Failed", "", Means.FAILED),
        ("UserIntervention", "", Means.UNKNOWN),
        ("Suspended", "", Means.UNKNOWN),
        ("SomethingNewer", "", Means.UNKNOWN),
        ("", "", Means.UNKNOWN),
    ],
)
def test_each_state_has_one_meaning(state: str, message: str, meaning: Means) -> None:
    assert means(job(state, message)) is meaning


def test_what_runs_already_is_done_and_what_does_not_is_started() -> None:
    assert act(CALM) is Act.START
    assert act(replace(CALM, running=NEW)) is Act.DONE


@pytest.mark.parametrize("running", [OLD, NEW])
def test_a_job_of_somebody_else_comes_first(running: str) -> None:
    found = next_act(seen(job("Scheduled"), begun=None, running=running), "x", NEW, there=running == NEW)
    assert (found.act, "JID_2" in found.why) == (Act.UNSURE, True)


def test_a_job_that_came_since_we_asked_is_ours_and_two_of_them_are_nobodys() -> None:
    asked = replace(BEGUN, job="")
    found = next_act(seen(job("Running"), begun=asked), "x", NEW, there=False)
    assert (found.act, found.job and found.job.name) == (Act.NOTE, "JID_2")
    both = next_act(seen(job("Running"), job("New", name="JID_3"), begun=asked), "x", NEW, there=False)
    assert (both.act, "JID_2, JID_3" in both.why) == (Act.UNSURE, True)


def test_what_was_never_taken_is_asked_for_again() -> None:
    assert act(seen(begun=replace(BEGUN, job=""))) is Act.START


@pytest.mark.parametrize(
    ("state", "running", "reset", "wanted"),
    [
        ("Running", OLD, "", Act.FOLLOW),
        ("Running", NEW, BOOT, Act.FOLLOW),
        ("Scheduled", OLD, "", Act.RESET),
        ("Scheduled", OLD, BOOT, Act.STUCK),
        ("Scheduled", OLD, "b0", Act.STUCK),
        ("Completed", OLD, "", Act.RESET),
        ("Completed", OLD, "b0", Act.STUCK),
        ("Completed", NEW, "b0", Act.DONE),
        ("Completed", NEW, "", Act.DONE),
        ("Exception", OLD, "", Act.FAIL),
        ("Failed", NEW, "b0", Act.FAIL),
        ("Strange", OLD, "", Act.UNSURE),
    ],
)
def test_ours_is_followed_to_its_proof(state: str, running: str, reset: str, wanted: Act) -> None:
    assert act(seen(job(state), begun=replace(BEGUN, reset=reset), running=running)) is wanted


def test_no_reset_starts_what_somebody_else_staged_meanwhile() -> None:
    found = next_act(seen(job("Scheduled"), job("Scheduled", name="JID_9")), "x", NEW, there=False)
    assert (found.act, "JID_9" in found.why) == (Act.UNSURE, True)


@pytest.mark.parametrize(
    ("jobs", "running", "wanted"),
    [
        ((job("Running"),), OLD, Act.FOLLOW),
        ((job("Scheduled"),), OLD, Act.CANCEL),
        ((job("Completed"),), NEW, Act.START),
        ((job("Completed"),), OLD, Act.START),  # what it wrote may wait for the next boot
        ((job("Exception"),), OLD, Act.DONE),
        ((), NEW, Act.START),
        ((), OLD, Act.START),
    ],
)
def test_the_way_back_lets_what_was_begun_end_first(
    jobs: tuple[BmcJob, ...], running: str, wanted: Act
) -> None:
    assert act(seen(*jobs, running=running), OLD) is wanted


def test_the_way_back_of_what_was_never_taken_is_done_where_it_runs_that() -> None:
    assert act(seen(begun=replace(BEGUN, job="")), OLD) is Act.DONE


def test_a_job_that_a_bmc_forgot_over_its_own_start_is_judged_by_what_runs() -> None:
    assert act(seen(running=NEW)) is Act.DONE
    lost = next_act(seen(), "x", NEW, there=False)
    assert (lost.act, "JID_2 is gone, and it runs 2.6.3" in lost.why) == (Act.STUCK, True)
