"""`knowngood record`: deliver a run's record to the matrix."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.gitops.matrix_files import counted
from knowngood.adapters.gitops.matrix_record import promotion_for
from knowngood.adapters.gitops.matrix_target import destination
from knowngood.cli import runs
from knowngood.cli.asking import end_if_dry
from knowngood.cli.existing_run import Ask, Known, by_its_matrix, known, record_of
from knowngood.cli.matrix_folder import matrix_folder
from knowngood.cli.options import Settings, dry_run_option, record_option, run_options
from knowngood.cli.terminal import say, say_json
from knowngood.matrix.build import pull_requests
from knowngood.model.destination import Destination
from knowngood.model.errors import Refused
from knowngood.model.evidence import FAILED, INCONCLUSIVE
from knowngood.model.gitops import PullRequests
from knowngood.model.jsonable import to_json
from knowngood.model.values import Object
from knowngood.ports.promotion import Recorded
from knowngood.report.summary import RecordLine, recorded


@click.command("record")
@click.argument("run")
@record_option
@dry_run_option
@run_options
def command(settings: Settings, run: str, record: str, output: str) -> int:
    """Deliver a run's record to the matrix, where its end could not.

    A run that is done has proven its release, and one that is restored may have proven that it fails, whether or not
    the matrix took the commit. This makes the commit from the evidence that the run kept, here or beside its
    checkpoint in the cluster, on the branch as it is now: what was revoked meanwhile is not raised, and a later run's
    pin stays. It goes where the run was told to record, or where --record says. Asked twice, it writes once.

    \b
    Examples:
      knowngood record r20260822-031500-7f3a
      knowngood record r20260822-031500-7f3a --record branch=ams-prod-r595     for a pull request
      knowngood record r20260822-031500-7f3a --kubeconfig ~/.kube/ams-prod     a run of another machine

    \b
    Exit codes: 0 it is delivered, now or before, 1 the run has nothing to record, 2 usage, or the remote refuses it,
      3 the remote does not answer, or others pushed all the time
    """
    with known(settings, run, Ask.MAY) as found:
        evidence = _evidence(found)
        matrix = matrix_folder(by_its_matrix(settings, found))
        to = destination(matrix, record) if record else record_of(found, matrix)
        end_if_dry(f"would record {evidence['release']} on {evidence['cluster']}: {to}")
        how = pull_requests((found.cluster_file() or {}).get("gitops") or {})
        told = deliver(evidence, matrix, to, found.folder, how)
        line = RecordLine(told.where, told.commit, told.file, told.note, into=to.into)
        if found.folder.is_dir():
            runs.delivered(found.folder, line)
    if found.local:
        runs.write_reports(found.folder)
    _tell(found.run_id, evidence, told, output)
    return 0


def deliver(
    evidence: Object, matrix: Path, to: Destination, folder: Path, how: PullRequests | None = None
) -> Recorded:
    """Write a run's evidence to the matrix, in a clone that is thrown away; a patch is kept in the run's `folder`.

    `how`: what opens a pull request, where the branch must still be merged.
    """
    release, cluster = str(evidence["release"]), str(evidence["cluster"])
    with tempfile.TemporaryDirectory(prefix="knowngood-") as scratch:
        writer = promotion_for(matrix, to, Path(scratch), how)
        if evidence.get("status") in (FAILED, INCONCLUSIVE):
            told = writer.record_failure(release, cluster, evidence)
        else:
            worth = writer.appraise(evidence, SystemClock().now())
            counts = counted(evidence, worth)
            told = writer.promote(release, counts["status"], cluster, counts)
        if told.file:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            kept = folder / Path(told.file).name
            shutil.move(told.file, kept)
            told = replace(told, file=str(kept))
    return told


def _evidence(run: Known) -> Object:
    """What the run kept to record; Refused where there is nothing."""
    result = recorded(run.state)
    if run.state.end is None or result is None:
        state = f"ended {run.state.end.name}" if run.state.end else "has not ended"
        raise Refused(
            f"run {run.run_id} {state} and has nothing to record", hint=f"knowngood status {run.run_id}"
        )
    return dict(run.load(result.files["evidence"]))


def _tell(run: str, evidence: Object, told: Recorded, output: str) -> None:
    if output == "json":
        said = {"run": run, "release": evidence["release"], "cluster": evidence["cluster"]}
        say_json({**said, **to_json(told)})
        return
    counts = f"recorded as {told.status}: {told.because}"
    say(f"run {run}: {evidence['release']} on {evidence['cluster']} is {counts}")
    lines = (f"commit {told.commit[:12]}" if told.commit else told.file, told.where, told.note)
    for line in filter(None, lines):
        say(f"  {line}")
