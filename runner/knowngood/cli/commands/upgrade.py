"""`knowngood upgrade`: the main job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.gitops.matrix_target import destination
from knowngood.adapters.kubernetes.client import Kube
from knowngood.cli.asking import confirm, consent_options
from knowngood.cli.in_cluster import begin, follow, job_of, words_of
from knowngood.cli.job_pod import begun
from knowngood.cli.matrix_source import Source, kubeconfig_of, load, refuse_dirty
from knowngood.cli.options import Settings, dry_run_option, record_option, run_options, yes_option
from knowngood.cli.plan_file import PLAN_FILE, basis, read, refuse_changed, wishes
from knowngood.cli.play import Request, check_cluster, planned, show, start
from knowngood.cli.terminal import say, width
from knowngood.cli.try_again import heeded
from knowngood.engine.pausing import PAUSE, refuse_strange_ring
from knowngood.matrix.evidence import evidence_about
from knowngood.matrix.reading import read_text
from knowngood.model.errors import ExitCode, UsageError
from knowngood.model.plan import Plan
from knowngood.model.plan_file import PlanFile
from knowngood.model.values import Object
from knowngood.planner.consent import Consent, refuse_unasked
from knowngood.planner.digest import digest
from knowngood.planner.runner_job import moved
from knowngood.report.plan_text import plan_text


@click.command("upgrade")
@click.argument("cluster")
@click.option("--to", "release", metavar="RELEASE", help="The release to go to.")
@click.option(
    "--plan",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Go by the plan that `plan --out` wrote; refused where anything it rests on has changed.",
)
@yes_option
@click.option("--allow-dirty", is_flag=True, help="Go on although the matrix has uncommitted changes.")
@click.option(
    "--pause-after",
    "pause",
    metavar="RING",
    default="",
    help="Stand still once this ring is judged, in each hop; `resume` goes on.",
)
@click.option(
    "--in-cluster",
    "job",
    metavar="JOB",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Run it as a Job of the cluster made from this manifest, and follow it; needs --plan.",
)
@dry_run_option
@consent_options
@record_option
@run_options
def command(  # noqa: PLR0913, PLR0917 (one parameter an option)
    settings: Settings,
    cluster: str,
    release: str | None,
    file: Path | None,
    yes: bool,
    allow_dirty: bool,
    pause: str,
    job: Path | None,
    consent: Consent,
    record: str,
    output: str,
) -> int:
    """Move a cluster to a release, ring by ring, proven or undone.

    Plans from what Git declares, shows the plan and asks. Then for each ring: one commit, Argo CD, node by node
    claim, drain, driver reload, gates, release, soak. A gate that says no stops the line: the canary ring is
    undone by a Git revert, a later ring is held. Ctrl-C at any time: `knowngood resume` goes on.

    A release to which a gate said no on this cluster, or on this hardware by evidence, is refused until it is proven:
    --try-again goes there once more, and shows and records what is different now.

    What reaches all nodes at once, as an operator does, has no canary: it goes where another cluster of this hardware
    has proven it, or where you say --accept-no-canary. What can't be undone goes by --accept-forward-only.

    --plan FILE goes by a plan that `plan --out` kept and somebody has read: refused, with the reason, where the matrix,
    Git or what the nodes run has changed. --pause-after RING ends it interrupted once that ring is judged and passed:
    `knowngood resume` goes on, `knowngood rollback` takes it back. What the run holds stays held meanwhile.

    --in-cluster JOB runs --plan as a Job of the cluster (deploy/README.md), off the nodes that move, and follows it;
    Ctrl-C ends the look alone. Where OpenShift moves, all nodes do: an evicted pod is made anew, and goes on.

    At its end one commit with evidence, status and pin goes to the matrix's branch; your branch and files stay. No run
    starts where that push would be refused: --record says where it goes instead, `knowngood record RUN` delivers later.

    \b
    Examples:
      knowngood upgrade ams-prod --to r595 --kubeconfig ~/.kube/ams-prod
      knowngood upgrade ams-prod --plan ams-prod.plan.json --in-cluster deploy/runner/job.yaml
      knowngood upgrade ams-prod --to r595 --record branch=ams-prod-r595     the record for a pull request

    \b
    Exit codes: 0 done, 1 refused, 2 usage, 3 inconclusive, 4 another run holds the cluster,
      5 quarantined or held, 6 changed and restored, 130 interrupted (resumable)
    """
    if (gone_on := begun(settings)) is not None:
        return show(gone_on, output)
    source, kept, made = load(settings), _kept(file, cluster, release), _job(job, file)
    request = _request(settings, source, (cluster, release or ""), kept, record, allow_dirty=allow_dirty)
    note = check_cluster(source.cluster(cluster), request.kubeconfig)
    plan, more = _planned(request, file, kept, consent, pause)
    _tell(plan, note)
    if not plan.hops:
        say(f"nothing to do: Git declares {request.release} already")
        return int(ExitCode.DONE)
    say(f"the record goes to {request.record}", err=True)
    confirm(plan, yes=yes)
    if made is not None and file is not None:
        return _elsewhere(request, (made, file), plan, words_of(plan, consent, pause, record))
    return show(start(request, plan, more=more), output)


def _tell(plan: Plan, note: str) -> None:
    """Show what it would do."""
    say(plan_text(plan, width()), err=True)
    if note:
        say(note, err=True)


def _elsewhere(request: Request, of: tuple[Object, Path], plan: Plan, words: Sequence[str]) -> int:
    """Run it in the cluster, by a manifest and a kept plan, and follow it; its exit code."""
    (job, file), kube = of, Kube(request.kubeconfig)
    run = begin(kube, job, plan, read_text(file), words, moved(plan, request.source.cluster(request.cluster)))
    return follow(kube, request.kubeconfig, run)


def _job(job: Path | None, file: Path | None) -> Object | None:
    """The manifest of a run in the cluster, where one is asked for. UsageError without a plan that it can go by."""
    if job is None:
        return None
    if file is None:
        hint = "knowngood plan CLUSTER --to RELEASE --from-git --out FILE, then upgrade --plan FILE --in-cluster JOB"
        raise UsageError(
            "a run in the cluster goes by a plan that was read here: --plan is missing", hint=hint
        )
    return job_of(job)


def _request(
    settings: Settings,
    source: Source,
    move: tuple[str, str],
    kept: PlanFile | None,
    record: str,
    *,
    allow_dirty: bool,
) -> Request:
    """What is asked for, each name of it known; `move` is the cluster and the release. UsageError."""
    cluster, release = move[0], kept.plan.to_release if kept else move[1]
    source.cluster(cluster)
    source.release(release)
    refuse_dirty(source, allow_dirty=allow_dirty)
    to = destination(source.folder, record)
    return Request(source, cluster, release, kubeconfig_of(settings), settings.runs, to, wishes(kept))


def _kept(file: Path | None, cluster: str, release: str | None) -> PlanFile | None:
    """The plan to go by, where one is named. UsageError where what is asked for is not what it does."""
    if file is None:
        if release is None:
            raise UsageError(
                "no release is named", hint=f"knowngood upgrade {cluster} --to RELEASE, or --plan FILE"
            )
        return None
    kept = read(file)
    for what, asked, has in (
        ("cluster", cluster, kept.plan.cluster),
        ("release", release, kept.plan.to_release),
    ):
        if asked not in (None, has):
            raise UsageError(
                f"it plans {what} {has}, not {asked}", where=str(file), hint="name one of the two"
            )
    return kept


def _planned(
    request: Request, file: Path | None, kept: PlanFile | None, consent: Consent, pause: str
) -> tuple[Plan, Object]:
    """The plan, and what else record 0 keeps. Refused where somebody must say yes first, or the kept plan is stale."""
    plan = planned(request)
    more: Object = {}
    if file is not None and kept is not None:
        seen = request.kubeconfig if kept.rests_on.asked else None
        refuse_changed(file, kept, plan, basis(request.source, plan, seen))
        more[PLAN_FILE] = digest(kept)
    refuse_strange_ring(plan, pause)
    more |= {PAUSE: pause} if pause else {}
    more |= refuse_unasked(plan, evidence_about(request.source.folder), consent, SystemClock().now())
    if plan.hops:
        plan, again = heeded(request.source, plan, request.kubeconfig, try_again=consent.try_again)
        more |= again
    return plan, more
