"""The operators of the release are installed and succeeded, and all that they run on a node is there and stays.

Proves: each DaemonSet that selects the node has a ready pod there that does not restart again and again; the validator
ran to its end, after the driver was started that it is about; no operand is parked; each declared operator's installed
version is the release's and Succeeded; no declared object's controller reports an error.
Needs: the Kubernetes API. No pod is asked, nothing is run.
fail: any of these is otherwise for longer than the cluster's operandAgeSeconds, or can't become right by itself.
inconclusive: it is otherwise, but not for so long: it may still settle; a Subscription or version can't be found.
Noted: a catalog or a resolution that is in trouble (nothing that runs needs it); restarts below the limit. Those by a
boot of the node are none.
Thresholds: operandAgeSeconds of the cluster file (900: a proposal); maxRestarts of the profile (a proposal: 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest

from knowngood.adapters.judging.operand_view import VALIDATOR, Container, Declared, OnNode, Operand
from knowngood.gate import judge, measure
from knowngood.gate.operands import Operands
from knowngood.gate.settling import settle_seconds
from knowngood.model.context import JudgeRequest
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster
from knowngood.planner.version import TEXT, runs

SETTLE = 20.0  # seconds; a proposal
RESTARTS = 2
SUCCEEDED = "Succeeded"
NO_END = ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError")
"""States that a pod does not leave by itself."""

Found = tuple[bool, str]
"""Whether it is for good, and the words."""


@pytest.fixture(scope="session")
def at_rest(operands: Operands, cluster: Cluster, hardware: Hardware) -> Mapping[str, OnNode]:
    """All nodes once nothing is left to settle, or settleSeconds are over."""

    def waits(node: OnNode) -> bool:
        found = [good for good, _ in out_of_place(node, cluster.limits.operand_age, settled=False)]
        return bool(found) and not any(found)

    return operands.settled(waits, settle_seconds(hardware, "operators", SETTLE))


def test_what_they_run_on_the_node_is_there_and_stays(
    node: str,
    at_rest: Mapping[str, OnNode],
    cluster: Cluster,
    limits: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
) -> None:
    """Each operand, the validator's end, parked operands, restarts."""
    seen = at_rest.get(node)
    if seen is None:
        judge.inconclusive("there is no such node")
    measure(boot=seen.boot, restarts={o.daemonset: [o.uid, counts(o)] for o in seen.operands})
    found = list(out_of_place(seen, cluster.limits.operand_age))
    before, most = baseline or {}, int(limits.get("maxRestarts", RESTARTS))
    again = {o.daemonset: n for o in seen.operands if (n := restarted(o, seen, before))}
    found += [(True, f"{name} restarted {n} times, {most} allowed") for name, n in again.items() if n > most]
    say(found)
    if not seen.operands:
        judge.inconclusive("no pod of an operator was found on this node")
    if not any(o.daemonset == VALIDATOR for o in seen.operands):
        judge.inconclusive("no validator runs on this node: nothing shows that it ran to its end")
    judge.note("; ".join(f"{name} restarted {n} times since the baseline" for name, n in again.items()))


def test_the_operators_of_the_release_have_succeeded(
    operators: Sequence[Declared], refusals: Sequence[str], judgement: JudgeRequest, cluster: Cluster
) -> None:
    """Each operator that a Subscription declares, and what the controllers of declared objects report."""
    measure(versions={o.component: o.version for o in operators})
    found: list[Found] = [(True, words) for words in refusals]
    for operator in operators:
        wanted = sorted({e[operator.component] for e in judgement.expect.values() if operator.component in e})
        found += wrong(operator, wanted, judgement.schemes, cluster.limits.operand_age)
    say(found)
    notes = [f"{o.component}: {note}" for o in operators for note in o.notes]
    judge.note(
        "; ".join(notes if operators else ["no Subscription declares an operator: no version was asked"])
    )


def say(found: Sequence[Found]) -> None:
    """Fail for what is for good; else what may still settle is inconclusive."""
    if for_good := [words for good, words in found if good]:
        judge.fail("; ".join(for_good[:5]))
    if found:
        judge.inconclusive("; ".join(words for _, words in found[:5]))


def out_of_place(seen: OnNode, most: float, *, settled: bool = True) -> Iterator[Found]:
    """What of a node is not as it should be. `most`: seconds that a pod may be so; `settled`: it had its time.

    A DaemonSet's pod and a label come back at once, if they do; only the driver's start parks operands for minutes.
    """
    yield from ((settled, f"{name} selects the node and has no pod there") for name in seen.missing)
    yield from ((settled and bool(seen.driver_started), f"{label} is parked") for label in seen.parked)
    for operand in seen.operands:
        if operand.state != "ready":
            for_good = operand.age > most or (operand.restarts > RESTARTS and operand.state.endswith(NO_END))
            yield for_good, f"{operand.daemonset}: {operand.state} for {operand.age:.0f} s"
        elif operand.daemonset == VALIDATOR:
            yield from unproven(operand, seen, most)


def unproven(validator: Operand, seen: OnNode, most: float) -> Iterator[Found]:
    """A validator that is ready without having looked at the driver that runs."""
    if validator.undone:
        yield validator.age > most, f"the validator is ready without {', '.join(validator.undone)}"
    if seen.driver_started and not validator.started:
        yield False, "when the validator ran is not told"
    if validator.started and seen.driver_started and validator.started < seen.driver_started:
        words = f"the validator ran at {validator.started}, the driver was started at {seen.driver_started}"
        yield validator.age > most, words


def counts(operand: Operand) -> Mapping[str, int]:
    """Container -> its restarts over the pod's life."""
    return {one.name: one.restarts for one in operand.containers}


def restarted(operand: Operand, seen: OnNode, baseline: Mapping[str, Any]) -> int:
    """How often the containers of the very pod of the baseline have restarted since, but for boots of the node.

    A boot starts each container anew, and that is counted. So on another boot than the baseline's only those count that
    ended once more since the node is Ready, by all their restarts but one.
    """
    uid, before = baseline.get("restarts", {}).get(operand.daemonset, ("", {}))
    if uid != operand.uid:
        return 0
    booted = bool(seen.boot) and seen.boot != (baseline.get("boot") or seen.boot)
    return sum(
        max(0, one.restarts - int(before.get(one.name, 0)) - booted)
        for one in operand.containers
        if not (booted and by_boot(one, seen.ready_since))
    )


def by_boot(container: Container, ready_since: str) -> bool:
    """Whether its last end was before the node was Ready. False where either is not told."""
    try:
        return datetime.fromisoformat(container.ended) <= datetime.fromisoformat(ready_since)
    except (ValueError, TypeError):
        return False


def wrong(
    operator: Declared, wanted: Sequence[str], schemes: Mapping[str, str], most: float
) -> Iterator[Found]:
    """What is wrong with a declared operator."""
    where = f"{operator.component} ({operator.where})"
    if operator.trouble:
        yield False, f"{where}: {operator.trouble}"
        return
    scheme = schemes.get(operator.component, TEXT)
    if wanted and not any(runs(scheme, version, operator.version) for version in wanted):
        yield True, f"{where} is {operator.version or 'unknown'}, expected {' or '.join(wanted)}"
    if operator.phase != SUCCEEDED:
        since = f"{operator.phase or 'without a phase'} for {operator.age:.0f} s"
        yield operator.age > most, f"{where}: {since}{operator.reason and ', '}{operator.reason}"
