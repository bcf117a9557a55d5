"""One machine's firmware by its BMC: what a job's state means, and what is to be done next. Pure.

States: DMTF Redfish Task 1.7 (TaskState), Job 1.2 (JobState); an iDRAC's own (dell/iDRAC-Redfish-Scripting,
GetDeleteiDRACJobQueueREDFISH and DeviceFirmwareSimpleUpdateREDFISH). A state that nobody knows is neither at its end
nor going on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from knowngood.model.bmcs import BmcJob
from knowngood.model.text import printable
from knowngood.planner.readiness.bmc_jobs import is_over, told, waits_for_boot


class Means(StrEnum):
    """What a job's state means for what it brings."""

    GOING = "going on"
    STAGED = "staged"  # it comes with a reset
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


_STATES: Mapping[Means, frozenset[str]] = {
    Means.GOING: frozenset(
        {
            *("New", "Starting", "Running", "Stopping", "Cancelling", "Service", "Validating", "Continue"),
            *("Downloading", "Downloaded", "Scheduling", "ReadyForExecution", "Waiting"),
        }
    ),
    Means.STAGED: frozenset({"Scheduled", "Pending", "RebootPending", "PendingActivation"}),
    Means.DONE: frozenset({"Completed", "CompletedWithWarnings", "RebootCompleted"}),
    Means.FAILED: frozenset(
        {
            *("Exception", "Killed", "Cancelled", "Invalid", "Failed", "CompletedWithErrors"),
            *("RebootFailed",),
        }
    ),
}


def means(job: BmcJob) -> Means:
    """What this job's state means: the words of a job that is at its end and wants a boot count before its state."""
    if waits_for_boot(job):
        return Means.STAGED
    return next((meaning for meaning, states in _STATES.items() if job.state in states), Means.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Begun:
    """What a run began at a machine, by its BMC or its system, as it wrote it down before it asked.

    `known`: the BMC's jobs that were there before. `job`: the one that is ours, "" until it was seen. `reset`: the boot
    in which a reset was asked for, "" where none was; a system is asked for both at once.
    """

    component: str
    version: str
    known: tuple[str, ...] = ()
    job: str = ""
    reset: str = ""


def begun_in(note: str) -> Begun | None:
    """What a node's note says was begun, None of an empty one. ValueError where it can't be read."""
    if not note:
        return None
    try:
        found = json.loads(note)
        return Begun(**{**found, "known": tuple(found["known"])})
    except (TypeError, KeyError) as error:
        raise ValueError(str(error)) from error


def unended(note: str) -> str:
    """What a node's note says of its machine, in words; "" without one. It goes with the end: while it is there, none
    was seen."""
    try:
        begun = begun_in(note)
    except ValueError:
        return "its machine was asked to take something, and the note of that can't be read"
    if begun is None:
        return ""
    job = f" (job {begun.job})" if begun.job else ""
    what = printable(f"{begun.component} {begun.version}{job}", 200)
    return f"its machine was asked to take {what}, and nobody saw that end: it may come with any boot"


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: what runs, what waits, what was begun, and the node's boot."""

    running: str
    jobs: tuple[BmcJob, ...]
    begun: Begun | None
    boot: str


class Act(StrEnum):
    """What is to be done next."""

    START = "start"
    NOTE = "note"  # which job is ours
    FOLLOW = "follow"
    RESET = "reset"
    CANCEL = "cancel"  # ours, of another version, that only waits
    DONE = "done"
    STUCK = "stuck"  # it speaks against what moves once it lasts
    FAIL = "fail"
    UNSURE = "unsure"  # nothing can be told, or somebody else's job is there


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be done, why in words, and the job that is meant."""

    act: Act
    why: str = ""
    job: BmcJob | None = None


def next_act(seen: Seen, component: str, wanted: str, *, there: bool) -> Next:
    """What to do with a machine that is to run `wanted`. `there`: it runs that, by its own words.

    A flash that was begun is followed, never started a second time: only one of which the BMC shows no job is asked for
    again. What was begun for another version ends first: it is waited for, or cancelled where it only waits.
    """
    begun = seen.begun
    if begun is None:
        return _alone(seen, there=there)
    new = [job for job in seen.jobs if job.name not in begun.known]
    own = [job for job in new if job.name == begun.job] if begun.job else new
    if len(own) > 1:
        return Next(Act.UNSURE, f"which job is ours can't be told: {', '.join(job.name for job in own)}")
    job = own[0] if own else None
    if job is not None and not begun.job:
        return Next(Act.NOTE, told(job), job)
    same = (begun.component, begun.version) == (component, wanted)
    if job is None:
        return _gone(seen, same=same, there=there)
    return _with_job(seen, begun, job, same=same, there=there)


def _with_job(seen: Seen, begun: Begun, job: BmcJob, *, same: bool, there: bool) -> Next:
    """By what our job says of itself."""
    strangers = [one for one in seen.jobs if one.name != job.name and not is_over(one)]
    meaning = means(job)
    if meaning is Means.GOING:
        return Next(Act.FOLLOW, told(job), job)
    if meaning is Means.UNKNOWN:
        return Next(Act.UNSURE, told(job), job)
    if strangers:
        return _foreign(strangers)
    if not same:
        return _other(job, meaning, there=there)
    if meaning is Means.FAILED:
        return Next(Act.FAIL, told(job), job)
    if meaning is Means.DONE and there:
        return Next(Act.DONE, job=job)
    return _activated(seen, begun, job)


def _alone(seen: Seen, *, there: bool) -> Next:
    """Nothing of ours is under way: whatever is not over is somebody else's, and would come with our reset."""
    strangers = [job for job in seen.jobs if not is_over(job)]
    return _foreign(strangers) if strangers else Next(Act.DONE if there else Act.START)


def _other(job: BmcJob, meaning: Means, *, there: bool) -> Next:
    """Ours, at its end, of another version: what it has written may come with the next boot, so it is written over."""
    if meaning is Means.STAGED:
        return Next(Act.CANCEL, told(job), job)
    return Next(Act.DONE if there and meaning is Means.FAILED else Act.START)


def _foreign(jobs: list[BmcJob]) -> Next:
    return Next(Act.UNSURE, f"not of this run: {'; '.join(map(told, jobs))}")


def _gone(seen: Seen, *, same: bool, there: bool) -> Next:
    """The BMC shows no job of ours: it never took the image, or has forgotten the job over its own start."""
    begun = seen.begun
    if begun is None or not begun.job or (same and there):
        return _alone(seen, there=there)
    if not same:
        return _alone(seen, there=False)  # it may have written what the next boot brings
    return Next(Act.STUCK, f"job {begun.job} is gone, and it runs {seen.running or 'nothing that it tells'}")


def _activated(seen: Seen, begun: Begun, job: BmcJob) -> Next:
    """It is there to be activated: by one reset, after which it must run."""
    if not begun.reset:
        return Next(Act.RESET, told(job), job)
    words = "and it was reset since" if begun.reset == seen.boot else "and it was booted since"
    return Next(
        Act.STUCK, f"{told(job)}, {words}, and it runs {seen.running or 'nothing that it tells'}", job
    )
