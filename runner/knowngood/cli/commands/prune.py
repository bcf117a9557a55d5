"""`knowngood prune`: forget old runs that a cluster keeps."""

from __future__ import annotations

import click

from knowngood.adapters.cluster.reader import marks
from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.nodes.clearing import at_work
from knowngood.cli.asking import ask
from knowngood.cli.matrix_source import kubeconfig_of, load
from knowngood.cli.options import (
    Settings,
    debug_option,
    dry_run_option,
    kubeconfig_option,
    matrix_option,
    yes_option,
)
from knowngood.cli.play import check_identity
from knowngood.cli.terminal import say
from knowngood.matrix.build import RUNS_KEPT_BY_DEFAULT
from knowngood.model.text import page
from knowngood.planner.keeping import forgettable
from knowngood.report.text import columns


@click.command("prune")
@click.argument("cluster", required=False)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Keep so many, whatever the cluster file says."
)
@dry_run_option
@yes_option
@kubeconfig_option
@matrix_option
@debug_option
@click.pass_obj
def command(settings: Settings, cluster: str | None, keep: int | None, yes: bool) -> int:
    """Forget old runs that a cluster keeps.

    Each run does so at its end; this is for clusters that no run has visited since long. Keeps the last runs that
    changed the cluster and as many of the others (`limits.runsKept` of CLUSTER's file, else 10), and whatever their
    age an open run, one that holds a node, and those that a rollback goes by. Deletes ConfigMaps of our namespace only;
    runs on this machine stay.

    \b
    Examples:
      knowngood prune ams-prod --kubeconfig ~/.kube/ams-prod --dry-run
      knowngood prune --kubeconfig ~/.kube/ams-prod --keep 3 --yes

    \b
    Exit codes: 0 forgotten, or nothing to forget; 1 not confirmed; 2 usage; 3 the cluster does not answer
    """
    kubeconfig = kubeconfig_of(settings)
    limit = RUNS_KEPT_BY_DEFAULT
    if cluster is not None:
        found = load(settings).cluster(cluster)
        check_identity(found, kubeconfig)
        limit = found.runs_kept
    kube = Kube(kubeconfig)
    checkpoint = ConfigMapCheckpoint(kube)
    known = checkpoint.runs()
    old = forgettable(known, keep or limit, marks(kube).values(), at_work(kube))
    told = {run.run: (run.run, run.started[:10], run.cluster, run.end or "never began") for run in known}
    rows = [told[run] for run in old]
    say(page(columns(rows, "")) if rows else f"nothing to forget: {len(known)} runs are kept")
    if not old:
        return 0
    ask(f"Forget these {len(old)} of {len(known)} runs on {kube.access.server}?", yes=yes)
    for run in old:
        checkpoint.forget(run)
    say(f"forgotten: {len(old)} of {len(known)} runs")
    return 0
