"""The line of a run's script: a step that must end well, and the stop that one is which does not."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from knowngood.engine.steps import Step, Verb
from knowngood.engine.undo import Back
from knowngood.model.record import Status
from knowngood.model.state import StepResult

Ask = Generator[Step, StepResult, StepResult]


@dataclass
class Stop(Exception):
    """The line stops: why, which nodes are to blame, and (`hold`) whether to freeze as it is.

    `measured` are those of `nodes` on which a gate measured a fail. `usage`: it stopped at what the user wrote (a file,
    a credential), not at what a gate or a rule said. `verb`: of the step that did not end OK. `broken`: nodes to which
    what moves did not come.
    """

    why: str
    status: Status
    nodes: dict[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    hold: bool = False
    aborted: bool = False
    usage: bool = False
    hint: str = ""
    verb: Verb | None = None

    def back(self, name: str) -> Back:
        """The way back from here, called `name` in the steps' paths."""
        return Back(self.why, self.nodes, frozenset(self.nodes if self.verb in JUDGEMENTS else ()), name)


JUDGEMENTS = (Verb.BASELINE, Verb.JUDGE, Verb.RETEST, Verb.CONFIRM, Verb.PROVE)
"""Verbs that run gates on nodes of a run: a node that fails one must pass it before it is released."""


def ask(step: Step) -> Ask:
    """Run a step; an abort that was asked for after it stops the line, and so does a node that was lost after it."""
    result = yield step
    if result.abort:
        raise abort_of(result)
    if result.lost:  # a node that is no longer ours must not be judged or released as if it were
        why = "; ".join(f"{n}: {why}" for n, why in result.lost.items())
        bad = {} if result.status is Status.OK else dict(result.detail.failed)
        verb = step.verb if bad else None  # who failed a gate must still pass it
        raise Stop(f"no longer ours: {why}", Status.INCONCLUSIVE, bad | dict(result.lost), verb=verb)
    return result


def abort_of(result: StepResult) -> Stop:
    """The stop that an abort after this step is."""
    why, hold = f"asked to {result.abort}", result.abort == "hold"
    return Stop(why, Status.INCONCLUSIVE, hold=hold, aborted=True)


def need(step: Step) -> Ask:
    """Run a step that must end OK."""
    result = yield from ask(step)
    if result.status is not Status.OK:
        raise stop_of(step, result)
    return result


def stop_of(step: Step, result: StepResult) -> Stop:
    """The stop that a step which did not end OK is."""
    told = result.detail
    return Stop(
        told.why or f"{step.path}: {result.status}",
        result.status,
        {**told.failed, **told.given_back},
        measured=told.measured,
        broken=did_not_come(step, result),
        usage=told.usage,
        hint=told.hint,
        verb=step.verb,
    )


def did_not_come(step: Step, result: StepResult) -> tuple[str, ...]:
    """The nodes on which it was seen that what moves did not come, and not only not told."""
    failed = result.detail.failed if step.verb is Verb.APPLY else {}
    return tuple(n for n in failed if n not in result.detail.could_not and n not in result.lost)


def judged(step: Step, retest: Verb) -> Generator[Step, StepResult, None]:
    """Judge. Nodes that did not pass are tested once more (`retest`), with the same parameters, before the line stops.

    But for a fail that the profile lists as one that needs no second look.
    """
    last = yield from ask(step)
    if last.status is Status.OK:
        return
    bad = failed_in(last, step.nodes)
    if not last.detail.at_once:
        suspects = tuple(n for n in step.nodes if n in bad) or tuple(bad)
        last = yield from ask(replace(step, path=step.path.sibling("retest"), verb=retest, nodes=suspects))
        if last.status is Status.OK:
            return
        bad = failed_in(last, suspects)
    good = tuple(n for n in step.nodes if n not in bad)
    why = last.detail.why or "a gate said no"
    raise Stop(why, last.status, bad, good, last.detail.measured, verb=step.verb)


def failed_in(result: StepResult, nodes: tuple[str, ...]) -> dict[str, str]:
    """Node -> why it did not pass; all of them where none is named."""
    return dict(result.detail.failed) or dict.fromkeys(nodes, "")
