"""One run from its first record to its reports: `upgrade`, `resume`, `rollback`, `rehearse` and `demo` come here."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from knowngood.adapters.gitops.matrix_target import destination
from knowngood.cli import runs
from knowngood.cli.matrix_source import Source
from knowngood.cli.signals import stopped_by_signals
from knowngood.cli.terminal import say
from knowngood.cli.told import marks_of
from knowngood.cli.who import runner
from knowngood.cli.wiring import Audience, Place, declared_versions, ports, reader
from knowngood.engine.doing import then_resume
from knowngood.engine.engine import Engine, frozen_plan
from knowngood.matrix.locate import own_roles
from knowngood.model.destination import Destination
from knowngood.model.errors import ExitCode, Interrupted, Location, LockHeld, UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster
from knowngood.model.plan import Plan
from knowngood.model.record import Record
from knowngood.model.text import as_json
from knowngood.model.values import Values
from knowngood.planner.plan.case import Wishes
from knowngood.planner.plan.planning import plan as make_plan
from knowngood.planner.plan.planning import refuse_unmovable
from knowngood.ports.cancel import Cancel
from knowngood.ports.observer import Observer
from knowngood.report.console import Board, PlainLines
from knowngood.report.html import html
from knowngood.report.summary import Summary, expanded
from knowngood.report.text import summary_text


@dataclass(frozen=True, slots=True)
class Request:
    """A new run, as asked for."""

    source: Source
    cluster: str
    release: str
    kubeconfig: Path
    runs: Path
    record: Destination | None = None  # None: where the matrix came from
    wishes: Wishes | None = None  # of the kept plan that it goes by


def planned(request: Request) -> Plan:
    """The plan from what Git declares now, every hop of it movable. Refused, UsageError, Unreachable."""
    cluster = request.source.cluster(request.cluster)
    declared = declared_versions(cluster)
    matrix, wishes = request.source.matrix, request.wishes
    made = make_plan(matrix, request.cluster, request.release, declared=declared, wishes=wishes)
    refuse_unmovable(made)
    return made


def check_identity(cluster: Cluster, kubeconfig: Path) -> str:
    """What the pinned identity means for this run. UsageError: the kubeconfig reaches another cluster."""
    found = reader(kubeconfig, cluster).identity()
    if cluster.identity is None:
        return f"{cluster.name} pins no identity: this run ends at most rehearsed"
    if found != cluster.identity:
        raise UsageError(
            f"{kubeconfig} reaches another cluster than {cluster.name} pins"
            f" (kube-system {found.uid}, pinned {cluster.identity.uid})",
            where=cluster.where,
            hint="use the right kubeconfig; nothing was changed",
        )
    return ""


def check_cluster(cluster: Cluster, kubeconfig: Path) -> str:
    """As `check_identity`, before a new run; UsageError too where a node of the file is not there.

    A run that has begun must be able to go on, or back, when a machine is gone.
    """
    note = check_identity(cluster, kubeconfig)
    if wrong := cluster.strangers(reader(kubeconfig, cluster).node_names()):
        node, why = next(iter(wrong.items()))
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UsageError(
            f"{node} {why}{more}",
            where=Location(cluster.where.file, cluster.lines.get(node)),
            hint="correct the cluster file, or use the kubeconfig of the cluster it describes",
        )
    return note


def start(request: Request, plan: Plan, *, quiet: bool = False, more: Values | None = None) -> Summary:
    """Play a new run to its end. `more`: what else record 0 keeps."""
    cluster = request.source.cluster(request.cluster)
    record = request.record or destination(request.source.folder)
    run_id = runs.new_id()
    folder = request.runs / run_id
    folder.mkdir(parents=True, mode=0o700)
    place = Place(
        matrix_folder=request.source.folder,
        matrix=request.source.matrix,
        cluster=cluster,
        hardware=request.source.hardware(cluster),
        release=request.source.release(request.release),
        kubeconfig=request.kubeconfig,
        folder=folder,
        run_id=run_id,
        record=record,
    )
    frozen = {
        "matrix": str(request.source.folder.absolute()),
        "kubeconfig": str(request.kubeconfig.absolute()),
        "record": to_json(record),
        "cluster_digest": plan.cluster_digest,
        "matrix_commit": plan.matrix_commit,
        "soak": cluster.limits.soak,
        "window_end": cluster.window_end,
        **(more or {}),
    }
    say(f"run {run_id} in {folder}", err=True)
    try:
        return play(place, plan, frozen, quiet=quiet)
    except LockHeld:
        if folder not in runs.all_runs(request.runs):
            shutil.rmtree(folder)  # it never began
        raise


def play(
    place: Place,
    plan: Plan | None,
    frozen: Values | None = None,
    *,
    known: bool = False,
    back: bool = False,
    on: bool = False,
    quiet: bool = False,
) -> Summary:
    """Run the engine under signals and an observer, then write the reports. `plan` None: as record 0 froze it.

    `known`: the run has begun, here or elsewhere. `back`: it has ended, and is opened again to be taken back; `on`: it
    has ended held, and goes on.
    Raises LockHeld, and Interrupted after the reports were written.
    """
    cancel, audience = Cancel(), Audience()
    roles, names = own_roles(place.matrix_folder)
    if names:
        say(f"roles of your own take the place of ours: {', '.join(names)} ({roles})", err=True)
    place = replace(place, folder=place.folder.absolute())  # git and the gates work in folders of their own
    with ExitStack() as stack:
        stack.enter_context(stopped_by_signals(cancel))
        open_ports = stack.enter_context(ports(place, audience, cancel))
        plan = (plan or frozen_plan(open_ports, place.run_id)).moved_by(place.matrix.movers)
        read = open_ports.journal.get
        so_far = [expanded(r, lambda digest: json.loads(read(digest))) for r in open_ports.journal.records()]
        watcher = watching(plan, place.cluster, so_far, quiet=quiet)
        audience.watching.append(stack.enter_context(watcher))
        engine = Engine(
            open_ports, plan, place.cluster, place.hardware, place.run_id, cancel, frozen or {}, runner()
        )
        engine.known = known
        if back:
            engine.roll_back()
        if on:
            engine.go_on()
        now = None
        try:
            engine.run()
        except Interrupted as stopped:
            stopped.hint = stopped.hint or then_resume(place.run_id)
            raise
        finally:
            if open_ports.journal.records():
                now = marks_of(place.kubeconfig, place.run_id)
                runs.write_reports(place.folder, now)
    if engine.untold:
        told = (
            f"others still see run {place.run_id} as open, the cluster did not take its end ({engine.untold})"
        )
        say(f"{told}: knowngood resume {place.run_id} writes it", err=True)
    return runs.write_reports(place.folder, now)


@contextmanager
def watching(plan: Plan, cluster: Cluster, so_far: Sequence[Record], *, quiet: bool) -> Iterator[Observer]:
    """The live board on a terminal, plain lines elsewhere, nothing where `quiet`. `so_far`: a resumed run's records."""
    if quiet:
        yield Audience()
    elif sys.stderr.isatty():
        limits, end = cluster.limits, cluster.window_end
        with Board(plan, soak=limits.soak, window_end=end, so_far=so_far) as board:
            yield board
    else:
        yield PlainLines(plan=plan)


def advise(folder: Path, summary: Summary, then: Sequence[str]) -> None:
    """Write a run's report.html again, with what to do next after a run that was only played."""
    (folder / "report.html").write_text(html((summary,), then=then))


def show(summary: Summary, output: str, then: Sequence[str] = ()) -> int:
    """Print the result on stdout; the run's exit code, also where nobody reads stdout any more."""
    text = as_json(to_json(summary)) if output == "json" else summary_text(summary, then=then)
    try:
        say(text)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(ExitCode.INTERRUPTED if summary.exit_code is None else summary.exit_code)
