"""Drain a claimed node: evict the users of GPU and RDMA within their tenants' budgets, or give it back untouched."""

from __future__ import annotations

import time

from knowngood.adapters.clock import pause
from knowngood.adapters.cluster import actors, facts, holders
from knowngood.adapters.kubernetes.client import ApiError, Object
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import GivenBack, NodeFailed, Task
from knowngood.adapters.waiting import waiting
from knowngood.planner.eviction import Action, Decision, Owner, decide, workloads

LONGEST_PAUSE = 5.0  # seconds between two rounds, as kubectl drain waits after a 429


def drain(task: Task, name: str) -> tuple[bool, Object]:
    """Evict until no user is left. GivenBack when a budget, a pod that nobody would restart or a process of the host
    stands in the way.

    As long as nothing was evicted, each round first asks with a dry run whether every budget agrees: a node that
    a tenant won't give up is given back with nobody disturbed. One with nothing of ours on it was given back before:
    that answer got lost.
    """
    node = task.node(name)
    marks = actors.marks(node)
    if not (marks.any or marks.cordoned or task.keep):
        raise GivenBack("it was given back before")
    began = time.monotonic()
    evicted: dict[Owner, int] = {}
    refused: dict[str, str] = {}
    again, seen = False, node
    while True:
        with waiting(again):
            if again:
                seen = task.node(name)
            claiming.hold(task, name, seen)  # also finds out whether the claim is still ours
            pods = facts.pods_of_node(task.kube, name)
            decisions = decide(pods, task.tenants, task.operators, task.limits.drain, task.users)
        again = True
        if task.dry_run:
            return False, _figures(decisions, workloads(decisions))
        if blocked := [d for d in decisions if d.action is Action.BLOCK]:
            return _give_back(task, name, evicted, f"{_pod(blocked[0])}: {blocked[0].reason}")
        left = [d for d in decisions if d.action in {Action.EVICT, Action.WAIT}]
        elapsed = time.monotonic() - began
        if not left:
            if not (why := _held_by_the_host(task, name, pods)):
                return bool(evicted), _figures(decisions, evicted)
            if elapsed >= task.limits.drain:
                return _give_back(task, name, evicted, why)
            task.tell(name, why)
            time.sleep(pause(elapsed, LONGEST_PAUSE))
            continue
        if late := [d for d in left if elapsed >= d.deadline]:
            worst = next((d for d in late if d.uid in refused), late[0])
            why = refused.get(worst.uid, worst.reason)
            return _give_back(
                task, name, evicted, f"{_pod(worst)} is still there after {elapsed:.0f} s: {why}"
            )
        refused = _round(task, name, left, evicted)
        time.sleep(pause(elapsed, LONGEST_PAUSE))


def _held_by_the_host(task: Task, name: str, pods: list[Object]) -> str:
    """Who has the GPU open though no pod is left that has, "" for nobody. A way back does not wait for them."""
    if "gpu" not in task.users or task.keep:
        return ""
    found = holders.of_no_pod(task.kube, pods, task.specs)
    if found is None:
        task.tell(name, "whether processes of the host have its GPUs open can't be told")
    return holders.in_words(found) if found else ""


def _round(task: Task, name: str, left: list[Decision], evicted: dict[Owner, int]) -> dict[str, str]:
    """Ask for each pod once; returns why some were refused, by uid. One alone disturbs nobody if it is refused."""
    asked = [d for d in left if d.action is Action.EVICT]
    refused: dict[str, str] = {}
    if not evicted and len(asked) > 1:
        refused = {d.uid: why for d in asked if (why := _evict(task, d, dry_run=True)) not in {None, ""}}
        if refused:
            first = next(d for d in asked if d.uid in refused)
            task.tell(name, f"{_pod(first)} may not go yet: {refused[first.uid]}")
            return refused
    for decision in asked:
        task.ours(name)
        why = _evict(task, decision, dry_run=False)
        if why == "":
            evicted[decision.owner] = evicted.get(decision.owner, 0) + 1
            task.tell(name, f"evicted {_pod(decision)} of {decision.owner.tenant or 'no tenant'}")
        elif why is not None:
            refused[decision.uid] = why
            task.tell(name, f"{_pod(decision)} may not go yet: {why}")
    return refused


def _evict(task: Task, decision: Decision, *, dry_run: bool) -> str | None:
    """ "" if the eviction was accepted, None if the pod is gone or another one, else why a budget says no."""
    try:
        task.kube.evict(decision.namespace, decision.name, decision.uid, dry_run=dry_run)
    except ApiError as error:
        if error.missing or error.code == 409:
            return None
        if error.code in {429, 500}:  # 500: a pod under two budgets is refused so
            return error.said
        raise
    return ""


def _give_back(task: Task, name: str, evicted: dict[Owner, int], why: str) -> tuple[bool, Object]:
    gone = ", ".join(str(owner) for owner in evicted)
    reason = f"{why} (evicted before that: {gone or 'nothing'})"
    if task.keep:
        raise NodeFailed(reason)
    claiming.release(task, name)
    raise GivenBack(reason)


def _figures(decisions: tuple[Decision, ...], evicted: dict[Owner, int]) -> Object:
    """Who was disturbed, counted in workloads."""
    return {
        "evicted": [
            {
                "tenant": owner.tenant,
                "namespace": owner.namespace,
                "kind": owner.kind,
                "name": owner.name,
                "gang": owner.gang,
                "pods": pods,
            }
            for owner, pods in evicted.items()
        ],
        "skipped": len([d for d in decisions if d.action is Action.SKIP]),
    }


def _pod(decision: Decision) -> str:
    return f"{decision.namespace}/{decision.name}"
