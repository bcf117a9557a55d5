"""`knowngood upgrade`: the main job."""

from __future__ import annotations

import click

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.gitops.matrix_target import destination
from knowngood.cli.asking import confirm, consent_options
from knowngood.cli.matrix_source import kubeconfig_of, load, refuse_dirty
from knowngood.cli.options import Settings, record_option, run_options, yes_option
from knowngood.cli.play import Request, check_cluster, planned, show, start
from knowngood.cli.terminal import say, width
from knowngood.cli.try_again import heeded
from knowngood.engine.pausing import PAUSE, refuse_strange_ring
from knowngood.matrix.evidence import evidence_about
from knowngood.model.errors import ExitCode
from knowngood.model.values import Object
from knowngood.planner.consent import Consent, refuse_unasked
from knowngood.report.plan_text import plan_text


@click.command("upgrade")
@click.argument("cluster")
@click.option("--to", "release", metavar="RELEASE", required=True, help="The release to go to.")
@yes_option
@click.option("--allow-dirty", is_flag=True, help="Go on although the matrix has uncommitted changes.")
@click.option(
    "--pause-after",
    "pause",
    metavar="RING",
    default="",
    help="Stand still once this ring is judged, in each hop; `resume` goes on.",
)
@consent_options
@record_option
@run_options
def command(  # noqa: PLR0913, PLR0917 (one parameter an option)
    settings: Settings,
    cluster: str,
    release: str,
    yes: bool,
    allow_dirty: bool,
    pause: str,
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

    --pause-after RING ends it interrupted once that ring is judged and passed: look at it as long as you like, then
    `knowngood resume` goes on, or `knowngood rollback` takes it back. What the run holds stays held meanwhile.

    At its end one commit goes to the branch that the matrix came from, with evidence, status and pin. It is made in a
    clone of our own: your branch and files stay as they are. No run starts where that push would be refused, unless
    --record says where the record goes instead. What could not be delivered at the end is by `knowngood record RUN`.

    \b
    Examples:
      knowngood upgrade ams-prod --to r595 --kubeconfig ~/.kube/ams-prod
      knowngood upgrade ams-prod --to r595 --pause-after ring-0
      knowngood upgrade ams-prod --to r595 --yes --output json > result.json
      knowngood upgrade ams-prod --to r595 --record branch=ams-prod-r595     the record for a pull request

    \b
    Exit codes: 0 done, 1 refused, 2 usage, 3 inconclusive, 4 another run holds the cluster,
      5 quarantined or held, 6 changed and restored, 130 interrupted (resumable)
    """
    source = load(settings)
    found = source.cluster(cluster)
    source.release(release)
    refuse_dirty(source, allow_dirty=allow_dirty)
    to = destination(source.folder, record)
    kubeconfig = kubeconfig_of(settings)
    note = check_cluster(found, kubeconfig)
    request = Request(source, cluster, release, kubeconfig, settings.runs, to)
    plan = planned(request)
    refuse_strange_ring(plan, pause)
    taken = refuse_unasked(plan, evidence_about(source.folder), consent, SystemClock().now())
    again: Object = {}
    if plan.hops:
        plan, again = heeded(source, plan, kubeconfig, try_again=consent.try_again)
    say(plan_text(plan, width()), err=True)
    if note:
        say(note, err=True)
    if not plan.hops:
        say(f"nothing to do: Git declares {release} already")
        return int(ExitCode.DONE)
    say(f"the record goes to {to}", err=True)
    confirm(plan, yes=yes)
    return show(start(request, plan, more={**again, **taken, **({PAUSE: pause} if pause else {})}), output)
