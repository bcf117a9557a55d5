"""What speaks against taking a node whose BMC says this: a job that a boot would start, firmware of another release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from knowngood.model.bmcs import BmcState
from knowngood.model.finding import Finding, refused, unknown
from knowngood.planner.readiness.bmc_jobs import is_over, told
from knowngood.planner.version import TEXT, runs

TOLD = ("bios", "bmc")
"""Components whose version a BMC tells."""


def against(
    node: str, state: BmcState, wanted: Mapping[str, str], schemes: Mapping[str, str]
) -> Iterator[Finding]:
    """Findings of one node. `wanted`: the versions that it should run, by component; others are not asked for."""
    where = f"the BMC of {node}"
    if state.trouble:
        hint = "bmcs in the cluster file says where it is; without it no BMC is asked"
        yield unknown(where, f"it could not be read: {state.trouble}", hint)
        return
    for job in state.jobs:
        if not is_over(job):
            hint = "whose it is: any boot may start it; let it end, or delete it there"
            yield refused(where, told(job), hint)
    for component in (c for c in TOLD if c in wanted):
        running = state.versions.get(component)
        if not running:
            hint = "see what its own page says, or take bmcs out of the cluster file"
            yield unknown(where, f"it does not tell which {component} runs", hint)
        elif not runs(schemes.get(component, TEXT), wanted[component], running):
            yield refused(
                where,
                f"it runs {component} {running}, the plan starts from {wanted[component]}",
                "pin the release that has it, or flash it by hand first",
            )
