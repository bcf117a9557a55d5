"""A run that exists: from its folder on this machine, else from its checkpoint in the cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from knowngood.adapters.gitops.matrix_target import destination
from knowngood.adapters.journal import is_open
from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.kubeconfig import one_of, together
from knowngood.adapters.processes.supervisor import wait_gone
from knowngood.cli import runs
from knowngood.cli.matrix_source import load
from knowngood.cli.options import Settings
from knowngood.cli.terminal import say
from knowngood.cli.wiring import Place, checkpoint
from knowngood.engine.standing import last_change, refuse_different
from knowngood.matrix.build import cluster_of
from knowngood.model.destination import Destination, Way
from knowngood.model.errors import KnowngoodError, Location, Refused, UsageError
from knowngood.model.hardware import Hardware
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Cluster, Profile
from knowngood.model.plan import Plan
from knowngood.model.record import Record, RecordType
from knowngood.model.state import RunState, fold
from knowngood.model.truth import Standing, standing
from knowngood.model.values import Values
from knowngood.planner.digest import changed, cluster_digest, profile_changed
from knowngood.ports.cancel import Cancel
from knowngood.report.summary import Summary, expanded, plan_of, summarise

ORPHANS_DEADLINE = 30.0
"""Seconds to wait for a killed run's last process; its supervisor ends it within a second or two."""


@dataclass(frozen=True, slots=True)
class Known:
    """A run and its state. `kubeconfig` None: neither given nor recorded. `local`: its folder is here.

    `untold`: it ended here, and its checkpoint does not say so yet: the runner died before it could write it.
    `load` reads a kept JSON value by its digest, as long as the run is open for reading.
    """

    run_id: str
    folder: Path
    state: RunState
    plan: Plan
    summary: Summary
    kubeconfig: Path | None
    local: bool
    load: Callable[[str], Any]
    untold: bool = False

    def cluster_file(self) -> Values | None:
        """What the cluster file said when the run began; None where an older version did not keep it."""
        return self._kept("cluster_file")

    def hardware(self) -> Hardware | None:
        """What the hardware profiles said when the run began; None where an older version did not keep it."""
        kept = self._kept("profile_file")
        if kept is None:
            return None
        return from_json(Hardware, kept) if "profiles" in kept else Hardware((from_json(Profile, kept),))

    def _kept(self, name: str) -> Values | None:
        digest = str(self.state.frozen.get(name, ""))
        return dict(self.load(digest)) if digest else None

    def cluster(self) -> Path:
        """The kubeconfig; UsageError where there is none."""
        if self.kubeconfig is None:
            raise UsageError("no cluster is named", hint="set --kubeconfig FILE")
        return self.kubeconfig


class Ask(Enum):
    """Whether a command compares this machine's journal with the run's checkpoint in the cluster."""

    MUST = "must"  # it goes on or back
    MAY = "may"  # it only tells: where the cluster does not answer, by the journal
    NO = "no"


@contextmanager
def known(settings: Settings, name: str | None, ask: Ask = Ask.MUST) -> Iterator[Known]:
    """A run by its id, or the beginning of it; the newest here where no name is given.

    What its checkpoint in the cluster says counts: where this machine's journal is behind it, the run is as it is
    there, and that is said. Refused where they tell different stories and `ask` is MUST.
    """
    try:
        folder = runs.find(settings.runs, name)
    except UsageError:
        kubeconfig = _kubeconfig(settings, "")
        if name is None or kubeconfig is None or runs.begin_with(settings.runs, name):
            raise
        yield _remote(settings, name, kubeconfig)
        return
    with runs.reading(folder) as run:
        found = _known(settings, folder, run.records, run.load, local=True)
        summary, open_here = found.summary, is_open(folder)
        if not summary.end and not summary.interrupted and not open_here:  # killed
            gone = f"its runner is gone; it was at {summary.running or 'no step'}"
            found = replace(found, summary=replace(summary, interrupted=gone))
        yield found if ask is Ask.NO else _reconciled(settings, found, ask, open_here=open_here)


def _reconciled(settings: Settings, here: Known, ask: Ask, *, open_here: bool) -> Known:
    """The run as its checkpoint says, where this machine's journal is behind it."""
    if here.kubeconfig is None and (ask is Ask.MAY or here.state.end):
        return here  # nothing goes on from here
    try:
        there = checkpoint(here.cluster(), patient=ask is Ask.MUST).load(here.run_id)
    except KnowngoodError as error:
        if ask is Ask.MUST:
            raise
        say(f"the cluster does not tell, so this is what the journal here says ({error})", err=True)
        return here
    if open_here and there is not None and there.fence <= here.state.fence:
        return here  # its runner is at work, and writes both
    found = standing(here.state, there)
    try:
        refuse_different(here.state, there, found)
    except Refused as different:
        if ask is Ask.MUST and not (found is Standing.GONE and here.state.end):
            raise
        say(f"{different}; {different.hint}", err=True)
    if there is None or found not in (Standing.BEHIND, Standing.ENDED):
        return replace(here, untold=here.state.end is not None and there is not None and there.end is None)
    how = f"ended {there.end.name}" if there.end else "went on"
    say(f"the run {how} elsewhere (by {there.who or 'somebody'}): shown is what the cluster says", err=True)
    return _taken(settings, there, checkpoint(here.cluster()), here.folder)


def _known(
    settings: Settings, folder: Path, records: tuple[Record, ...], read: Callable[[str], Any], *, local: bool
) -> Known:
    state = fold(expanded(r, read) for r in records)
    kubeconfig = _kubeconfig(settings, str(state.frozen.get("kubeconfig", "")))
    plan, summary = plan_of(state, read), runs.told(summarise(records, read), folder)
    return Known(state.run, folder, state, plan, summary, kubeconfig, local, read)


def _kubeconfig(settings: Settings, recorded: str) -> Path | None:
    named = os.environ.get("KUBECONFIG", "").strip(os.pathsep)
    brought = not settings.kubeconfig and Path(recorded).parent == together()
    if named and brought and str(now := one_of(named)) == recorded:  # as the several files are by now
        return now
    if settings.kubeconfig or recorded:
        return Path(settings.kubeconfig or recorded)
    return one_of(named) if named else None


def _remote(settings: Settings, name: str, kubeconfig: Path) -> Known:
    """A run that another machine started: as the checkpoint has it, which is at most one step behind."""
    saved = checkpoint(kubeconfig)
    found = saved.load(name)
    if found is None:
        there = [run.run for run in saved.runs()]
        meant = [run for run in there if run.startswith(name)]
        found = saved.load(meant[0]) if len(meant) == 1 else None
    if found is None:
        some = ", ".join((meant or there)[:5]) or "none"
        what = f"{len(meant)} checkpoints that begin so" if meant else "no checkpoint"
        raise UsageError(f"run {name}: no folder in {settings.runs} and {what}", hint=f"known: {some}")
    return _taken(settings, found, saved, settings.runs / found.run)


def _taken(settings: Settings, found: RunState, saved: ConfigMapCheckpoint, folder: Path) -> Known:
    """A run as the checkpoint has it."""
    time = found.updated or found.started
    first = Record(0, RecordType.PLAN, found.started, "", None, found.frozen, {"plan": found.plan_digest})
    records = (first, Record(1, RecordType.TAKEN_OVER, time, "", None, {"state": to_json(found)}))

    def read(digest: str) -> Any:
        return json.loads(saved.fetch(found.run, digest))

    return _known(settings, folder, records, read, local=False)


def refuse_overtaken(run: Known) -> None:
    """Refused where a newer run has changed the cluster: what this one would bring back is no longer its own."""
    newer = last_change(checkpoint(run.cluster()), after=run.run_id)
    if newer is not None:
        raise Refused(
            f"run {newer.run} changed {run.plan.cluster} after run {run.run_id}",
            hint=f"knowngood rollback {newer.run}, or knowngood rollback {run.plan.cluster}",
        )


def place_of(settings: Settings, run: Known, *, back: bool = False) -> Place:
    """Where a known run goes on: the matrix it was planned from, unless --matrix names another.

    `back`: it goes on only to be taken back. UsageError where the cluster file or the profile has changed meanwhile.
    """
    source = load(by_its_matrix(settings, run))
    cluster = _as_it_began(run, source.cluster(run.plan.cluster), back=back)
    hardware = _hardware_as_it_began(run, source.hardware(cluster), back=back)
    run.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Place(
        matrix_folder=source.folder,
        matrix=source.matrix,
        cluster=cluster,
        hardware=hardware,
        release=source.release(run.plan.to_release),
        kubeconfig=run.cluster(),
        folder=run.folder,
        run_id=run.run_id,
        record=record_of(run, source.folder),
    )


def by_its_matrix(settings: Settings, run: Known) -> Settings:
    """The settings, with the matrix that a run was planned from, unless --matrix names another.

    A work tree that `fleet` made is gone once that has ended: then it is the nearest one, as for any command, and that
    is said.
    """
    recorded = Path(str(run.state.frozen.get("matrix", "")))
    if settings.matrix is not None or recorded == Path():
        return settings
    if not recorded.is_dir():
        say(f"the run's own matrix {recorded} is gone: the nearest one is read instead", err=True)
        return settings
    return replace(settings, matrix=recorded)


def record_of(run: Known, matrix: Path) -> Destination:
    """Where the run's record goes, as frozen at its start.

    A run of an older version froze none: its record goes where the matrix came from, else into the run's folder.
    """
    if frozen := run.state.frozen.get("record"):
        return from_json(Destination, frozen)
    try:
        return destination(matrix)
    except KnowngoodError:
        return Destination(Way.FILE)


def _as_it_began(run: Known, present: Cluster, *, back: bool) -> Cluster:
    """The cluster file, if it says what it said when the run began; for the way back, what it said then."""
    if cluster_digest(present) == run.plan.cluster_digest:
        return present
    began = run.cluster_file()
    changes = ("something",) if began is None else changed(began, present.raw, run.plan.to_release)
    if not changes:
        return present
    if began is None:
        raise _refused(run, present.where, changes)
    _only_back(run, present.where, changes, back=back)
    return cluster_of(present.name, began, present.where)


def _hardware_as_it_began(run: Known, present: Hardware, *, back: bool) -> Hardware:
    """The hardware profiles, if they judge as they did when the run began; for the way back, what they said then.

    Which node has which is the cluster file's, and compared with it.
    """
    began = run.hardware()
    if began is None:
        return present
    now = {profile.name: profile for profile in present.profiles}
    for profile in began.profiles:
        found = now.get(profile.name)
        changes = profile_changed(profile, found) if found else (f"it names {profile.name} no more",)
        if changes:
            _only_back(run, (found or profile).where, changes, back=back)
            return began
    return present


def _only_back(run: Known, where: Location, changes: tuple[str, ...], *, back: bool) -> None:
    """A file has changed: say so to a run that goes back, refuse all others."""
    if not back and not checkpoint(run.cluster()).abort_asked(run.run_id):
        raise _refused(run, where, changes)
    say(f"{where.file} has changed: the run goes back by what it said at its start", err=True)


def _refused(run: Known, where: Location, changes: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"changed since run {run.run_id} began: {'; '.join(changes)}",
        where=where.file,
        hint=f"bring the file back to what it was, or take the run back: knowngood rollback {run.run_id}",
    )


def wait_for_orphans(run: Known) -> None:
    """Wait until nothing that a killed run started is alive. DeadlineExceeded names what is."""
    if run.folder.is_dir():
        wait_gone(run.folder, ORPHANS_DEADLINE, Cancel())
