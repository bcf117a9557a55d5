"""The verbs that judge: a baseline before anything is changed, a judgement after it, the proof at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from knowngood.engine import again, declaring, judging, restarts
from knowngood.engine.steps import RingStep, Step, Verb
from knowngood.engine.work import Done, Work
from knowngood.model.context import Window
from knowngood.model.detail import Detail
from knowngood.model.jsonable import from_json
from knowngood.model.node import NodeState
from knowngood.model.record import Status
from knowngood.model.steppath import StepPath
from knowngood.model.verdict import Judgement, Verdict


def baseline(work: Work, step: RingStep) -> Done:
    """What the nodes are like before: at their tenants' work before the ring is declared, idle before it is applied."""
    if step.drained:
        return _idle(work, step)
    done = judging.judge(work, step)
    loads = judging.loads_of(work.look(step.nodes, done.seen))
    return replace(done, detail=replace(done.detail, loads=loads))


def _idle(work: Work, step: RingStep) -> Done:
    """A baseline of drained nodes; one that a restart disturbed is taken once more, and what runs already ends it."""
    seen = work.loads(step.nodes)
    if early := restarts.otherwise(work, step, seen):
        return Done(Status.INCONCLUSIVE, Detail(why=restarts.why(EARLY, early), failed=early))
    done = judging.judge(work, step)
    if done.status is Status.OK:
        return _telling(done, restarts.restarted(work, step, seen))
    after = work.loads(step.nodes)
    if early := restarts.otherwise(work, step, after):
        return Done(Status.INCONCLUSIVE, Detail(why=restarts.why(EARLY, early), failed=early), done.files)
    if judging.loads_of(after) == judging.loads_of(seen):
        return done
    return _telling(judging.judge(work, step), restarts.restarted(work, step, after))


EARLY = "not as it was before the run"


def _telling(done: Done, told: Mapping[str, str]) -> Done:
    return replace(done, detail=restarts.telling(done.detail, told))


def prove(work: Work, step: Step) -> Done:
    """All passive gates on all GPU nodes, and of each node that moved the active ones: they passed, on this very load.

    Active gates need idle GPUs, and the tenants are back: their last result counts as long as what they judged runs.
    And Git still declares it: what somebody took back meanwhile would not stay.
    """
    done = judging.judge(work, step)
    seen = work.look(work.cluster.gpu, done.seen)
    files = {**done.files, **work.keep("nodes", seen)}
    unproven = declaring.taken_back(work) | _unproven(work, seen) if done.status is Status.OK else {}
    if unproven:
        detail = replace(done.detail, failed=unproven, why=restarts.why("not proven", unproven))
        return Done(Status.INCONCLUSIVE, detail, files)
    return Done(done.status, done.detail, files)


def _unproven(work: Work, seen: Mapping[str, NodeState]) -> dict[str, str]:
    """Nodes that moved and whose active gates did not pass on the load that runs now."""
    judged, now = _loads_judged(work), judging.loads_of(seen)
    passed, its = _passed_actively(work), work.plan.words.it
    found: dict[str, str] = {}
    for node in work.plan.nodes:
        needed = [gate for gate in work.plan.active_gates if work.plan.judged_by(gate, [node])]
        missing = [gate for gate in needed if (gate, node) not in passed]
        if missing:
            found[node] = f"{', '.join(missing)} did not pass on it in this run"
        elif node not in judged or node not in now:
            found[node] = f"which load of its {its} the active gates judged can't be told"
        elif judged[node] != now[node]:
            anew = now[node].monotonic
            found[node] = f"its {its} was loaded anew at {anew:.1f} s after boot, after its active gates"
    return found


def _loads_judged(work: Work) -> dict[str, Window]:
    """The load of each node that the last arrival of the way forward found."""
    loads: dict[str, Window] = {}
    for path in _forward(work, *again.ARRIVALS):
        loads |= work.state.results[path].detail.loads
    return loads


def _passed_actively(work: Work) -> set[tuple[str, str]]:
    """(gate, node) whose last result on a drained node was a pass."""
    last: dict[tuple[str, str], Verdict] = {}
    for path in _forward(work, Verb.JUDGE, Verb.RETEST):
        digest = work.state.results[path].files.get("judgement")
        for result in from_json(Judgement, work.load(digest)).results if digest else ():
            last[result.gate, result.node] = result.verdict
    return {key for key, verdict in last.items() if verdict is Verdict.PASS}


def _forward(work: Work, *verbs: Verb) -> list[StepPath]:
    """The paths of these verbs on the way forward that ended, oldest first."""
    mine = [p for p in work.state.intended if not p.is_undo and p.verb in verbs]
    return [p for p in mine if p in work.state.results]
