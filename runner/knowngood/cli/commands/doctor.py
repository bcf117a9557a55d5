"""`knowngood doctor`: everything that a run will need, asked before there is one."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import TypeVar

import click

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.gitops.matrix_target import destination
from knowngood.adapters.kubernetes.access import whoami
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.processes.machine import LocalMachine
from knowngood.cli.asking import consent_options
from knowngood.cli.matrix_source import Source, kubeconfig_of, load, refuse_dirty
from knowngood.cli.options import Settings, record_option, run_options
from knowngood.cli.play import check_cluster
from knowngood.cli.runs import new_id
from knowngood.cli.terminal import say, say_json, width
from knowngood.cli.try_again import heeded
from knowngood.cli.wiring import Audience, Place, declared_versions, ports
from knowngood.engine.checks import CHECKS
from knowngood.engine.doctor import examine, guarded
from knowngood.engine.work import Work
from knowngood.matrix.evidence import evidence_about
from knowngood.model.destination import HERE, Destination
from knowngood.model.errors import ExitCode, Inconclusive, UsageError
from knowngood.model.examination import Examination, Line
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.plan import Plan
from knowngood.model.state import RunState
from knowngood.model.verdict import Verdict
from knowngood.planner.consent import Consent, unasked
from knowngood.planner.movable import obstacle
from knowngood.planner.plan.case import Declared
from knowngood.planner.plan.planning import plan as make_plan
from knowngood.planner.plan.planning import refuse_unmovable
from knowngood.planner.plan.still import still
from knowngood.ports.cancel import Cancel
from knowngood.report.doctor_text import doctor_json, doctor_text

T = TypeVar("T")
CODES = {
    Verdict.PASS: ExitCode.DONE,
    Verdict.FAIL: ExitCode.REFUSED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


@click.command("doctor")
@click.argument("cluster")
@click.option("--to", "release", metavar="RELEASE", default="", help="Ask for a run to this release.")
@consent_options
@record_option
@run_options
def command(
    settings: Settings, cluster: str, release: str, consent: Consent, record: str, output: str
) -> int:
    """Everything that a run will need, line by line: pass, FAIL or could not ask, each with its fix.

    It is the list that `upgrade` goes by before its first commit, asked to its end. Without --to it asks for all that
    knowngood can move on the cluster; with it for the plan that `upgrade` would make, and for what that needs a yes.
    Nothing is written in the cluster or in Git: pushes are asked for by a dry run. A protected branch says no only to
    a real one, which a run sends first, as a commit that changes nothing and its revert.

    \b
    Examples:
      knowngood doctor ams-prod --kubeconfig ~/.kube/ams-prod
      knowngood doctor ams-prod --to r595 --output json

    \b
    Exit codes: 0 all passes, 1 something fails, 2 a name is wrong, 3 nothing fails, but something could not be asked
    """
    if not release and consent != Consent():
        raise UsageError(
            "a yes (--try-again, --accept-...) is to the move to a release, and none is named",
            hint="name it: --to RELEASE, or leave the yes out",
        )
    source = load(settings)
    source.hardware(source.cluster(cluster))
    if release:
        source.release(release)
    found = Doctor(settings, source, cluster, release, record, consent).examined()
    if output == "json":
        say_json(doctor_json(found))
    else:
        say(doctor_text(found, min(120, shutil.get_terminal_size((100, 24)).columns)))
    return int(CODES[found.verdict])


@dataclass
class Doctor:
    """What `upgrade` does before there is a run, each as a line; then the run's own list."""

    settings: Settings
    source: Source
    cluster: str
    release: str
    record: str
    consent: Consent = field(default_factory=Consent)
    lines: list[Line] = field(default_factory=list)

    def examined(self) -> Examination:
        """All lines."""
        source, found = self.source, self.source.cluster(self.cluster)
        self._line("matrix", "the matrix is in Git and has no uncommitted changes", self._matrix)
        to = self._line(
            "target", "the record has somewhere to go", lambda: destination(source.folder, self.record)
        )
        reached = self._line("kubeconfig", "the cluster is reached, as somebody", self._kubeconfig)
        declared = self._line("git", "Git says what is declared", lambda: declared_versions(found))
        asked = self._asked(declared) if self.release else None
        plan = asked if asked is not None and asked.hops else self._still(declared)
        if reached is None:
            why = unknown("", "the cluster can't be asked", "mend the kubeconfig first")
            self.lines += [Line(c.name, c.title, [why]) for c in CHECKS]
        else:
            self._line("cluster", "it is the one that is pinned, with the nodes of the file", self._cluster)
            if asked is not None and asked.hops:
                self._history(asked, reached[0])
            self.lines += self._checks(reached[0], plan, to or HERE)
        return Examination(self.cluster, tuple(self.lines), self.release)

    def _line(self, check: str, title: str, ask: Callable[[], T]) -> T | None:
        """Ask; one more line. None where it was not told."""
        answer: list[T] = []

        def look() -> tuple[Finding, ...]:
            answer.append(ask())
            return ()

        findings = guarded(look)
        told = answer[0] if answer else None
        said = told[-1] if isinstance(told, tuple) else told
        notes = [said] if isinstance(said, str) and said else []
        self.lines.append(Line(check, title, findings, notes))
        return told

    def _matrix(self) -> str:
        refuse_dirty(self.source, allow_dirty=False)
        return ""

    def _kubeconfig(self) -> tuple[Path, str]:
        path = kubeconfig_of(self.settings)
        said = whoami(Kube(path))
        return path, f"we are {said or 'somebody that this cluster does not name'} there"

    def _cluster(self) -> str:
        return check_cluster(self.source.cluster(self.cluster), kubeconfig_of(self.settings))

    def _asked(self, declared: Declared | None) -> Plan | None:
        """The plan to the release, and what somebody must say yes to; None where there is none."""
        title = f"there is a plan to {self.release}, and every hop of it can be moved"
        told = self._line("plan", title, lambda: self._movable(declared))
        if told is None:
            return None
        made, now, proofs = told[0], SystemClock().now(), evidence_about(self.source.folder)

        def unsaid() -> tuple[Finding, ...]:
            refusals = unasked(made, proofs, self.consent, now)
            return tuple(refused("", refusal.message, refusal.hint) for refusal in refusals)

        self.lines.append(Line("consent", "nothing waits for somebody's yes", guarded(unsaid)))
        return made

    def _movable(self, declared: Declared | None) -> tuple[Plan, str]:
        if declared is None:
            raise Inconclusive("what Git declares is not known", hint="mend the line `git` first")
        made = make_plan(self.source.matrix, self.cluster, self.release, declared=declared)
        refuse_unmovable(made)
        nothing = (
            f"nothing to do: Git declares {self.release} already; asked is for all that can be moved here"
        )
        return made, "" if made.hops else nothing

    def _history(self, plan: Plan, kubeconfig: Path) -> None:
        title = f"{self.release} did not fail here, or on this hardware, since it was proven"
        again = self.consent.try_again
        self._line("history", title, lambda: heeded(self.source, plan, kubeconfig, try_again=again))

    def _still(self, declared: Declared | None) -> Plan:
        """The plan that moves nothing, from Git where that was told: all that can be moved here."""
        made = still(self.source.matrix, self.cluster, declared)
        if not made.hops:
            self.lines.append(Line("movable", "something here can be moved", self._obstacles()))
        return made

    def _obstacles(self) -> list[Finding]:
        """Why nothing can be."""
        matrix, cluster = self.source.matrix, self.source.cluster(self.cluster)
        named = [d.component for d in cluster.declarations if d.component in matrix.components]
        why = {name: obstacle(matrix.components[name], cluster) for name in dict.fromkeys(named)}
        fix = "name what shall move in the cluster file's declare; knowngood show components says what can"
        return [refused(name, found.why, found.change) for name, found in why.items() if found] or [
            refused("declare", "the cluster file names nothing", fix)
        ]

    def _checks(self, kubeconfig: Path, plan: Plan, record: Destination) -> tuple[Line, ...]:
        cluster = self.source.cluster(self.cluster)
        with tempfile.TemporaryDirectory(prefix="knowngood-") as folder:
            place = Place(
                matrix_folder=self.source.folder,
                matrix=self.source.matrix,
                cluster=cluster,
                hardware=self.source.hardware(cluster),
                release=self.source.matrix.releases.get(plan.to_release),
                kubeconfig=kubeconfig,
                folder=Path(folder),
                run_id=new_id(),
                record=record,
            )
            cancel = Cancel()
            with ports(place, Audience(), cancel) as of_a_run:
                here = replace(of_a_run, machine=LocalMachine(self.settings.runs))
                work = Work(here, plan, cluster, place.hardware, place.run_id, "", RunState(), cancel)
                return examine(work, Telling())


class Telling:
    """To somebody who waits at a terminal: what is asked, each once, however often it is looked at anew."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, title: str) -> None:
        """Say it, in one line."""
        if sys.stderr.isatty() and title not in self._told:
            self._told.add(title)
            say(shorten(f"asking: {title}", max(width(), 20), placeholder=" ..."), err=True)
