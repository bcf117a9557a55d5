"""`knowngood fleet`: many clusters, stage by stage."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from knowngood.adapters.gitops.matrix_target import destination
from knowngood.adapters.gitops.matrix_tree import MatrixTrees
from knowngood.adapters.processes.knowngood_child import KnowngoodChild
from knowngood.cli.asking import ask, consent_options
from knowngood.cli.fleet_run import FleetRun
from knowngood.cli.fleet_work import (
    REFUSED,
    Order,
    Reached,
    aims_of,
    planned_rows,
    proven,
    refuse_doubts,
    refuse_strange,
    refuse_strange_pins,
    row_of,
    staged,
)
from knowngood.cli.matrix_source import Source, at, load
from knowngood.cli.options import (
    Settings,
    debug_option,
    dry_run_option,
    matrix_option,
    output_option,
    record_option,
    runs_option,
)
from knowngood.cli.signals import stopped_by_signals
from knowngood.cli.terminal import say, say_json
from knowngood.model.errors import ExitCode, KnowngoodError
from knowngood.model.jsonable import to_json
from knowngood.model.stages import Stage
from knowngood.model.text import Page
from knowngood.planner.consent import Consent
from knowngood.ports.cancel import Cancel
from knowngood.report.fleet_text import Row, fleet_text

F = TypeVar("F", bound=Callable[..., Any])


@click.group("fleet")
def command() -> None:
    """Many clusters: a release reaches them stage by stage, each one proven before the next stage begins.

    matrix/fleet.yaml names the stages. In each of them clusters move side by side, as many as it allows, each as
    `knowngood upgrade` does, with a journal and a Lease of its own. What one stage has proven is the evidence that a
    later cluster of the same hardware needs for what has no canary.

    \b
    Examples:
      knowngood fleet plan --to r595
      knowngood fleet upgrade --to r595 --kubeconfigs ~/.kube/fleet
      knowngood fleet status

    \b
    Exit codes: 0 done, else as `knowngood fleet COMMAND --help` says
    """


def _to_option(function: F) -> F:
    text = "The release to go to: of all clusters whose hardware it is meant for, or of one; may be repeated."
    return click.option(
        "--to", "releases", metavar="RELEASE|CLUSTER=RELEASE", multiple=True, required=True, help=text
    )(function)


def _pins_option(function: F) -> F:
    text = "Take a cluster that is pinned to the release for proven, without evidence that it ran there."
    return click.option("--accept-pin", "believed", metavar="CLUSTER", multiple=True, help=text)(function)


def _kubeconfigs_option(function: F) -> F:
    text = (
        "A folder with a kubeconfig for each cluster, called as the cluster (also .kubeconfig, .yaml, .conf)."
    )
    path = click.Path(path_type=Path, file_okay=False)
    where = Path.home() / ".kube"
    return click.option(
        "--kubeconfigs", metavar="DIR", type=path, default=where, help=f"{text}  [default: ~/.kube]"
    )(function)


@command.command("plan")
@_to_option
@_pins_option
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def plan_command(
    settings: Settings, releases: tuple[str, ...], believed: tuple[str, ...], output: str
) -> int:
    """Say what a release would do to each cluster, stage by stage.

    Reads the matrix only, and changes nothing. `knowngood plan CLUSTER` says more of one. A cluster that was pinned
    to the release by hand is refused, here as by `upgrade`, unless --accept-pin takes its pin.

    \b
    Examples:
      knowngood fleet plan --to r595
      knowngood fleet plan --to r595 --to vanilla=k8s-1.34-r595 --accept-pin lab-small

    \b
    Exit codes: 0 each cluster has a plan, 1 one has none, 2 a name or a file is wrong
    """
    source = staged(load(settings))
    goes = aims_of(source, releases)
    refuse_strange_pins(source, goes, believed)
    rows = planned_rows(source, goes, believed)
    _tell(source.matrix.stages, rows, "the move", output)
    bad = any(row.note.startswith(REFUSED) for row in rows.values())
    return int(ExitCode.REFUSED if bad else ExitCode.DONE)


@command.command("status")
@_kubeconfigs_option
@matrix_option
@runs_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def status_command(settings: Settings, kubeconfigs: Path, output: str) -> int:
    """What each cluster is pinned to, and the run that is open there or was the last.

    Asks each cluster once. One that does not answer says so in its line.

    \b
    Examples:
      knowngood fleet status
      knowngood fleet status --kubeconfigs ~/.kube/fleet --output json

    \b
    Exit codes: 0 shown, 2 a file is wrong, 3 a cluster did not answer
    """
    source, reached = staged(load(settings)), Reached(settings, kubeconfigs)
    rows, silent = {}, False
    for name in (name for stage in source.matrix.stages for name in stage.clusters):
        rows[name] = row_of(source, name)
        try:
            run = reached.last_run(name)
        except KnowngoodError as error:
            silent = True
            rows[name] = replace(rows[name], told="not known", note=str(error))
        else:
            rows[name] = replace(rows[name], told=run)
    _tell(source.matrix.stages, rows, "its last run", output)
    return int(ExitCode.INCONCLUSIVE if silent else ExitCode.DONE)


@command.command("upgrade")
@_to_option
@dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask; for CI.")
@consent_options
@_pins_option
@record_option
@_kubeconfigs_option
@matrix_option
@runs_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def upgrade_command(
    settings: Settings,
    releases: tuple[str, ...],
    yes: bool,
    consent: Consent,
    believed: tuple[str, ...],
    record: str,
    kubeconfigs: Path,
    output: str,
) -> int:
    """Move the clusters, stage by stage; the first stage that is not proven is the last that began.

    The matrix is read as the head of its branch has it, since each run's record is a commit there. A cluster that is
    pinned to the release already counts as proven where the newest evidence says that it ran there; one that was
    pinned by hand needs --accept-pin. A run that is open on the way there is resumed. Typed again it goes on where it
    stopped. Ctrl-C interrupts every run; each can be resumed. --dry-run fetches that head, too, and leaves no ref, work
    tree or file of it.

    \b
    Examples:
      knowngood fleet upgrade --to r595
      knowngood fleet upgrade --to r595 --yes --kubeconfigs ~/.kube/fleet --output json > result.json

    \b
    Exit codes: 0 each cluster is proven, else the worst of its clusters: 5, 130, 6, 4, 3, 1, 2 in this order
    """
    own = load(settings)
    to = destination(own.folder, record)
    logs = settings.runs.parent / "fleet" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    with closing(MatrixTrees(own.folder, to, logs)) as trees:
        order = Order(to.branch, consent, frozenset(believed))
        move = _Move(settings, releases, trees, Reached(settings, kubeconfigs), order, logs)
        say(move.shown(), err=True)
        refuse_doubts(move.rows)
        if not move.waiting:
            say("nothing to do: each cluster is proven", err=True)
            return int(ExitCode.DONE)
        say(f"the records go to {to}; what each run says is in {logs}", err=True)
        ask(f"Move {', '.join(move.waiting)}?", yes=yes)
        cancel = Cancel()
        with stopped_by_signals(cancel, "stopping every run; each can be resumed"):
            run = FleetRun(move.stages, move.goes, move.begin, move.proven, cancel)
            code = run.play()
        rows = {name: _after(row, run) for name, row in move.rows.items()}
        _tell(move.stages, rows, "now", output)
        return int(code)


class _Move:
    """The fleet's move, read from the head of the matrix's branch."""

    def __init__(
        self,
        settings: Settings,
        releases: tuple[str, ...],
        trees: MatrixTrees,
        reached: Reached,
        order: Order,
        logs: Path,
    ) -> None:
        self._settings, self._trees, self._reached, self._order, self._logs = (
            settings,
            trees,
            reached,
            order,
            logs,
        )
        source = staged(self._read("head"))
        self.stages = source.matrix.stages
        self.goes = aims_of(source, releases)
        refuse_strange(source, self.goes, order.consent)
        refuse_strange_pins(source, self.goes, order.believed)
        self.rows = planned_rows(source, self.goes, order.believed)
        proven_now = proven(source, self.goes, order.believed)
        self.waiting = tuple(name for name in self.goes if name not in proven_now)
        for name in self.waiting:
            reached.of(name)

    def _read(self, name: str) -> Source:
        return at(self._trees.at_head(name))

    def shown(self) -> Page:
        """What it would do."""
        return fleet_text(self.stages, self.rows, "the move")

    def proven(self) -> frozenset[str]:
        """By what the branch says now."""
        return proven(self._read("head"), self.goes, self._order.believed)

    def begin(self, cluster: str) -> KnowngoodChild:
        """Its run, with a matrix that nobody moves meanwhile."""
        source = self._read(f"{cluster}-matrix")
        words = self._order.arguments(self._reached, source, cluster, self.goes[cluster])
        return KnowngoodChild(words, self._logs / cluster)


def _after(row: Row, run: FleetRun) -> Row:
    if row.cluster in run.pinned:
        return replace(row, release=run.aim[row.cluster], told="proven", note="")
    ended = run.ended.get(row.cluster)
    if ended is None:
        return replace(row, told="not begun" if row.cluster in run.aim else row.told, note="")
    return replace(row, told=f"exit {ended.code}: {ExitCode(ended.code).meaning}", note=ended.why)


def _tell(stages: tuple[Stage, ...], rows: dict[str, Row], head: str, output: str) -> None:
    if output == "json":
        say_json(
            {"stages": [to_json(s) for s in stages], "clusters": [to_json(row) for row in rows.values()]}
        )
    else:
        say(fleet_text(stages, rows, head))
