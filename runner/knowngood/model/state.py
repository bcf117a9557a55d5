"""A run's state: a pure fold over its records. `resume`, `status` and reports all start here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from knowngood.model.detail import Detail
from knowngood.model.errors import ExitCode
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
    reopened: int = -1  # the `seq` of the ended state from which that was asked
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
        case RecordType.REOPENED:
            back = _next_undo(state)
            return replace(state, end=None, undo_all=True, undo=back, reopened=state.seq - 1)
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
