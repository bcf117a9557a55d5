"""`knowngood rehearse-changed`: what a pull request brings, played before it is merged."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from knowngood.adapters.gitops.matrix_revisions import matrix_at, merge_base
from knowngood.cli.matrix_source import Source, load
from knowngood.cli.options import Settings, debug_option, dry_run_option, matrix_option, output_option
from knowngood.cli.staging import DEFAULT_SCALE, rehearsed
from knowngood.cli.terminal import say, say_json, say_orders
from knowngood.matrix import build, documents
from knowngood.model.errors import ExitCode, Interrupted, KnowngoodError, Problem
from knowngood.model.matrix import Matrix
from knowngood.model.text import page
from knowngood.planner.changed import Pair, pairs, releases
from knowngood.report.problems import github_annotations
from knowngood.report.rehearsed_text import Played, rehearsed_json, rehearsed_text

UNTOLD = "pinned already, so nothing leads there: nobody can tell whether it works; give changed versions a new release"

RULE = "rehearsal"
"""What an annotation is called that no numbered rule of the matrix stands behind."""


@click.command("rehearse-changed")
@click.option(
    "--since", metavar="REV", required=True, help="Compare with where the branch left this revision."
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("rehearsals"),
    show_default=True,
    help="A folder CLUSTER-RELEASE in it for each rehearsal.",
)
@dry_run_option
@matrix_option
@output_option("text", "json", "github")
@debug_option
@click.pass_obj
def command(settings: Settings, since: str, out: Path, output: str) -> int:
    """Rehearse each release that a branch changed, on each cluster whose hardware it names.

    A release is changed where it is new or names other versions or hardware. Clusters of other hardware are listed as
    not meant: they say nothing against it. One that the branch also pins is played from the pin before; where there was
    no other one, nobody can tell. Each rehearsal is what `knowngood rehearse` does, one after the other.
    `github` also prints an annotation on the release's file for each that did not end done.

    \b
    Examples:
      knowngood rehearse-changed --since origin/main
      knowngood rehearse-changed --since origin/main --dry-run        which would be played
      knowngood rehearse-changed --since "$BASE" --output github

    \b
    Exit codes: 0 each ended done, or none was to be played; 1 one did not; 2 usage; 3 one could not be told;
      130 interrupted
    """
    source = load(settings)
    before = _before(source, since)
    pins = {name: one.release for name, one in before.clusters.items()}
    wanted = tuple(pairs(source.matrix, releases(before.releases, source.matrix.releases), pins))
    if not wanted:
        say("no release was added or changed: nothing to rehearse", err=True)
    played = [_row(source, pair, out, dry_run=settings.dry_run) for pair in wanted]
    if output == "json":
        say_json(rehearsed_json(played))
    else:
        say(rehearsed_text(played))
    if output == "github":
        say_orders(github_annotations(_against(source, played)))
    codes = {row.code for row in played}
    if codes - {ExitCode.DONE, ExitCode.INCONCLUSIVE}:
        return int(ExitCode.REFUSED)
    return int(ExitCode.INCONCLUSIVE if ExitCode.INCONCLUSIVE in codes else ExitCode.DONE)


def _before(source: Source, since: str) -> Matrix:
    """The matrix as it was where the branch left `since`, as far as it can be read."""
    with tempfile.TemporaryDirectory() as folder:
        base, _ = matrix_at(source.folder, merge_base(source.folder, since), Path(folder))
        return build.matrix(documents.read(base))


def _row(source: Source, pair: Pair, out: Path, *, dry_run: bool) -> Played:
    """One pair, played where it is to be."""
    if pair.why_not or dry_run:
        untold = pair.untold and not dry_run
        code, why = (ExitCode.INCONCLUSIVE, UNTOLD) if untold else (ExitCode.DONE, "")
        return Played(pair, "" if pair.why_not else "would be played", code, why)
    folder = out / f"{pair.cluster}-{pair.release}"
    say(page(["", f"{pair.cluster} to {pair.release}"]), err=True)
    found = source.cluster(pair.cluster)
    if pair.start:
        found = replace(found, release=pair.start, raw={**found.raw, "release": pair.start})
    try:
        summary = rehearsed(source, found, pair.release, folder, DEFAULT_SCALE)
    except Interrupted:
        raise
    except KnowngoodError as error:
        return Played(pair, "could not be played", error.exit_code, str(error))
    code = ExitCode(summary.exit_code if summary.exit_code is not None else ExitCode.INTERRUPTED)
    return Played(pair, summary.end, code, summary.why, str(folder / "report.html"))


def _against(source: Source, played: Sequence[Played]) -> list[Problem]:
    """What speaks against a release, on the line of its file that a reader looks at first."""
    return [
        Problem(
            source.release(row.pair.release).where,
            f"the rehearsal on {row.pair.cluster} ended {row.end or 'unplayed'}: {row.why}",
            RULE,
            f"knowngood rehearse {row.pair.cluster} --to {row.pair.release}",
            expected="done",
        )
        for row in played
        if row.code is not ExitCode.DONE
    ]
