"""A run as a Job of the cluster: made from a team's manifest, then followed by its checkpoint from here.

Who follows holds nothing: Ctrl-C ends the look, not the run. When its pod is gone another machine takes the run over
by `resume`, once the Lease has run out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.cli import runs
from knowngood.cli.terminal import say
from knowngood.cli.wiring import checkpoint
from knowngood.matrix.manifest import manifest
from knowngood.model import names
from knowngood.model.errors import ExitCode, Inconclusive, Refused
from knowngood.model.plan import Plan
from knowngood.model.run_summary import RunSummary
from knowngood.planner.consent import Consent
from knowngood.planner.runner_job import (
    PLAN_AT,
    PLAN_KEY,
    called,
    filled,
    moves_all,
    plan_object,
    refusals,
)

EVERY = 2.0
"""Seconds between two looks."""
JOBS = path("batch/v1", "jobs", "", names.NAMESPACE)
CONFIG_MAPS = path("v1", "configmaps", "", names.NAMESPACE)


def job_of(file: Path) -> Object:
    """A team's manifest. Refused with every reason where no run can be made of it."""
    found = manifest(file)
    if reasons := list(refusals(found)):
        raise Refused("; ".join(reasons), where=str(file), hint="see deploy/runner/job.yaml")
    return found


def words_of(plan: Plan, consent: Consent, pause: str, record: str) -> list[str]:
    """What the Job's knowngood is called with: the plan that was shown here, and what was said yes to."""
    words = ["upgrade", plan.cluster, "--plan", f"{PLAN_AT}/{PLAN_KEY}", "--yes", "--output", "json"]
    words += [w for name in sorted(consent.no_canary) for w in ("--accept-no-canary", name)]
    words += ["--accept-forward-only"] if consent.forward_only else []
    words += ["--try-again"] if consent.try_again else []
    words += ["--pause-after", pause] if pause else []
    return words + (["--record", record] if record else [])


def begin(
    kube: Kube, job: Object, plan: Plan, kept: str, words: Sequence[str], nodes: Collection[str]
) -> str:
    """Make the Job, then the plan that it goes by, which goes with it; the run's id.

    The pod waits for its plan: without the ConfigMap no container of it starts.
    """
    run = runs.new_id()
    made = kube.create(JOBS, filled(job, run, words, nodes))
    owner = {"name": called(run), "uid": str(made["metadata"]["uid"])}
    try:
        kube.create(CONFIG_MAPS, plan_object(run, kept, owner))
    except BaseException:  # Ctrl-C, too: its pod would wait for ever
        kube.delete(f"{JOBS}/{called(run)}")
        raise
    say(
        f"run {run} is Job {names.NAMESPACE}/{called(run)}, off {', '.join(sorted(nodes)) or 'no node'}",
        err=True,
    )
    if moves_all(plan):
        say("  OpenShift moves all nodes: its pod is evicted, made anew elsewhere, and goes on", err=True)
    return run


def follow(kube: Kube, kubeconfig: Path, run: str, *, pause: Callable[[float], None] = time.sleep) -> int:
    """Tell each new step until the run has ended; its exit code. Inconclusive where the Job ended without a run."""
    saved, told = checkpoint(kubeconfig), ""
    while True:
        there = next((one for one in saved.runs() if one.run == run), None)
        if there is not None and (line := _line(there)) != told:
            told = line
            say(line, err=True)
        if there is not None and there.end:
            say(f"  next: knowngood status {run}", err=True)
            return int(ExitCode.INTERRUPTED if there.exit_code is None else there.exit_code)
        if why := _over(kube, run):
            raise _gone(run, why, begun=there is not None)
        pause(EVERY)


def _line(run: RunSummary) -> str:
    at = f"ended {run.end}" if run.end else run.step or "begins"
    return f"{run.run}: {at}" + (f" (by {run.who})" if run.who else "")


def _over(kube: Kube, run: str) -> str:
    """Why the Job does nothing any more, "" while it may."""
    job = kube.find(f"{JOBS}/{called(run)}")
    if job is None:
        return "its Job was deleted"
    done = [c for c in (job.get("status") or {}).get("conditions") or () if c.get("status") == "True"]
    ended = next((c for c in done if c["type"] in ("Complete", "Failed")), None)
    return f"its Job is {ended['type']} ({ended.get('reason') or 'no reason'})" if ended else ""


def _gone(run: str, why: str, *, begun: bool) -> Inconclusive:
    logs = f"kubectl -n {names.NAMESPACE} logs job/{called(run)}"
    if begun:
        return Inconclusive(
            f"{why}, and run {run} has not ended", hint=f"knowngood resume {run} takes it over; {logs}"
        )
    return Inconclusive(f"{why}, and no run began", hint=f"{logs} says why")
