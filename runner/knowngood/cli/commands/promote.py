"""`knowngood promote`: raise a release by evidence."""

from __future__ import annotations

from pathlib import Path

import click

from knowngood.adapters.clock import SystemClock
from knowngood.cli.checkout import checkout
from knowngood.cli.matrix_source import load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option, push_option
from knowngood.cli.terminal import say, say_json
from knowngood.matrix.evidence import read_evidence
from knowngood.model.errors import ExitCode, Refused
from knowngood.model.evidence import Appraisal
from knowngood.model.matrix import ReleaseStatus
from knowngood.planner.status import RANK, raised


@click.command("promote")
@click.argument("release")
@click.option(
    "--evidence",
    "file",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="What a run wrote: evidence/CLUSTER/RELEASE-RUN.json, or the file of the run's folder.",
)
@push_option
@click.option("--dry-run", is_flag=True, help="Say what it is worth, and write nothing.")
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, release: str, file: Path, push: bool, dry_run: bool, output: str) -> int:
    """Raise a release by evidence.

    One commit holds the evidence file and the status. The evidence must be of exactly the release's versions,
    hold a pass of every gate that the profile asks, come from the gates of the commit it names, not have expired,
    and no later run of the release may have failed on that profile. It counts as known-good only if the cluster's
    identity is the pinned one and each smoke test ran on the profile's backend; else as rehearsed. A run's end
    does the same by itself.

    \b
    Examples:
      knowngood promote r595 --evidence r595-20260822-030000.json
      knowngood promote r595 --evidence proof.json --dry-run --output json

    \b
    Exit codes: 0 promoted, or as high already, 1 the evidence is refused; nothing was written, 2 usage,
      3 committed here, but not pushed
    """
    source = load(settings)
    found = source.release(release)
    evidence = read_evidence(file)
    if evidence["release"] != release:
        raise Refused(f"it is evidence of {evidence['release']}, not of {release}", where=str(file))
    repository = checkout(source.folder, push=push, what="the promotion")
    worth = repository.appraise(evidence, SystemClock().now())
    if worth.status is None:
        raise Refused(
            f"the evidence is refused: {'; '.join(worth.refusals)}",
            where=str(file),
            hint="prove the release again",
        )
    if found.status not in RANK:
        raise Refused(
            f"{release} is {found.status} and stays so: {found.reason or 'another took its place'}",
            where=found.where,
            hint="a mended release gets a new name",
        )
    counted = {"status": worth.status.value, "because": worth.because, "expires": worth.expires}
    commit = "" if dry_run else repository.bring(release, worth.status.value, {**evidence, **counted})
    _tell(release, found.status, worth, commit, output, dry_run=dry_run)
    return int(ExitCode.DONE)


def _tell(
    release: str, before: ReleaseStatus, worth: Appraisal, commit: str, output: str, *, dry_run: bool
) -> None:
    assert worth.status is not None  # noqa: S101 (a refusal has ended before)
    after = raised(before, worth.status)
    if output == "json":
        said = {
            "release": release,
            "before": before.value,
            "status": after.value,
            "worth": worth.status.value,
        }
        more = {"because": worth.because, "expires": worth.expires, "commit": commit or None}
        say_json({**said, **more})
        return
    change = f"{before} → {after}" if after is not before else f"stays {after}"
    say(f"{release}: {change}{' (dry run)' if dry_run else ''}")
    say(f"  the evidence counts as {worth.status}: {worth.because}; it expires {worth.expires}")
    if commit:
        say(f"  commit {commit[:12]}")
    elif not dry_run:
        say("  nothing to commit: it is all there")
