"""`knowngood rehearse`: your cluster file, your matrix, no hardware."""

from __future__ import annotations

from pathlib import Path

import click

from knowngood.cli import runs
from knowngood.cli.data import load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.play import show
from knowngood.cli.staging import DEFAULT_SCALE, new_folder, staged, upgrade
from knowngood.model.errors import UsageError


@click.command("rehearse")
@click.argument("cluster")
@click.option("--to", "release", metavar="RELEASE", required=True, help="The release to go to.")
@click.option(
    "--fault",
    "faults",
    metavar="NAME=NODE",
    multiple=True,
    help="Something that goes wrong; may be repeated. `knowngood twin fault add --help` lists the names.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("rehearsals"),
    show_default=True,
    help="A new folder in it keeps everything.",
)
@click.option(
    "--time-scale",
    type=click.FloatRange(1, 10_000),
    default=DEFAULT_SCALE,
    show_default=True,
    help="Divide durations by this; real processes keep their pace.",
)
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    cluster: str,
    release: str,
    faults: tuple[str, ...],
    out: Path,
    time_scale: float,
    output: str,
) -> int:
    """Play an upgrade of your cluster file on the embedded cluster.

    The twin starts as your cluster file, profile and pinned release say; then `upgrade` runs on it, with copies of
    your matrix and of a GitOps repository. Nothing of yours is changed, and nothing here becomes evidence.

    \b
    Examples:
      knowngood rehearse ams-prod --to r595
      knowngood rehearse ams-prod --to r610 --fault xid-31-after-driver=gpu-1

    \b
    Exit codes: those of `upgrade`: 0 it would be done, 1 refused, 5 held or quarantined, 6 restored
    """
    wanted = [parsed(fault) for fault in faults]
    source = load(settings)
    source.release(release)
    folder = new_folder(out)
    with staged(source, cluster, folder, time_scale) as stage:
        for name, node in wanted:
            stage.fault(name, node)
        summary = upgrade(stage, cluster, release)
    runs.copy_reports(stage.runs / summary.run, folder)
    click.echo(f"report: {folder / 'report.html'}", err=True)
    return show(summary, output)


def parsed(fault: str) -> tuple[str, str]:
    """NAME=NODE; the node may be empty for a fault of the whole cluster."""
    name, sign, node = fault.partition("=")
    if not name or not sign:
        raise UsageError(f"--fault {fault}: NAME=NODE is expected", hint="for example xid-79=gpu-1")
    return name, node
