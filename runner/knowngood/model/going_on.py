"""How a run that ended held goes on by a human's word: what is done once more, and what stands. Pure.

What stopped the line is asked again, and with it the batch that it stopped in: its nodes are claimed, drained, moved
where they have not been, and judged. What was measured before a change is kept, since it can't be measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from knowngood.model.detail import Detail
from knowngood.model.record import Status
from knowngood.model.steppath import NOWHERE, StepPath


class Outcome(Protocol):
    """What is asked of a step's outcome: see `state.StepResult`, which folds records by what stands here."""

    @property
    def status(self) -> Status:
        """How it ended."""
        ...

    @property
    def detail(self) -> Detail:
        """What it says."""
        ...

    @property
    def abort(self) -> str:
        """The mode of an abort that cut it short."""
        ...

    @property
    def lost(self) -> Mapping[str, str]:
        """Nodes that were no longer ours after it."""
        ...


RETESTED = ("judge", "confirm", "prove", "baseline")


@dataclass(frozen=True, slots=True)
class Again:
    """`at` is the step that stopped the run, `batch` the batch that it is of, or NOWHERE.

    `steps` are done once more; `kept` are those of them whose outcomes still say what came to the batch's nodes, and
    stand beside the new ones. `proven` are nodes of the batch that passed and are at work: they are left there.
    """

    at: StepPath
    batch: StepPath
    steps: frozenset[StepPath]
    kept: frozenset[StepPath]
    proven: tuple[str, ...]


def again(intended: tuple[StepPath, ...], results: Mapping[StepPath, Outcome]) -> Again:
    """What is done once more; nothing where no step says why the run stopped."""
    at = stopped_at(intended, results)
    if not at:
        return Again(at, NOWHERE, frozenset(), frozenset(), ())
    batch = at.batch
    after = set(intended[intended.index(at) :])
    steps = frozenset(p for p in results if p in after or _belongs(p, at, batch, results))
    released = StepPath(at.hop).child(at.ring, "hold", "proven", "release")
    proven = tuple(results[released].detail.done) if batch and released in steps else ()
    kept = frozenset(p for p in steps if batch and p.within(batch))
    return Again(at, batch, steps, kept, proven)


def stopped_at(intended: tuple[StepPath, ...], results: Mapping[StepPath, Outcome]) -> StepPath:
    """The newest step of the way forward that did not end well, was cut short, or after which nodes were lost."""
    forward = (p for p in reversed(intended) if p in results and not (p.is_undo or p.is_hold or p.is_before))
    return next((p for p in forward if p.verb not in ("let-go", "reclaim") and _bad(p, results)), NOWHERE)


def can_go_on(intended: tuple[StepPath, ...], results: Mapping[StepPath, Outcome]) -> bool:
    """Whether a run that ended held may go on: it says where it stopped, and no way back of it has begun."""
    return bool(stopped_at(intended, results)) and not way_back_begun(intended, results)


def way_back_begun(intended: tuple[StepPath, ...], results: Mapping[StepPath, Outcome]) -> bool:
    """Whether any of a way back was done, but for the look that found no commit of ours to take back."""
    back = [p for p in intended if p.is_undo]
    looked = [p for p in back if p.verb == "declare" and p in results and not results[p].detail.commit]
    return bool(set(back) - {*looked})


def _bad(path: StepPath, results: Mapping[StepPath, Outcome]) -> bool:
    result = results[path]
    if result.abort or result.lost:
        return True
    retest = results.get(path.sibling("retest"))
    outlived = path.verb in RETESTED and retest is not None and retest.status is Status.OK
    return result.status is not Status.OK and not outlived


def _belongs(path: StepPath, at: StepPath, batch: StepPath, results: Mapping[StepPath, Outcome]) -> bool:
    """Whether an earlier step is done again with the one that stopped the run."""
    if path.is_before:
        return False
    if batch and path.within(batch):
        return path.verb != "baseline" or results[path].status is not Status.OK
    if at.verb == "retest" and path.parent == at.parent and path.verb in RETESTED and _bad(path, results):
        return True
    whole = path.ring == at.ring and path.hop == at.hop and not path.part and bool(at.ring)
    confirms = at.verb in ("confirm", "retest") and not batch
    return whole and (path.verb == "window" or (confirms and path.verb == "soak"))
