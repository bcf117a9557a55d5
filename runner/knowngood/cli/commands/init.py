"""`knowngood init`: lay out a new operations repository."""

from __future__ import annotations

from pathlib import Path

import click

from knowngood.adapters.layout import lay_out
from knowngood.cli.options import Settings, debug_option
from knowngood.cli.terminal import say


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@debug_option
@click.pass_obj
def command(settings: Settings, folder: Path) -> int:
    """Lay out a new operations repository.

    A Git repository with the matrix (components, rules, profiles, releases, an example cluster), the gates, the
    playbooks and a README that says what to do first. The data is yours from then on; schemas stay the program's.

    \b
    Examples:
      knowngood init ops && cd ops
      knowngood validate

    \b
    Exit codes: 0 done, 2 the folder is not empty or can't be written
    """
    lay_out(folder)
    say(f"{folder} is ready")
    say(f"  next: cd {folder} && knowngood validate && knowngood rehearse ams-prod --to r595", err=True)
    return 0
