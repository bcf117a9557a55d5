"""Who else acts on nodes, asked before we claim them; and the same look by hand before a canary."""

from __future__ import annotations

from typing import Any

from knowngood.adapters import actors, facts, nodes
from knowngood.adapters.nodes import NodeFailed, NotTold, Report, Task, each


def preflight(task: Task, names: list[str]) -> Report:
    """Check nodes: quiet, nobody else at work on them, driver and operands tolerate our taints, journal readable."""
    elsewhere = actors.elsewhere(task.kube)
    intolerant = actors.intolerant(task.kube, task.gpu_operator)

    def one(of: Task, name: str) -> tuple[bool, dict[str, Any]]:
        reason = actors.busy(of.node(name), of.fence) or elsewhere.get(name) or "; ".join(intolerant)
        if reason:
            raise NodeFailed(reason)
        load = facts.module_load(of.kube, name)
        return False, {"driver": load.version if load else ""}

    return each(task, names, one)


def claim(task: Task, names: list[str]) -> Report:
    """Claim the nodes that nobody else works on; the other actors' objects are read once for all of them."""
    elsewhere = actors.elsewhere(task.kube)
    intolerant = "; ".join(actors.intolerant(task.kube, task.gpu_operator))

    def one(of: Task, name: str) -> tuple[bool, dict[str, Any]]:
        if reason := elsewhere.get(name) or intolerant:
            raise NotTold(reason)
        return nodes.claim(of, name)

    return each(task, names, one)
