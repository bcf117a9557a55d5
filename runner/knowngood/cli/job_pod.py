"""The pod of a run's Job, where an earlier one was evicted: it goes on with the run instead of beginning it anew.

Each pod of the Job is called with the same words. Which run it is made for says its environment; whether that has begun
says the cluster. Another pod is made only where the one before was evicted and has ended (`planner.runner_job`).
"""

from __future__ import annotations

from knowngood.cli import existing_run, runs
from knowngood.cli.matrix_source import kubeconfig_of
from knowngood.cli.options import Settings
from knowngood.cli.play import check_identity, play
from knowngood.cli.terminal import say
from knowngood.cli.wiring import checkpoint
from knowngood.report.summary import Summary


def begun(settings: Settings) -> Summary | None:
    """Go on with the run that this pod was made for; None where it has not begun, or this is no such pod.

    A run that has ended is only told: what a person must say yes to, no pod says.
    """
    run = runs.given_id()
    if not run or checkpoint(kubeconfig_of(settings)).load(run) is None:
        return None
    say(f"run {run} has begun in an earlier pod of its Job, which is gone: goes on with it", err=True)
    with existing_run.known(settings, run) as found:
        if found.state.end is not None:
            return found.summary
        existing_run.refuse_overtaken(found)
        place = existing_run.place_of(settings, found)
        existing_run.wait_for_orphans(found)
    check_identity(place.cluster, place.kubeconfig)
    return play(place, found.plan, known=True)
