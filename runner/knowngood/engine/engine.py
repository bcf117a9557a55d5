"""The loop: what is next, write the intent, do it, write the outcome; until the flow says how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from knowngood.engine.ahead import refuse_past_return, refuse_stuck
from knowngood.engine.doing import Doing, then_resume
from knowngood.engine.flow import ROLLBACK
from knowngood.engine.pausing import pauses, why
from knowngood.engine.ports import Ports
from knowngood.engine.script import next_step
from knowngood.engine.standing import refuse_different, refuse_final, refuse_newer
from knowngood.engine.steps import LONG, Step, Verb
from knowngood.engine.work import Done, Work
from knowngood.model.claims import left_out, may_hold
from knowngood.model.detail import Detail
from knowngood.model.errors import (
    Interrupted,
    JournalDamaged,
    KnowngoodError,
    LockHeld,
    Paused,
    UsageError,
)
from knowngood.model.hardware import Hardware
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Cluster
from knowngood.model.moved import still_moved
from knowngood.model.names import claim_value
from knowngood.model.packing import LIMIT, bound
from knowngood.model.plan import Plan
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.state import End, RunState, after, fold
from knowngood.model.steppath import StepPath
from knowngood.model.truth import Standing, standing
from knowngood.model.values import Object, Values
from knowngood.planner.digest import canonical
from knowngood.planner.keeping import forgettable
from knowngood.ports.cancel import Cancel

DETAIL_BYTES = 2800
"""Details above this become a file of the journal, so that a record of any kind stays under one page."""
WHY_LENGTH = 200
"""Characters of the reason that stay in such a record: in JSON one may take twelve bytes."""
FORGOTTEN_AT_ONCE = 20
"""Old runs that one run forgets at its end: each is some twenty deletions, and somebody waits for the result."""
SETTLING = (Verb.VERIFY, Verb.QUARANTINE, Verb.PROMOTE, Verb.LOOK, Verb.RECORD, Verb.LET_GO)
"""Verbs of the way back or the end, which an abort does not turn around."""
KEPT = ("cluster_file", "profile_file")
"""What record 0 keeps of the data that a run goes by, each as a file: the run goes on, or back, by nothing else."""


@dataclass
class Engine:
    """One run on its ports. `cancel` is set from outside to stop it; the run stays resumable."""

    ports: Ports
    plan: Plan
    cluster: Cluster
    hardware: Hardware
    run_id: str
    cancel: Cancel = field(default_factory=Cancel)
    frozen: Values = field(default_factory=dict)  # more for record 0: arguments, places
    runner: Mapping[str, str] = field(default_factory=dict)  # `who` (user@host) and `version` (of knowngood)
    known: bool = False  # it must exist already, here or in the cluster
    untold: str = field(default="", init=False)  # why its checkpoint does not say how it ended

    def __post_init__(self) -> None:
        self._state = fold(self._expand(r) for r in self.ports.journal.records())
        self._read: Object = {}  # kept values, by digest
        self._back = False  # a human asked to take it all back
        self._on = False  # a human asked to go on after it had ended
        self._open_step: Cancel | None = None  # of the step that an abort may cut short now
        self._doing = Doing(self.cluster.limits.undo)

    def run(self) -> RunState:
        """Start the run, or go on with it where it has begun, here or elsewhere. Returns the last state.

        The checkpoint is the truth: a journal that is behind it adopts it, one that tells another story is refused.
        Raises LockHeld and Refused (nothing more was written), Interrupted (resumable).
        """
        checkpoint, lock = self.ports.checkpoint, self.ports.lock
        known = max((run.fence for run in checkpoint.runs()), default=0)
        transitions = lock.acquire(self.run_id, self.cancel, self._heartbeat, above=known)
        fence = claim_value(self.run_id, transitions)
        try:
            if self._reconciled(transitions):
                self._play(fence)
        finally:
            lock.release()
        return self._state

    def _play(self, fence: str) -> None:
        """Go on from here to the end."""
        try:
            self._open(fence)
            if self._state.open.verb == Verb.SOAK:  # its load may still run, whatever comes next
                self.ports.load.clear(self.run_id, Cancel())
            while self._state.end is None:
                self._advance(fence)
            self.ports.checkpoint.save(self._state)
            self._forget()
        except Paused:
            raise
        except Interrupted as stopped:
            with suppress(KnowngoodError):  # the disk may be full: it is an interruption all the same
                self._append(RecordType.INTERRUPTED, detail={"why": str(stopped)})
            raise
        except LockHeld:
            raise
        except KnowngoodError as error:
            if self._state.end is None:
                self._stop_for(error)
            self.untold = str(error)  # its checkpoint is one step behind, as it may be

    def _forget(self) -> None:
        """What old runs left in the cluster goes. The run has ended: what can't be done now is done by the next one."""
        with suppress(KnowngoodError):
            marks = self.ports.cluster.marks().values()
            old = forgettable(
                self.ports.checkpoint.runs(), self.cluster.runs_kept, marks, at_work=self.run_id
            )
            for run in old[:FORGOTTEN_AT_ONCE]:
                self.ports.checkpoint.forget(run)

    def _stop_for(self, error: KnowngoodError) -> None:
        """Our own books can't be kept (checkpoint, journal): nothing was changed yet, or the run can be resumed."""
        if not any(path.parent or path.verb == Verb.HOLD for path in self._state.intended):
            raise error
        stopped = Interrupted(f"stopped: {error}", hint=then_resume(self.run_id, error.hint))
        with suppress(KnowngoodError):  # the disk may be full
            self._append(RecordType.INTERRUPTED, detail={"why": str(stopped)})
        raise stopped from error

    def _reconciled(self, transitions: int) -> bool:
        """Bring this journal to what the run's checkpoint says, under the Lease and before the first write.

        False where the run has ended, so that there is nothing to do. Raises Refused where they tell different
        stories, UsageError where there should be a run and is none.
        """
        there = self.ports.checkpoint.load(self.run_id)
        refuse_newer(there, transitions)
        found = standing(self._state, there)
        if found is not Standing.GONE or self._state.end is None or self._back or self._on:
            refuse_different(self._state, there, found)
        if there is None and self._state.next_seq == 0 and self.known:
            raise UsageError(f"run {self.run_id}: no journal here and no checkpoint in the cluster")
        if there is not None and found in (Standing.BEHIND, Standing.ENDED):
            self._adopt(there)
        if self._back:
            refuse_final(self._state)
            refuse_past_return(self.plan, self._state)
            self._append(RecordType.REOPENED)
        if self._on and self._state.end is not None:
            refuse_stuck(self.plan, self._state, self.ports.cluster.marks())
            if self.ports.checkpoint.abort_asked(self.run_id):  # it was heeded when the run ended
                self.ports.checkpoint.ask_abort(self.run_id, "")
            self._append(RecordType.WENT_ON)
        return self._state.end is None or (there is not None and there.end is None)

    def _adopt(self, there: RunState) -> None:
        """Go on from the checkpoint, which another machine's runner wrote, with all files that it names."""
        plan = self._fetched(there.plan_digest)
        if self._state.next_seq == 0:
            self._append(RecordType.PLAN, detail=dict(there.frozen), files={"plan": plan})
        kept = [str(there.frozen.get(name, "")) for name in KEPT]
        for digest in filter(None, kept):
            self._fetched(digest)
        for result in there.results.values():
            for name, digest in result.files.items():
                if name != "record-detail":  # its content is in the state itself
                    self._fetched(digest)
        why = f"from the checkpoint in the cluster, written by {there.who or 'an older version'}"
        taken = self._put(json.dumps({"why": why, "state": to_json(there)}).encode())
        self._append(RecordType.TAKEN_OVER, files={"record-detail": taken})

    def _fetched(self, digest: str) -> str:
        try:
            self.ports.journal.get(digest)
        except JournalDamaged:
            self._put(self.ports.checkpoint.fetch(self.run_id, digest))
        return digest

    def go_on(self) -> None:
        """Open a run that ended held again as it goes on, from what stopped it. `run` raises Refused where it can't."""
        self._on = True

    def roll_back(self) -> None:
        """Open an ended run again as it goes on, to undo all its rings. `run` raises UsageError where none is left."""
        self._back = True

    def _put(self, data: bytes) -> str:
        return self.ports.journal.put("file.json", data)

    def _keep(self, data: bytes) -> str:
        """Keep a file in the journal and beside the checkpoint; its digest."""
        digest = self._put(data)
        self.ports.checkpoint.keep(self.run_id, digest, data)
        return digest

    def _open(self, fence: str) -> None:
        """Freeze plan, cluster file and profile in record 0; on a resume put the new fence on the nodes we hold."""
        if self._state.next_seq == 0:
            self._refuse_too_large()
            digest = self._keep(json.dumps(to_json(self.plan), sort_keys=True).encode())
            single = (
                len(self.hardware.profiles) == 1
            )  # written as ever: an older version goes on with it, too
            hardware = self.hardware.profiles[0] if single else self.hardware
            cluster, profile = (self._keep(canonical(v)) for v in (self.cluster.raw, hardware))
            kept = dict(zip(KEPT, (cluster, profile), strict=True))
            move = {"cluster": self.plan.cluster, "from": self.plan.from_release, "to": self.plan.to_release}
            detail = {**self.frozen, "run": self.run_id, **move, "fence": fence, **self.runner, **kept}
            files = {"plan": digest, "cluster": cluster, "profile": profile}
            self._append(RecordType.PLAN, detail=detail, files=files)
        elif self._state.end is None:
            self._append(RecordType.RESUMED, detail={"fence": fence, **self.runner})
            if nodes := may_hold(self._state):
                path = StepPath(f"resume-{self._state.resumed}").child(Verb.RECLAIM)
                self._do(Step(path, Verb.RECLAIM, nodes), fence)

    def _refuse_too_large(self) -> None:
        """UsageError where the run's checkpoint might outgrow what the cluster takes; nothing has begun yet."""
        reach = bound(self.plan, self.frozen)
        if reach > LIMIT:
            raise UsageError(
                f"the checkpoint of this run could reach {reach // 1024} KiB, more than {LIMIT // 1024}:"
                f" {len(self.plan.nodes)} nodes are too many for one run",
                hint="put them into several cluster files and move one after the other; nothing was changed",
            )

    def _advance(self, fence: str) -> None:
        self.cancel.check()
        policy = ROLLBACK if self._state.undo_all else self.cluster.on_wave_failure
        following = next_step(self.plan, self._state, policy)
        if pauses(self._state, following) and not self.ports.checkpoint.abort_asked(self.run_id):
            self._pause()
        if isinstance(following, End):
            self._finish(following)
        else:
            self._do(following, fence, heed=self._heeds(following))

    def _pause(self) -> None:
        """Stand still as asked. Raises Paused, once the cluster knows it too: whoever looks from elsewhere is told."""
        told = why(self._state)
        self._append(RecordType.INTERRUPTED, detail={"why": told, "pause": self._state.last})
        self.ports.checkpoint.save(self._state)
        raise Paused(told)

    def _heartbeat(self, seconds: float) -> None:
        """On the Lease's thread: an abort that somebody asks for cuts a long step short."""
        step = self._open_step
        if step is not None and (mode := self.ports.checkpoint.abort_asked(self.run_id, seconds)):
            step.set(mode)

    def _heeds(self, step: Step) -> bool:
        """Whether an abort that somebody asks for keeps a step from being begun: it ends the one before."""
        last = self._state.results.get(self._state.last)
        return last is not None and not last.abort and not self._finishing(step)

    def _finishing(self, step: Step) -> bool:
        """Whether a step belongs to the way back or the end, which an abort does not turn around."""
        settling = step.verb in SETTLING
        return step.undo or settling or step.path.is_hold

    def _do(self, step: Step, fence: str, *, heed: bool = False) -> None:
        """Checkpoint, intent, effect, outcome; `heed`: nothing of it, where somebody asks for an abort."""
        self.cancel.check()
        detail: Object = {"nodes": list(step.nodes)}
        intent = Record(
            self._state.next_seq, RecordType.INTENT, self.ports.clock.now(), step.path, None, detail
        )
        # With the step about to be done as intended, for a runner elsewhere.
        mode = self.ports.checkpoint.save(after(self._state, intent), heed=heed)
        self.cancel.check()  # the Lease may have been lost meanwhile
        if mode:
            self._append(RecordType.ABORTED, self._state.last, detail={"mode": mode})
            return
        self._append(RecordType.INTENT, step.path, detail=detail)
        part = self.cancel.part()
        about = (self.ports, self.plan, self.cluster, self.hardware, self.run_id)
        work = Work(*about, fence, self._state, part, self._read)
        done = self._cuttable(work, step)
        self._append(RecordType.OUTCOME, step.path, done.status, to_json(done.detail), done.files)

    def _cuttable(self, work: Work, step: Step) -> Done:
        """Do a step; where an abort cut it short, that is its outcome."""
        cuttable = step.verb in LONG and not self._finishing(step)
        self._open_step = work.cancel if cuttable else None
        try:
            return self._doing.do(work, step)
        except Interrupted:
            self.cancel.check()
            if not work.cancel.is_set():
                raise
            mode = work.cancel.reason
            return Done(Status.INCONCLUSIVE, Detail(why=f"asked to {mode}: cut short", abort=mode))
        finally:
            self._open_step = None

    def _finish(self, end: End) -> None:
        moved = still_moved(self.plan, self._state) if end.name != "done" else {}
        out = left_out(self._state) if end.name in ("held", "quarantined") else {}
        nodes = {**out, **end.nodes}
        detail = {"end": end.name, "exit": int(end.exit_code), "why": end.why[:800], "nodes": nodes}
        detail |= {"moved": moved} if moved else {}
        self._append(RecordType.FINISHED, detail=detail)

    def _append(
        self,
        kind: RecordType,
        step: str = "",
        status: Status | None = None,
        detail: Values | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        now, detail, files = self.ports.clock.now(), dict(detail or {}), dict(files or {})
        text = json.dumps(to_json(detail))
        if len(text) > DETAIL_BYTES:
            files["record-detail"] = self.ports.journal.put("detail.json", text.encode())
            detail = {"why": str(detail.get("why", ""))[:WHY_LENGTH]}
        record = Record(self._state.next_seq, kind, now, step, status, detail, files)
        self.ports.journal.append(record)
        whole = self._expand(record)
        self._state = after(self._state, whole)
        for observer in self.ports.observers:
            observer.record(whole)

    def _expand(self, record: Record) -> Record:
        """A record with the detail that was too large for it."""
        digest = record.files.get("record-detail")
        if not digest:
            return record
        detail = json.loads(self.ports.journal.get(digest))
        return replace(record, detail=detail)


def frozen_plan(ports: Ports, run: str) -> Plan:
    """The plan that a run's record 0 froze, from its journal or, on another machine, its checkpoint."""
    records = ports.journal.records()
    if records:
        return from_json(Plan, json.loads(ports.journal.get(records[0].files["plan"])))
    saved = ports.checkpoint.load(run)
    if saved is None:
        raise UsageError(f"run {run}: no journal here and no checkpoint in the cluster")
    return from_json(Plan, json.loads(ports.checkpoint.fetch(run, saved.plan_digest)))
