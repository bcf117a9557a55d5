"""`knowngood init`: lay out a new operations repository."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from knowngood.adapters.layout import KINDS, PINS, Layout, ci_of, lay_out, unignored
from knowngood.adapters.pins import Tool, pins, tool
from knowngood.cli.options import Settings, debug_option, dry_run_option
from knowngood.cli.terminal import say
from knowngood.cli.version import VERSION
from knowngood.model.text import page

NONE = "none"


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--ci",
    type=click.Choice([*KINDS, NONE]),
    help="Whose pipelines.  [default: by the files that are there, else by the remote's name]",
)
@click.option(
    "--wheel",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The wheel of knowngood that the pipelines install.  [default: the one that this was installed from]",
)
@dry_run_option
@debug_option
@click.pass_obj
def command(settings: Settings, folder: Path, ci: str | None, wheel: Path | None) -> int:
    """Lay out a new operations repository.

    A Git repository with the matrix (components, rules, profiles, releases, example clusters), the gates, the
    playbooks, the pipelines (validate, rehearse, nightly, promotion) and a README that says what to do first. The data
    is yours from then on; schemas stay the program's. In a repository that is there already only what is missing is
    written, and nothing committed. The pipelines install knowngood and all that it needs by version and hash.

    \b
    Examples:
      knowngood init ops --ci github && cd ops && knowngood validate
      knowngood init . --ci gitlab --wheel knowngood-0.1.0-py3-none-any.whl
      knowngood init . --dry-run

    \b
    Exit codes: 0 done, 2 the folder holds something and is no repository, or can't be written; the wheel is none
    """
    found = tool(VERSION, wheel)
    chosen = ci or ci_of(folder)
    made = lay_out(folder, chosen or NONE, pins(found), dry_run=settings.dry_run)
    if settings.dry_run:
        say(page([*(f"would write {path}" for path in made.new), *_kept(made)]))
        return 0
    say(f"{folder} is ready" if made.new else f"{folder} has all of it already")
    for line in (*_kept(made), *_next(made, found, chosen)):
        say(line, err=True)
    return 0


def _kept(made: Layout) -> list[str]:
    lines = [f"{path} is there already and stays as it is" for path in made.kept]
    if lacks := unignored(made.folder):
        lines.append(f".gitignore lacks {', '.join(lacks)}: what runs leave there would be committed")
    return lines


def _next(made: Layout, found: Tool, chosen: str) -> list[str]:
    """What is left to do."""
    lines = []
    if not chosen:
        lines.append("no pipeline was laid out: nothing here says whose it is")
        lines.append(f"  next: knowngood init {made.folder} --ci github, or --ci gitlab")
    elif chosen != NONE and not found.sha256 and PINS in made.new:
        lines.append(f"{PINS} has no hash of knowngood yet, so the pipelines refuse to install it")
        lines.append(f"  next: rm {PINS} && knowngood init {made.folder} --ci {chosen} --wheel FILE")
    first = [] if made.folder == Path.cwd() else [f"cd {made.folder}"]
    first += [] if made.committed or not made.new else [f"git add {shlex.join(made.new)}", "git commit"]
    lines += [f"  next: {' && '.join(first)}"] if first else []
    lines.append(
        f"  {'then' if first else 'next'}: knowngood validate && knowngood rehearse ams-prod --to r595"
    )
    return lines
