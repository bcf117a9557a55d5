"""A run's state: a pure fold over its records. `resume`, `status` and reports all start here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from knowngood.model.detail import Detail
from knowngood.model.errors import ExitCode
from knowngood.model.going_on import again
from knowngood.model.jsonable import from_json
from knowngood.model.names import fence_of
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.steppath import NOWHERE, StepPath
from knowngood.model.values import Values


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step's outcome. `abort` is the mode (`stop`, `hold`) of an abort that cut it short or came right after it.

    `lost`: nodes that a resume right after it found to be no longer ours, with the reason.
    """

    status: Status
    detail: Detail = field(default_factory=Detail)
    files: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    ended: str = ""
    abort: str = ""
    lost: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: done, refused, inconclusive, restored, quarantined or held.

    `nodes` names the nodes a human (or the next reader) must look at, with the reason; `moved` those that still run, or
    for which Git still declares, what a run that is not `done` brought. `within`: the hop that can't be undone and in
    which it ended, "" for none.
    """

    name: str
    exit_code: ExitCode
    why: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    within: str = ""


@dataclass(frozen=True, slots=True)
class RunState:
    """What the records say so far. `open` is the step whose intent has no outcome yet.

    `next_seq` numbers the next record of this journal, `seq` counts the records of the run's whole life, in other
    machines' journals too. `fence`, `who` and `version` are of the runner that went on last.
    """

    run: str = ""
    plan_digest: str = ""
    frozen: Values = field(default_factory=dict)  # record 0's detail
    results: Mapping[StepPath, StepResult] = field(default_factory=dict)
    intended: tuple[StepPath, ...] = ()
    unanswered: Mapping[StepPath, tuple[str, ...]] = field(default_factory=dict)
    """Intents without an outcome, and the nodes each was about."""
    open: StepPath = NOWHERE
    open_since: str = ""
    last: StepPath = NOWHERE  # the plan's step with the newest outcome: an abort is heeded after it
    next_seq: int = 0
    seq: int = 0
    fence: int = 0
    who: str = ""  # user@host
    version: str = ""  # of knowngood
    resumed: int = 0
    started: str = ""
    updated: str = ""
    interrupted: str = ""  # why, while the run is not going on
    paused: StepPath = NOWHERE  # the step after which it last paused because it was told to
    undo_all: bool = False  # a human asked for a rollback of all rings
    reopened: int = -1  # the `seq` of the ended state from which that was asked, or that it goes on
    went_on: int = 0  # how often a human had it go on after it had ended
    went_on_in: str = ""  # the hop that it stopped in then
    let_go: bool = False  # what it held had been let go by then, and is held anew
    redone: Mapping[StepPath, tuple[str, ...]] = field(default_factory=dict)
    """Batches that are done once more, and those of their nodes that were proven and are at work."""
    aside: Mapping[StepPath, str] = field(default_factory=dict)
    """Steps that were done once, count no more, and when each had ended."""
    undo: str = "undo"  # what the way back is called in the steps' paths: a second one is `undo-2`
    end: End | None = None


def _next_undo(state: RunState) -> str:
    """What the next way back is called: no step of an earlier one is taken for its own."""
    used = {path.undo for path in state.intended if path.is_undo}
    return f"undo-{len(used) + 1}" if used else "undo"


def fold(records: Iterable[Record]) -> RunState:
    """The state after all records."""
    state = RunState()
    for record in records:
        state = after(state, record)
    return state


def after(state: RunState, record: Record) -> RunState:
    """The state after one more record."""
    state = replace(state, next_seq=record.seq + 1, seq=state.seq + 1, updated=record.time)
    step = StepPath(record.step)
    match record.type:
        case RecordType.PLAN:
            return replace(
                _held_by(state, record),
                run=str(record.detail["run"]),
                plan_digest=record.files["plan"],
                frozen=record.detail,
                started=record.time,
            )
        case RecordType.INTENT:
            before = state.intended
            if step in before:  # repeated by a resume: it comes after that one's reclaim
                before = tuple(path for path in before if path != step)
            nodes = tuple(str(n) for n in record.detail.get("nodes", ()))
            unanswered = {**state.unanswered, **({step: nodes} if nodes else {})}
            state = replace(state, intended=(*before, step), unanswered=unanswered)
            return replace(state, open=step, open_since=record.time, interrupted="")
        case RecordType.OUTCOME:
            assert record.status is not None  # noqa: S101 (the journal refuses an outcome without status)
            detail = from_json(Detail, record.detail)
            result = StepResult(
                record.status, detail, record.files, state.open_since, record.time, detail.abort
            )
            unanswered = {path: nodes for path, nodes in state.unanswered.items() if path != step}
            state = replace(state, unanswered=unanswered, open=NOWHERE, open_since="")
            if step.verb == "reclaim":
                return _reclaimed(state, step, result)
            return replace(state, results={**state.results, step: result}, last=step)
        case RecordType.ABORTED:
            stopped = replace(state.results[step], abort=str(record.detail["mode"]))
            return replace(state, results={**state.results, step: stopped})
        case RecordType.RESUMED:
            return replace(_held_by(state, record), resumed=state.resumed + 1, interrupted="")
        case RecordType.TAKEN_OVER:
            taken = from_json(RunState, record.detail["state"])
            lived = max(taken.seq, taken.next_seq)  # the record says nothing that the state does not
            return replace(taken, next_seq=record.seq + 1, seq=lived, updated=record.time)
        case RecordType.REOPENED | RecordType.WENT_ON:
            return _gone_back(state) if record.type is RecordType.REOPENED else _gone_on(state)
        case RecordType.INTERRUPTED:
            pause = StepPath(record.detail.get("pause", state.paused))
            return replace(state, interrupted=str(record.detail.get("why", "")), paused=pause)
        case RecordType.FINISHED:
            told = record.detail
            end = End(
                str(told["end"]),
                ExitCode(int(told["exit"])),
                str(told.get("why", "")),
                _texts(told.get("nodes", {})),
                _texts(told.get("moved", {})),
            )
            return replace(state, end=end)


def _gone_back(state: RunState) -> RunState:
    """An ended state, open again to be taken back."""
    return replace(state, end=None, undo_all=True, undo=_next_undo(state), reopened=state.seq - 1)


MARKING = ("claim", "reclaim", "drain", "release", "quarantine")
"""Verbs after which a node may carry other marks of ours than before."""


def _gone_on(state: RunState) -> RunState:
    """An ended state, open again: what stopped it has no outcome any more, so that the script asks it anew."""
    found, number = again(state.intended, state.results), state.went_on + 1
    names = {path: path.before(number) for path in found.kept}
    gone = {path: state.results[path] for path in state.intended if path in found.steps}
    dropped = tuple(path for path in gone if path not in names)
    stays = [names.get(path, path) for path in state.intended if path not in dropped]
    results = {names.get(path, path): r for path, r in state.results.items() if path not in dropped}
    unsure = {path: _about(gone[path]) for path in dropped if path.verb in MARKING}
    last = [path for path in stays if path in results and path.verb != "reclaim" and not path.is_before]
    state = replace(
        state,
        end=None,
        results=results,
        intended=(*stays, *dropped),
        unanswered={**state.unanswered, **{path: nodes for path, nodes in unsure.items() if nodes}},
        last=last[-1] if last else NOWHERE,
        went_on=number,
        reopened=state.seq - 1,
        aside={**state.aside, **{path: result.ended for path, result in gone.items()}},
    )
    if found.at.parent.startswith("on-"):  # it could not even hold the others
        return state
    redone = {**state.redone, found.batch: found.proven} if found.batch else state.redone
    let_go = any(path.verb == "let-go" for path in gone)
    return replace(state, went_on_in=found.at.hop, let_go=let_go, redone=redone)


def _about(result: StepResult) -> tuple[str, ...]:
    told = result.detail
    return tuple(dict.fromkeys((*told.done, *told.failed, *told.given_back)))


def _held_by(state: RunState, record: Record) -> RunState:
    """The state with the runner that wrote this record, and the fence that its Lease gave it."""
    detail = record.detail
    return replace(
        state,
        fence=fence_of(str(detail.get("fence", ""))) or state.fence,
        who=str(detail.get("who", "")) or state.who,
        version=str(detail.get("version", "")) or state.version,
    )


def _reclaimed(state: RunState, step: StepPath, result: StepResult) -> RunState:
    """A reclaim is no step of the plan: what it lost counts against the plan's last step, as an abort does."""
    results = {**state.results, step: result}
    if result.detail.failed and state.last:
        results[state.last] = replace(results[state.last], lost=result.detail.failed)
    return replace(state, results=results)


def _texts(values: Values) -> dict[str, str]:
    return {str(k): str(v) for k, v in values.items()}
