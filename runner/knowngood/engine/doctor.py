"""The list of `checks` outside of a run: all of it, whatever one of them finds, and nothing is written.

What a run would raise and end with is a finding here. The first look at the nodes is the run's own verb; what it
keeps goes into the journal's folder only, which belongs to whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from knowngood.engine.checks import CHECKS, Asked, Check, looked
from knowngood.engine.steps import Step, Verb
from knowngood.engine.verbs import observe
from knowngood.engine.work import Done, Work
from knowngood.model.detail import Detail
from knowngood.model.errors import Inconclusive, Interrupted, KnowngoodError
from knowngood.model.examination import Line
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.jsonable import to_json
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.run_summary import RunSummary
from knowngood.model.state import RunState, after
from knowngood.model.steppath import StepPath
from knowngood.ports.checkpoint import Checkpoint


class Unkept(Checkpoint):
    """The cluster's checkpoints, to be read only."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._there = checkpoint

    def save(self, state: RunState, *, heed: bool = False) -> str:
        """Nothing is written."""
        return ""

    def keep(self, run: str, name: str, data: bytes) -> None:
        """Nothing is written."""

    def load(self, run: str) -> RunState | None:
        """See the port."""
        return self._there.load(run)

    def fetch(self, run: str, name: str) -> bytes:
        """See the port."""
        return self._there.fetch(run, name)

    def runs(self) -> tuple[RunSummary, ...]:
        """See the port."""
        return self._there.runs()

    def forget(self, run: str) -> None:
        """Nothing is written."""

    def ask_abort(self, run: str, mode: str) -> None:
        """Nothing is written."""

    def abort_asked(self, run: str, within: float | None = None) -> str:
        """Nobody asks."""
        return ""


def examine(work: Work, tell: Callable[[str], None] = lambda _title: None) -> tuple[Line, ...]:
    """A line for each check, in order. `tell` is called with each title before it is looked at."""
    work = replace(work, ports=replace(work.ports, checkpoint=Unkept(work.ports.checkpoint)))
    step = Step(StepPath(Verb.OBSERVE), Verb.OBSERVE)
    tell("reading all nodes")
    observed = _observed(work, step)
    now, detail = work.ports.clock.now(), to_json(observed.detail)
    outcome = Record(0, RecordType.OUTCOME, now, step.path, observed.status, detail, observed.files)
    asked = Asked(replace(work, state=after(work.state, outcome)), observed)
    notes: dict[str, list[str]] = {}

    def look(check: Check) -> Sequence[Finding]:
        tell(check.title)
        if check.of_hops and not work.plan.hops:
            return [unknown("", "not asked: there is no hop of a plan to ask it about")]
        told = len(asked.unproven), len(asked.unsure)
        found = guarded(lambda: tuple(check.look(asked)))
        notes[check.name] = [
            *(f"not proven: {text}" for text in asked.unproven[told[0] :]),
            *asked.unsure[told[1] :],
        ]
        return found

    found = looked(asked, look, all_of_it=True)
    return tuple(Line(c.name, c.title, found[c.name], notes.get(c.name, ())) for c in CHECKS)


def _observed(work: Work, step: Step) -> Done:
    try:
        return observe(work, step)
    except Interrupted:
        raise
    except KnowngoodError as error:
        status = Status.INCONCLUSIVE if isinstance(error, Inconclusive) else Status.FAIL
        return Done(status, Detail(why=str(error), hint=error.hint))


def guarded(look: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
    """What a look finds; what it raises is a finding: a could-not where nobody answered, else a no."""
    try:
        return look()
    except Interrupted:
        raise
    except KnowngoodError as error:
        told = unknown if isinstance(error, Inconclusive) else refused
        return [told(str(error.where or ""), error.message, error.hint)]
