"""A run has one truth: what its checkpoint in the cluster says. How a machine's own journal stands to it.

A runner writes the checkpoint before each step's intent, and nobody writes it without having read the one before. So a
journal can be ahead of it only by the outcome of the step that is open there. A higher fence in it means that another
runner went on. Whatever else differs means that one of the two is not what it was.
"""

from __future__ import annotations

from enum import StrEnum

from knowngood.model.state import RunState
from knowngood.model.steppath import NOWHERE, StepPath


class Standing(StrEnum):
    """How this machine's journal stands to the checkpoint."""

    NEW = "new"  # neither has begun a step
    SAME = "same"  # or apart by the one step that a crash explains
    BEHIND = "behind"  # another runner went on: its state is adopted
    ENDED = "ended"  # it ended elsewhere
    GONE = "gone"  # the journal knows a run that the cluster does not know any more
    DIVERGED = "diverged"  # they tell different stories


def standing(here: RunState, there: RunState | None) -> Standing:
    """How the journal's state stands to the checkpoint's (None: there is none). Pure."""
    if there is None:
        return Standing.GONE if here.intended else Standing.NEW
    if here.next_seq == 0:
        return _elsewhere(there)
    if there.fence <= here.fence and _follows(here, there):
        return Standing.SAME
    overtaken = there.fence > here.fence or (there.fence == here.fence and there.seq > here.seq)
    # What only we know of is the step at which they took over: its outcome, for they did it again, or that it was
    # begun, where they ended the run without doing it again.
    ours, theirs = _outcomes(here), _outcomes(there)
    unknown = {
        p for p, outcome in ours.items() if theirs.get(p) != outcome and there.aside.get(p) != outcome[1]
    }
    unknown |= {here.open} - {NOWHERE, *there.intended}
    known = set(here.intended) <= {*there.intended, *there.aside} | unknown
    if not overtaken or not known or len(unknown) > 1:
        return Standing.DIVERGED
    return _elsewhere(there)


def _elsewhere(there: RunState) -> Standing:
    return Standing.ENDED if there.end else Standing.BEHIND


def _follows(here: RunState, there: RunState) -> bool:
    """Whether the journal is what the checkpoint's own writer went on to.

    It may know the outcome of the step that is open there, and it may have lost that step's intent to a kill.
    """
    ours, theirs = _outcomes(here), _outcomes(there)
    more = {path for path, outcome in ours.items() if theirs.get(path) != outcome}
    again = (*(path for path in here.intended if path != there.open), there.open)
    begun = there.intended in {here.intended, again}
    if there.end and here.reopened == there.seq:
        return {path for path in more if not path.is_before} == set()
    if there.end:
        return not more and begun and bool(here.end)
    return more <= {there.open} and theirs.keys() <= ours.keys() and begun


def _outcomes(state: RunState) -> dict[StepPath, tuple[str, str]]:
    """What happened when: enough to tell one story from another."""
    return {path: (result.status.value, result.ended) for path, result in state.results.items()}
