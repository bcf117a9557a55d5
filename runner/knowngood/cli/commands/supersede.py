"""`knowngood supersede`: let a release take the place of another."""

from __future__ import annotations

import click

from knowngood.cli.asking import end_if_dry
from knowngood.cli.checkout import checkout
from knowngood.cli.matrix_source import load
from knowngood.cli.options import (
    Settings,
    debug_option,
    dry_run_option,
    matrix_option,
    output_option,
    push_option,
)
from knowngood.cli.terminal import say, say_json
from knowngood.matrix.status_edit import deprecated, superseding
from knowngood.model.errors import ExitCode, Refused
from knowngood.planner.status import why_not_superseded


@click.command("supersede")
@click.argument("old")
@click.option("--by", "new", metavar="NEW", required=True, help="The release that takes its place.")
@push_option
@dry_run_option
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, old: str, new: str, push: bool, output: str) -> int:
    """Let a release take the place of another.

    In one commit OLD is deprecated and NEW says that it supersedes it. NEW must be proven as far as OLD and be
    meant for all of its hardware profiles. A release takes the place of one other only.

    \b
    Examples:
      knowngood supersede r580 --by r595

    \b
    Exit codes: 0 done, 1 NEW can't take its place, 2 usage, or a file has uncommitted changes; nothing was written,
      3 committed here, but not pushed
    """
    source = load(settings)
    before, after = source.release(old), source.release(new)
    if no := why_not_superseded(source.matrix.releases, before, after):
        raise Refused(no, where=after.where)
    repository = checkout(source.folder, push=push, what="the change")
    old_file, old_text = repository.text(old)
    new_file, new_text = repository.text(new)
    texts = {
        old: deprecated(old_text, file=old_file),
        new: superseding(new_text, old, file=new_file),
    }
    end_if_dry(f"would make {old}, which is {before.status}, deprecated, superseded by {new}")
    commit = repository.change(f"{new} supersedes {old}", "", texts, new)
    if output == "json":
        said = {
            "old": old,
            "before": before.status.value,
            "status": "deprecated",
            "by": new,
            "commit": commit,
        }
        say_json(said)
    else:
        say(f"{old}: {before.status} → deprecated, superseded by {new}")
        say(f"  commit {commit[:12]}")
    return int(ExitCode.DONE)
