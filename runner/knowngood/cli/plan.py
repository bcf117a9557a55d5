"""`knowngood plan`: what an upgrade would do."""

from __future__ import annotations

import json

import click

from knowngood.cli.data import load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.wiring import declared_versions
from knowngood.model.jsonable import to_json
from knowngood.planner.plan import plan
from knowngood.report.plan_text import plan_text


@click.command("plan")
@click.argument("cluster")
@click.option("--to", "release", metavar="RELEASE", required=True, help="The release to go to.")
@click.option(
    "--from-git", is_flag=True, help="Read what Git declares, instead of trusting the pinned release."
)
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, cluster: str, release: str, from_git: bool, output: str) -> int:
    """Say what an upgrade would do, and what it would take to undo it.

    Reads the matrix, and with --from-git the GitOps repository; changes nothing. `upgrade` makes the same plan,
    from Git, shows it and asks.

    \b
    Examples:
      knowngood plan ams-prod --to r595
      knowngood plan ams-prod --to r595 --from-git --output json

    \b
    Exit codes: 0 there is a plan, 1 a rule forbids it, 2 unknown cluster or release, 3 Git did not answer
    """
    source = load(settings)
    declared = declared_versions(source.cluster(cluster)) if from_git else None
    made = plan(source.matrix, cluster, release, declared=declared)
    click.echo(
        json.dumps(to_json(made), indent=2) if output == "json" else plan_text(made), nl=output == "json"
    )
    return 0
