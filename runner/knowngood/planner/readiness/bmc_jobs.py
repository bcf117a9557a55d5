"""What a BMC's job means: whether it is over, or waits, perhaps for a boot. Pure.

States: DMTF Redfish Task 1.7 (TaskState) and Job 1.2 (JobState); Dell's own of /redfish/v1/Managers/<id>/Oem/Dell/Jobs
(dell/iDRAC-Redfish-Scripting, GetDeleteiDRACJobQueueREDFISH).
"""

from __future__ import annotations

import re

from knowngood.model.bmcs import BmcJob

OVER = frozenset(
    {
        *("Completed", "Cancelled", "Killed", "Exception", "Invalid"),
        *("CompletedWithErrors", "CompletedWithWarnings", "Failed", "RebootCompleted", "RebootFailed"),
    }
)
"""States in which nothing more will happen. Any other one, also one that nobody knows, may still act on the machine."""
_WAITS = re.compile(r"reboot (is )?pending|pending (a )?reboot|reboot (is )?required", re.IGNORECASE)
"""What a job says that is at its end and still wants a boot (iDRAC-Redfish-Scripting issue 266)."""


def is_over(job: BmcJob) -> bool:
    """Whether a job is done with the machine, whatever came of it."""
    return job.state in OVER and not waits_for_boot(job)


def waits_for_boot(job: BmcJob) -> bool:
    """Whether it says that it wants a boot to be complete."""
    return bool(_WAITS.search(job.message))


def told(job: BmcJob) -> str:
    """A job that is not over, in words."""
    of = f" ({job.what})" if job.what else ""
    said = job.state or "of no state"
    more = f", {job.percent} %" if job.percent >= 0 else ""
    return f"job {job.name}{of} is {said}{more}{f': {job.message}' if job.message else ''}"
