"""`knowngood handover`: one page to finish a run by hand."""

from __future__ import annotations

import click

from knowngood.cli.existing_run import Ask, Known, by_its_matrix, known
from knowngood.cli.matrix_source import Source, load
from knowngood.cli.options import Settings, debug_option, kubeconfig_option, matrix_option, runs_option
from knowngood.cli.terminal import say
from knowngood.cli.told import asked
from knowngood.matrix.build import cluster_of
from knowngood.model.errors import Location
from knowngood.model.matrix import Cluster
from knowngood.report.handover import handover


@click.command("handover")
@click.argument("run", required=False)
@kubeconfig_option
@matrix_option
@runs_option
@debug_option
@click.pass_obj
def command(settings: Settings, run: str | None) -> int:
    """One page to finish a run by hand.

    What is changed, what is held, and what to type next: Markdown on stdout. Reads the journal, or the checkpoint of
    a run started elsewhere, and asks the nodes what is held; changes nothing. Stop the run first
    (`knowngood abort --hold`).

    \b
    Examples:
      knowngood handover > handover.md
      knowngood handover r20260822-031500-7f3a --kubeconfig ~/.kube/ams-prod

    \b
    Exit codes: 0 printed, 2 there is no such run, 3 the cluster does not answer
    """
    with known(settings, run, Ask.MAY) as local:
        found = asked(local)
        source = load(by_its_matrix(settings, found))
        plan = found.plan.moved_by(source.matrix.movers)
        say(handover(found.summary, plan, _cluster(source, found)))
    return 0


def _cluster(source: Source, run: Known) -> Cluster:
    """The cluster as the run knows it: a matrix that is not its own may say something else by now."""
    kept, name = run.cluster_file(), run.plan.cluster
    if not kept:  # by an older version
        return source.cluster(name)
    return cluster_of(name, kept, Location(f"the cluster file that run {run.run_id} keeps"))
