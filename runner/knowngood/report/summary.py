"""A run in one value: what every report shows and what `--output json` prints (the schema `summary`).

A pure fold: records in, Summary out. `load` reads what records name by digest and raises when it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from knowngood.model.claims import elsewhere
from knowngood.model.destination import HERE, Destination, Way
from knowngood.model.going_on import can_go_on
from knowngood.model.holding import holds
from knowngood.model.jsonable import from_json
from knowngood.model.marks import Marks
from knowngood.model.moved import still_moved
from knowngood.model.mover import PLAIN
from knowngood.model.plan import Plan
from knowngood.model.record import Record, Status
from knowngood.model.state import RunState, StepResult, fold
from knowngood.model.steppath import StepPath
from knowngood.model.values import Values
from knowngood.model.verdict import Judgement, Verdict
from knowngood.planner.no_return import past_return
from knowngood.planner.pace import seconds_between
from knowngood.report.disturbance import Disturbed, NodeTime, disturbed, node_times
from knowngood.report.steps import planned_sentence

Load = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of the timeline. Times are RFC 3339 UTC; `seconds` from its intent to its outcome."""

    path: str
    what: str
    status: str  # ok | fail | inconclusive | foreign | running
    started: str
    ended: str
    seconds: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class CommitLine:
    """One commit that the run pushed: `kind` is declare, undo, way-back, promotion or failure."""

    kind: str
    ring: str
    commit: str
    step: str


@dataclass(frozen=True, slots=True)
class RecordLine:
    """What became of a run's record in the matrix: delivered as `commit` or `file`, or not, and then why.

    `where` says where it goes, `into` which branch that has still to be merged into, `note` what a reader must hear of
    it, `next` what helps where it was refused.
    """

    where: str
    commit: str = ""
    file: str = ""
    note: str = ""
    undelivered: str = ""
    next: str = ""
    into: str = ""


@dataclass(frozen=True, slots=True)
class GateLine:
    """One gate's verdict on one node in one judgement."""

    gate: str
    node: str
    verdict: str
    reason: str
    measured: Values
    backend: str
    seconds: float


@dataclass(frozen=True, slots=True)
class JudgementLine:
    """One judgement. `missing` names required gate/node pairs without a result."""

    step: str
    verdict: str
    trouble: str
    results: tuple[GateLine, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """A run, for people and machines. `end` is "" and `exit_code` None while it has not ended."""

    schema: int
    run: str
    cluster: str
    profile: str
    from_release: str
    to_release: str
    moves: tuple[str, ...]
    started: str
    updated: str
    seconds: float
    resumed: int
    running: str  # the step that runs now, ""
    interrupted: str
    end: str
    exit_code: int | None
    why: str
    blamed: Mapping[str, str]
    status: str  # what the release earned: rehearsed, known-good or ""
    because: str
    warnings: tuple[str, ...]
    steps: tuple[StepLine, ...]
    commits: tuple[CommitLine, ...]
    judgements: tuple[JudgementLine, ...]
    nodes: Mapping[str, NodeTime]
    tenants: Mapping[str, Disturbed]
    not_running: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    moved: Mapping[str, str] = field(default_factory=dict)
    """Of a run that is not done: node -> what it still has."""
    reported: Mapping[str, str] = field(default_factory=dict)  # node -> what others changed while an undo ran
    asked: bool = False  # where the nodes are now is what they say themselves; else as of the journal
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Nodes of no concern to this run, with marks of ours."""
    holds: Mapping[str, str] = field(default_factory=dict)
    """Whose work the run holds, and what must be known of it; of an ended run what it could not let go."""
    who: str = ""  # user@host of the last runner
    version: str = ""  # of its knowngood
    record: RecordLine | None = None  # None: the run has nothing to record (yet)
    called: str = PLAIN.it  # what moves, as people call it
    no_way_back: str = ""  # the hop that the run is in, or ended in, once nothing of it is taken back
    goes_on: bool = False  # it ended held, and `resume` takes it on once its cause is mended


def summarise(records: Sequence[Record], load: Load, marks: Mapping[str, Marks] | None = None) -> Summary:
    """The summary of a run's records so far (at least record 0). `marks`: what the nodes say now, where asked."""
    full = tuple(expanded(r, load) for r in records)
    state = fold(full)
    plan = plan_of(state, load)
    promoted = state.results.get(StepPath("promote"))
    verified = next((state.results.get(p) for p in reversed(state.intended) if p.verb == "verify"), None)
    end, ahead = state.end, past_return(plan, state)
    return Summary(
        schema=1,
        run=state.run,
        cluster=plan.cluster,
        profile=plan.profile,
        from_release=plan.from_release,
        to_release=plan.to_release,
        moves=tuple(f"{m.component} {m.from_version} → {m.to_version}" for h in plan.hops for m in h.moves),
        started=state.started,
        updated=state.updated,
        seconds=round(seconds_between(state.started, state.updated), 1),
        resumed=state.resumed,
        running="" if end else state.open,
        interrupted="" if end else state.interrupted,
        end=end.name if end else "",
        exit_code=int(end.exit_code) if end else None,
        why=end.why if end else "",
        blamed=dict(end.nodes) if end else {},
        moved=_moved(plan, state),
        status=promoted.detail.status if promoted else "",
        because=promoted.detail.because if promoted else "",
        warnings=plan.warnings,
        steps=_steps(state, plan),
        commits=_commits(state),
        judgements=tuple(_judgements(state, load)),
        nodes=node_times(state, plan.nodes, marks),
        tenants=disturbed(state, load),
        not_running=verified.detail.not_running if verified else {},
        record=_record(state),
        reported=verified.detail.reported if verified else {},
        left=verified.detail.left if verified else (),
        asked=marks is not None,
        elsewhere=elsewhere(marks, plan.nodes) if marks else {},
        holds=holds(state),
        who=state.who,
        version=state.version,
        called=plan.words.it,
        no_way_back=ahead.name if ahead else "",
        goes_on=end is not None and end.name == "held" and can_go_on(state.intended, state.results),
    )


def _moved(plan: Plan, state: RunState) -> dict[str, str]:
    """What still runs or declares the new versions: as the end says, or so far where the run stands interrupted."""
    if state.end:
        return dict(state.end.moved)
    return still_moved(plan, state) if state.interrupted else {}


def expanded(record: Record, load: Load) -> Record:
    """A record with the detail that was too large for it."""
    digest = record.files.get("record-detail")
    if not digest:
        return record
    return Record(
        record.seq, record.type, record.time, record.step, record.status, load(digest), record.files
    )


def plan_of(state: RunState, load: Load) -> Plan:
    """The plan that record 0 froze."""
    return from_json(Plan, load(state.plan_digest))


def _steps(state: RunState, plan: Plan) -> tuple[StepLine, ...]:
    lines = []
    for path in state.intended:
        result = state.results.get(path)
        if result is None:
            lines.append(StepLine(path, planned_sentence(path, plan), "running", state.open_since, "", 0.0))
            continue
        seconds = round(seconds_between(result.started, result.ended), 1)
        why = result.detail.why
        status = str(result.status)
        lines.append(
            StepLine(path, planned_sentence(path, plan), status, result.started, result.ended, seconds, why)
        )
    return tuple(lines)


def _commits(state: RunState) -> tuple[CommitLine, ...]:
    lines = []
    for path in state.intended:
        result = state.results.get(path)
        commit = result.detail.commit if result else ""
        if not result or not commit:
            continue
        match path.verb:
            case "declare":
                lines.append(CommitLine("undo" if path.is_undo else "declare", path.ring, commit, path))
            case "way-back":
                lines.append(CommitLine("way-back", "", commit, path))
                lines.append(CommitLine("way-back", "", result.detail.revert, path))
            case "promote":
                lines.append(CommitLine("promotion", "", commit, path))
            case "record":
                lines.append(CommitLine("failure", "", commit, path))
    return tuple(lines)


def recorded(state: RunState) -> StepResult | None:
    """The step that recorded the run's proof, or what speaks against its release, with the evidence it kept."""
    ways = (state.results.get(p) for p in reversed(state.intended) if p.verb in ("promote", "record"))
    return next((result for result in ways if result and "evidence" in result.files), None)


def _record(state: RunState) -> RecordLine | None:
    result = recorded(state)
    if result is None:
        return None
    frozen = state.frozen.get("record")
    to = from_json(Destination, frozen) if frozen else HERE
    told = result.detail
    where = told.where or ("" if to.way is Way.HERE else str(to))
    return RecordLine(
        where,
        commit=told.commit,
        file=told.file,
        note=told.note,
        undelivered=told.undelivered,
        next=told.hint,
        into=to.into,
    )


def _judgements(state: RunState, load: Load) -> list[JudgementLine]:
    lines = []
    for path in state.intended:
        result = state.results.get(path)
        if result and "judgement" in result.files:
            lines.append(_judgement(path, result, from_json(Judgement, load(result.files["judgement"]))))
    return lines


def _judgement(path: str, result: StepResult, judgement: Judgement) -> JudgementLine:
    """The engine may have been stricter than the judgement itself (it counts the results): its word counts."""
    line = judgement_line(path, judgement)
    if result.status is not Status.OK and judgement.verdict is Verdict.PASS:
        return replace(line, verdict=Verdict.INCONCLUSIVE.value)
    return line


def judgement_line(name: str, judgement: Judgement) -> JudgementLine:
    """A judgement for reports."""
    gates = tuple(
        GateLine(r.gate, r.node, r.verdict.value, r.reason, r.measured, r.backend, round(r.seconds, 2))
        for r in judgement.results
    )
    missing = tuple(f"{gate}/{node}" for gate, node in judgement.missing)
    return JudgementLine(name, judgement.verdict.value, judgement.trouble, gates, missing)
