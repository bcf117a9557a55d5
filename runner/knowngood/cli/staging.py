"""A rehearsal's stage from a user's matrix: what `rehearse` and `demo` share."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from knowngood.adapters.stage import Stage
from knowngood.cli import runs
from knowngood.cli.matrix_source import Source, load
from knowngood.cli.options import Settings
from knowngood.cli.play import Request, planned, start
from knowngood.cli.signals import stopped_by_signals
from knowngood.cli.terminal import say, width
from knowngood.model.errors import UsageError
from knowngood.model.matrix import Cluster
from knowngood.ports.cancel import Cancel
from knowngood.rehearsal import compress, firmware, gitops
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.seed import seed
from knowngood.rehearsal.unnamed import as_named, unnamed
from knowngood.report.plan_text import plan_text
from knowngood.report.summary import Summary

DEFAULT_SCALE = 600.0
"""An hour of soak becomes six seconds; what real processes need does not shrink."""


def new_folder(out: Path) -> Path:
    """A new folder below `out`, named by the time."""
    return out / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"


@contextmanager
def staged(
    source: Source, found: Cluster, folder: Path, scale: float, without: Collection[str] = ()
) -> Iterator[Stage]:
    """The cluster at rest on its pinned release, as a twin as long as the block lasts; `without`: gates left out."""
    source.release(found.release)
    rest = AtRest.of(source.matrix, found)
    stage = Stage(folder)
    stage.build(
        source.folder,
        {
            ("cluster", found.name): compress.cluster_file(
                found, stage.repo_url, scale, firmware.named(rest, stage.state, stage.bmcs)
            ),
            **{
                ("profile", one.name): compress.profile_file(one, scale, without)
                for one in rest.hardware.profiles
            },
        },
        gitops.files(rest),
        seed(rest, stage.repo_url, stage.bmcs),
        found.gitops.branch,
    )
    cancel = Cancel()
    try:
        say(f"bringing up {found.name} at {rest.release.name} as a twin in {folder}", err=True)
        with stopped_by_signals(cancel, "stopping"):
            stage.start(scale, cancel)
        with stage.lent():
            yield stage
    finally:
        stage.stop()


def upgrade(stage: Stage, cluster: str, release: str, *, quiet: bool = False) -> Summary:
    """What `knowngood upgrade --yes` does, on the stage."""
    source = load(Settings(matrix=stage.matrix))
    request = Request(source, cluster, release, stage.kubeconfig, stage.runs)
    plan = planned(request)
    say(plan_text(plan, width()), err=True)
    return start(request, plan, quiet=quiet)


def startable(source: Source, found: Cluster, release: str) -> Cluster:
    """The cluster as a rehearsal can start it, what is left out said. UsageError where the move would start nowhere."""
    pinned = source.release(found.release)
    if left := unnamed(found, pinned):
        played = as_named(found, pinned, source.release(release))
        say(f"left out, as {pinned.name} does not name it: {', '.join(left)}", err=True)
        return played
    return found


def rehearsed(source: Source, found: Cluster, release: str, folder: Path, scale: float) -> Summary:
    """A whole rehearsal without faults, its reports in `folder`. UsageError where something is there already."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("an earlier rehearsal is here", where=str(folder), hint="name another --out")
    found = startable(source, found, release)
    with staged(source, found, folder, scale) as stage:
        summary = upgrade(stage, found.name, release)
    runs.copy_reports(stage.runs / summary.run, folder)
    return summary
