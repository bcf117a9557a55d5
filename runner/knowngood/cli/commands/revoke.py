"""`knowngood revoke`: take a release out of use."""

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
from knowngood.matrix.status_edit import revoked
from knowngood.model.errors import ExitCode, Refused, UsageError
from knowngood.planner.status import why_not_revoked

MAX_REASON = 1000


@click.command("revoke")
@click.argument("release")
@click.option("--reason", metavar="TEXT", required=True, help="Why: what the next person needs to know.")
@push_option
@dry_run_option
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, release: str, reason: str, push: bool, output: str) -> int:
    """Take a release out of use, with the reason.

    In one commit. There is no way back: a mended release gets a new name. Nothing is deleted and no cluster is
    touched. Clusters that pin the release are named: knowngood exposure says for how long they run it.

    \b
    Examples:
      knowngood revoke r610 --reason "Xid 31 on three of six nodes, run 20260822-030000"

    \b
    Exit codes: 0 revoked, 1 it is revoked already, 2 usage, or the file has uncommitted changes; nothing was written,
      3 committed here, but not pushed
    """
    source = load(settings)
    found = source.release(release)
    if no := why_not_revoked(found):
        raise Refused(no, where=found.where)
    words = " ".join(reason.split())
    if not words or not words.isprintable() or len(words) > MAX_REASON:
        raise UsageError(
            "that is no reason", hint=f"one sentence of printable text, at most {MAX_REASON} characters"
        )
    repository = checkout(source.folder, push=push, what="the revocation")
    file, text = repository.text(release)
    edited = revoked(text, words, file=file)
    end_if_dry(f"would revoke {release}, which is {found.status}: {words}")
    commit = repository.change(f"{release} is revoked", words, {release: edited}, release)
    pinned = sorted(c.name for c in source.matrix.clusters.values() if c.release == release)
    if output == "json":
        said = {"release": release, "before": found.status.value, "status": "revoked", "reason": words}
        say_json({**said, "pinnedBy": pinned, "commit": commit})
        return int(ExitCode.DONE)
    say(f"{release}: {found.status} → revoked")
    say(f"  commit {commit[:12]}")
    for name in pinned:
        say(f"  {name} pins it: knowngood exposure --cluster {name}")
    return int(ExitCode.DONE)
