"""Who else acts on nodes, asked before we claim them; and the same look by hand before a canary."""

from __future__ import annotations

import threading
import time

from knowngood.adapters.clock import pause
from knowngood.adapters.cluster import actors, facts, guards
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import NodeFailed, NotTold, Report, Task, each
from knowngood.model.errors import Unreachable
from knowngood.model.values import Object

LONGEST_PAUSE = 5.0  # seconds between two looks at who else is at work
FRESH = 0.5  # seconds for which one node's look serves the others


def preflight(task: Task, names: list[str]) -> Report:
    """Check nodes: quiet, nobody else at work on them, driver and operands tolerate our taints, journal readable."""
    elsewhere = actors.elsewhere(task.kube)
    intolerant = actors.intolerant(task.kube, task.gpu_operator, task.drivers)

    def one(of: Task, name: str) -> tuple[bool, Object]:
        reason = actors.busy(of.node(name), of.fence) or elsewhere.get(name) or "; ".join(intolerant)
        if reason:
            raise NodeFailed(reason)
        load = facts.module_load(of.kube, name, up=lambda: _uptime(of, name))
        return False, {"driver": load.version if load else ""}

    return each(task, names, one)


def _uptime(task: Task, name: str) -> float | None:
    """As the driver's pod on the node tells it; None without one."""
    pods = task.view.labelled(name, facts.DRIVER_LABEL, task.gpu_operator)
    return facts.uptime(task.kube, pods[0], facts.DRIVER_CONTAINER) if pods else None


def claim(task: Task, names: list[str]) -> Report:
    """Claim the nodes that nobody else works on; who does is waited for, as long as a claim may take.

    So is a device plugin that restarts, for what the node offered before is compared with later; one that stays away
    keeps no node from us: it may be what our own change broke, and the gates judge what the node offers.

    A node that is this run's already only gets the new fence: what others do there, or what our own change broke in
    theirs, must not keep us from going on, or back.
    """
    ends = time.monotonic() + task.limits.claim
    others = _Others(task)

    def one(of: Task, name: str) -> tuple[bool, Object]:
        began = time.monotonic()
        while True:
            try:
                others.leave(of, name)
                _spare(of, name)
                return claiming.claim(of, name, patient=time.monotonic() < ends and not of.dry_run)
            except NotTold as taken:
                over = time.monotonic() >= ends or of.dry_run
                if over and not isinstance(taken, claiming.Restarting):
                    raise
                of.tell(name, f"waiting: {taken}")
            time.sleep(pause(time.monotonic() - began, LONGEST_PAUSE))
            others.look_again()

    return each(task, names, one)


def _spare(task: Task, name: str) -> None:
    """NodeFailed where what moves would cut the node off; NotTold where nobody can tell, or its storage is in use."""
    if not any(spec.guards for spec in task.specs.values()) or claiming.is_ours(task, name):
        return
    pods = [p for label, namespace in task.drivers for p in task.view.labelled(name, label, namespace)]
    try:
        guards.refuse(task.kube, name, pods, task.specs)
    except guards.Guarded as error:
        raise NodeFailed(str(error)) from error
    except Unreachable as error:
        raise NotTold(str(error)) from error


class _Others:
    """What the other actors' own objects say, read once for all nodes of a batch and again after each pause."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._read = threading.Lock()
        self._seen = 0.0
        self.look_again()

    def look_again(self) -> None:
        """Read them anew, unless another node's wait has just done so."""
        with self._read:
            if time.monotonic() - self._seen < FRESH:
                return
            self._elsewhere = actors.elsewhere(self._task.kube)
            self._intolerant = "; ".join(
                actors.intolerant(self._task.kube, self._task.gpu_operator, self._task.drivers)
            )
            self._seen = time.monotonic()

    def leave(self, task: Task, name: str) -> None:
        """NotTold where somebody works on the node, or a pod that we need would be kept away from it."""
        reason = self._elsewhere.get(name) or self._intolerant
        if reason and not claiming.is_ours(task, name):
            raise NotTold(reason)
