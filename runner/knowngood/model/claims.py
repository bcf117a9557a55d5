"""What a run holds: what the nodes say now, read together with what the run meant to do; never outcomes alone. Pure.

The one answer for whoever goes on, goes back or tells: the engine's look and reclaim, `status`, `handover`, reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from knowngood.model import names
from knowngood.model.marks import Marks
from knowngood.model.state import MARKING, RunState, StepResult


class Hold(StrEnum):
    """How a node stands to a run."""

    IN_SERVICE = "in service"
    OUT = "out"  # claimed by this run
    QUARANTINED = "quarantined"  # tainted and cordoned by this run
    MARKED = "marked"  # something of ours is left on it, but no claim and no whole quarantine
    TAKEN = "taken"  # another run's claim or taint is on it
    UNKNOWN = "unknown"  # a step on it has no answer, and the node was not asked


@dataclass(frozen=True, slots=True)
class Held:
    """One node's answer. `why` says what does not agree and what to do; "" where nothing needs saying."""

    hold: Hold
    why: str = ""


class _By(StrEnum):
    """What the records alone say of a node."""

    FREE = "free"
    HELD = "held"
    MEANT = "meant"  # a claim was meant, and how it ended is not known
    LEAVING = "leaving"  # it was claimed, and how a step ended that may have given it back is not known
    SHUT = "shut"


def held(
    state: RunState, nodes: Iterable[str] = (), marks: Mapping[str, Marks] | None = None
) -> dict[str, Held]:
    """Each of `nodes`, and each that the run ever meant to claim. `marks`: of all nodes now; None: not asked."""
    known = _by_records(state)
    found = {}
    for node in dict.fromkeys((*nodes, *known)):
        by = known.get(node, _By.FREE)
        if marks is None:
            found[node] = _told(by)
        elif (now := marks.get(node)) is None:
            found[node] = Held(Hold.IN_SERVICE if by is _By.FREE else Hold.UNKNOWN, "there is no such node")
        else:
            found[node] = _seen(state.run, node, by, now)
    return found


def elsewhere(marks: Mapping[str, Marks], told: Iterable[str]) -> dict[str, str]:
    """What is of ours on nodes that a run does not speak of: node -> what, and the command that clears it."""
    known = set(told)
    found = {}
    for node, now in marks.items():
        if now.any and node not in known:
            run = now.run or now.quarantine or now.maintenance or "an earlier run"
            what = "claim" if now.claim else "quarantine" if now.quarantine else "mark"
            found[node] = f"a {what} of {run} is on it; once no run is open: knowngood clear {node}"
    return found


def may_hold(state: RunState) -> tuple[str, ...]:
    """Nodes on which something of the run's may be, by what it meant to do: the least that must be asked."""
    return tuple(node for node, by in _by_records(state).items() if by in (_By.HELD, _By.MEANT, _By.LEAVING))


def surely_held(state: RunState) -> tuple[str, ...]:
    """Nodes that were claimed and since then touched by no step that may have given them back."""
    return tuple(node for node, by in _by_records(state).items() if by is _By.HELD)


def left_out(state: RunState) -> dict[str, str]:
    """Node -> how the run leaves it out of service, by its records; each of its ways back may have left some."""
    words = {
        _By.HELD: "out of service, claimed by this run",
        _By.LEAVING: "it may still carry our claim, taint and cordon",
        _By.SHUT: "quarantined by this run",
    }
    return {node: words[by] for node, by in _by_records(state).items() if by in words}


def _told(by: _By) -> Held:
    match by:
        case _By.HELD | _By.LEAVING:
            return Held(Hold.OUT)
        case _By.SHUT:
            return Held(Hold.QUARANTINED)
        case _By.MEANT:
            return Held(Hold.UNKNOWN, "a step on it has no answer: it may carry our claim, taint and cordon")
        case _:
            return Held(Hold.IN_SERVICE)


def _seen(run: str, node: str, by: _By, now: Marks) -> Held:
    clear = f"once no run is open: knowngood clear {node}"
    if now.run == run and run:
        bare = [
            what for what, there in (("our taint", now.maintenance), ("a cordon", now.cordoned)) if not there
        ]
        return Held(Hold.OUT, f"claimed, without {' and '.join(bare)} now" if bare else "")
    if now.claim:
        return Held(Hold.TAKEN, f"run {now.run} has claimed it")
    if now.quarantine and now.quarantine == run:
        if now.cordoned:
            return Held(Hold.QUARANTINED)
        return Held(Hold.MARKED, f"our quarantine taint is there, but somebody uncordoned it; {clear}")
    if (now.maintenance and now.maintenance == run) or (now.snapshot and by is not _By.FREE):
        return Held(Hold.MARKED, f"somebody removed its claim while {_left(now)} stays; {clear}")
    if other := now.quarantine or now.maintenance:
        what = "quarantined it" if now.quarantine else "left its taint on it, without a claim"
        return Held(Hold.TAKEN, f"run {other} has {what}; {clear}")
    if by in (_By.HELD, _By.SHUT):
        if now.cordoned:
            return Held(Hold.MARKED, f"somebody took our marks off it, but not the cordon; {clear}")
        return Held(Hold.IN_SERVICE, "somebody gave it back: nothing of ours is on it")
    if now.cordoned:
        return Held(Hold.IN_SERVICE, "it is cordoned, and nothing on it says by whom")
    return Held(Hold.IN_SERVICE)


def _left(now: Marks) -> str:
    left = [names.MAINTENANCE_TAINT] if now.maintenance else [names.SNAPSHOT_ANNOTATION]
    return " and ".join([*left, *(["the cordon"] if now.cordoned else [])])


def _by_records(state: RunState) -> dict[str, _By]:
    """Folded in the order in which steps were meant."""
    known: dict[str, _By] = {}
    for path in state.intended:
        verb, result = path.verb, state.results.get(path)
        if result is None:
            if verb in MARKING:
                _unsure(known, state.unanswered.get(path, ()))
            continue
        _answered(known, verb, result)
    return known


def _answered(known: dict[str, _By], verb: str, result: StepResult) -> None:
    told = result.detail
    match verb:
        case "claim":
            _set(known, told.done, _By.HELD)
            # A claim that gave no answer in time may be on the node all the same.
            _unsure(known, told.failed)
        case "release":
            _set(known, told.done, _By.FREE)
            _unsure(known, told.failed)
        case "quarantine":
            _set(known, told.done, _By.SHUT)
            _unsure(known, told.failed)
        case "reclaim":
            _set(known, told.done, _By.HELD)
            _set(known, told.free, _By.FREE)
            _unsure(known, told.failed)
    _set(known, told.given_back, _By.FREE)


def _unsure(known: dict[str, _By], nodes: Iterable[str]) -> None:
    for node in nodes:
        free = known.get(node, _By.FREE) in (_By.FREE, _By.MEANT)
        known[node] = _By.MEANT if free else _By.LEAVING


def _set(known: dict[str, _By], nodes: Iterable[str], by: _By) -> None:
    for node in nodes:
        if by is not _By.FREE or node in known:
            known[node] = by
