"""What depends on a node's drivers: all of it runs again, and the node offers what it offered before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowngood.adapters.cluster import actors, facts
from knowngood.adapters.kubernetes.client import Object
from knowngood.adapters.movers import sriov_state
from knowngood.adapters.movers.watch import NOT_READY, Watch
from knowngood.adapters.nodes.batch import Task
from knowngood.model.mover import Moving
from knowngood.planner import sharing

GPUS = (f"{sharing.DOMAIN}gpu", f"{sharing.DOMAIN}mig-")
"""How the names of GPUs and of their parts begin; what else that vendor's plugins offer, no layout changes."""

PARTS_PORTS = "sriov"
"""The class that has ports offer other functions."""


def settled(task: Task, name: str, ends_at: float) -> int:
    """Wait for it, once all that moves has come; returns how often the node had to be held again."""
    watch, anew = Watch(task, name, ends_at), _of_ports(task, name)

    def look() -> tuple[bool | None, str]:
        before = task.snapshot(watch.node).get("allocatable") or {}
        kept = {r: n for r, n in before.items() if not (parted_anew(task.moves, r) or named(r) in anew)}
        return _look(task, name, watch.node, kept)

    watch.until(look, "the operands")
    return watch.held


def parted_anew(moves: Sequence[Moving], resource: str) -> bool:
    """Whether what moves here parts or shares GPUs otherwise: then its own class has proven what is offered."""
    return resource.startswith(GPUS) and any(m.spec.label for m in moves)


def _of_ports(task: Task, name: str) -> frozenset[str]:
    """What its ports offer, by name, where what moves here parts them: then its class has proven what is offered."""
    if not any(m.spec.kind == PARTS_PORTS for m in task.moves):
        return frozenset()
    return sriov_state.resources(sriov_state.states(task.kube).get(name) or {})


def named(resource: str) -> str:
    """A resource without its domain."""
    return resource.rpartition("/")[2]


def _look(task: Task, name: str, node: Object, before: Mapping[str, str]) -> tuple[bool | None, str]:
    """All operands that select the node run, nothing is parked, and it offers what it offered before."""
    if not facts.node_ready(node):
        return None, NOT_READY
    if paused := actors.parked(node):
        return None, f"operands are parked: {paused[0]}"
    if parting := actors.parting(node):
        return None, parting
    labels = {m.spec.pods.label: task.namespace_of(m.spec.pods) for m in task.moves if m.spec.pods}
    of = {facts.DRIVER_LABEL: task.gpu_operator, **labels}
    for namespace in dict.fromkeys(of.values()):
        ours = [label for label, where in of.items() if where == namespace]
        if late := _late(task, name, node, namespace, ours):
            return None, late
    offered = facts.extended((node.get("status") or {}).get("allocatable") or {})
    for resource, amount in before.items():
        if offered.get(resource) != amount:
            return None, f"{resource} is {offered.get(resource, 'gone')}, was {amount}"
    return True, ""


def _late(task: Task, name: str, node: Object, namespace: str, labels: Sequence[str]) -> str:
    """The first DaemonSet of an operator whose pod is not ready there, and how it is; "" where all are."""
    states: dict[str, str] = {}
    for pod in facts.pods_of_node(task.kube, name, namespace):
        for owner in pod["metadata"].get("ownerReferences") or ():
            states[str(owner.get("name"))] = facts.pod_state(pod)
    for daemonset in task.view.daemonsets(namespace):
        which = daemonset["metadata"]["name"]
        is_driver = any(facts.has_label(daemonset["spec"]["template"], label) for label in labels)
        if (which in facts.OPERANDS or is_driver) and facts.selects(daemonset, node):
            state = states.get(which, "no pod")
            if state != "ready":
                return f"{which}: {state}"
    return ""
