"""What the actions on a batch's nodes share: what they are given, how they fail, what became of each node.

An action does one node; `each` does all of a batch at the same time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

from knowngood.adapters.cluster import actors
from knowngood.adapters.cluster.facts import BY_HAND
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.nodes.view import View
from knowngood.model import names
from knowngood.model.bmcs import UNASKED, Bmcs
from knowngood.model.errors import KnowngoodError
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Limits, Tenant
from knowngood.model.mover import Mark, Moving, Pods, Specs
from knowngood.model.values import Values
from knowngood.planner.eviction import ALL_USERS

WORKERS = 256
"""Nodes done at the same time: most of the time they are waited for, all of them by the same readings."""


class NodeFailed(Exception):
    """What was asked can't be done on this node; the message says why."""


class NotTold(NodeFailed):
    """It could not be told, or others stand in the way: nothing that speaks against the node or the version."""


class ClaimLost(NodeFailed):
    """The node's claim is not ours any more: stop touching it. That alone says nothing about who holds the cluster."""


class Overtaken(ClaimLost):
    """The node's claim is a newer Lease's: somebody else runs."""


class GivenBack(Exception):
    """A tenant's budget did not let us drain; cordon, taint and claim are off again."""


@dataclass(frozen=True)
class Task:
    """What every action gets. `fence` is our claim's value; `tell(node, text)` reports progress."""

    kube: Kube
    fence: str
    limits: Limits
    tenants: tuple[Tenant, ...] = ()
    operators: tuple[str, ...] = ("nvidia-gpu-operator", "nvidia-network-operator")
    namespaces: Mapping[str, str] = field(default_factory=dict)  # of operators, by component
    moves: tuple[Moving, ...] = ()
    specs: Specs = field(default_factory=lambda: BY_HAND)  # of what may move: their marks
    users: Collection[str] = ALL_USERS  # who must leave
    reasons: Mapping[str, str] = field(default_factory=dict)  # of a quarantine, by node
    keep: bool = False  # a node that can't be drained stays ours
    since: Mapping[str, Mark] = field(default_factory=dict)  # by node: what was loaded then does not count
    dry_run: bool = False
    tell: Callable[[str, str], None] = lambda _node, _text: None
    batch: tuple[str, ...] = ()  # the nodes that are done at the same time
    bmcs: Bmcs = UNASKED  # where the nodes' BMCs are
    machines: tuple[str, ...] = ()  # the cluster's nodes that have one
    named: bool = True  # whoever asks named the objects that declare what moves, where there are such

    @cached_property
    def view(self) -> View:
        """The nodes as they are; one for all of a batch, see `each`."""
        return View(self.kube, self.batch, self.gpu_operator)

    @property
    def gpu_operator(self) -> str:
        """The namespace of the GPU operator, where the driver pods are."""
        return self.operators[0]

    def namespace_of(self, pods: Pods) -> str:
        """The namespace of the operator that has these pods."""
        return self.namespaces.get(pods.operator, self.gpu_operator)

    @property
    def drivers(self) -> tuple[tuple[str, str], ...]:
        """Label and namespace of the pods of all that may move, each once."""
        every = ((spec.pods.label, self.namespace_of(spec.pods)) for spec in self.specs.values() if spec.pods)
        return tuple(dict.fromkeys(every))

    @property
    def run(self) -> str:
        """The run's id."""
        return self.fence.rpartition("/")[0]

    def node(self, name: str) -> Object:
        """The node object; NodeFailed where there is none."""
        return _there(self.view.node(name))

    def held(self, name: str) -> Object:
        """The node object, if its claim is ours; ClaimLost otherwise."""
        return self._ours(self.node(name))

    def ours(self, name: str) -> Object:
        """As `held`, by a reading of its own: asked right before an eviction, which no patch makes conditional."""
        return self._ours(self.alone(name))

    def alone(self, name: str) -> Object:
        """The node object, by a reading of its own."""
        return _there(self.kube.find(path("v1", "nodes", name)))

    def _ours(self, node: Object) -> Object:
        holder = actors.annotation(node, names.CLAIM_ANNOTATION)
        if holder != self.fence:
            raise self.lost(holder)
        return node

    def lost(self, holder: str) -> ClaimLost:
        """What to raise where the claim is not ours: fences only grow, so a larger one is a newer Lease's."""
        if fence_number(holder) > fence_number(self.fence):
            return Overtaken(f"its claim is {holder}: a newer Lease's than {self.fence}")
        return ClaimLost(f"its claim is {holder or 'gone'}, not {self.fence}")

    def refuse_overtaken(self) -> None:
        """Overtaken where the Lease counts further than our fence: asked before a node is touched that has no claim.

        Such a node has nothing of ours to test: a runner that slept would take what another has given back.
        """
        lease = self.view.lease()
        if int((lease.get("spec") or {}).get("leaseTransitions") or 0) > fence_number(self.fence):
            raise Overtaken(f"the Lease was taken over: it counts further than {self.fence}")

    def snapshot(self, node: Values) -> Object:
        """What the node was like when this run claimed it."""
        text = actors.annotation(node, names.SNAPSHOT_ANNOTATION)
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise NodeFailed(f"annotation {names.SNAPSHOT_ANNOTATION} is missing or unreadable") from error

    def marks_before(self, node: Values) -> dict[str, Mark]:
        """What had come to the node by this run's claim; versions before 0.1 kept one load for all that moves."""
        snapshot = self.snapshot(node)
        if "marks" in snapshot:
            return {name: from_json(Mark, mark) for name, mark in snapshot["marks"].items()}
        load = snapshot.get("load")
        one = load and Mark(load["version"], load["boot_id"], float(load["monotonic"]))
        return {m.component: one for m in self.moves if one}


def _there(node: Object | None) -> Object:
    if node is None:
        raise NodeFailed("there is no such node")
    return node


@dataclass(slots=True)
class Report:
    """What became of each node of a batch; the Ansible module's result."""

    changed: bool = False
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)  # those of `failed` whose claim is a newer Lease's
    could_not: list[str] = field(default_factory=list)  # those of `failed` that say nothing of the node
    stripped: list[str] = field(default_factory=list)  # those of `failed` whose claim somebody removed
    given_back: dict[str, str] = field(default_factory=dict)
    detail: Object = field(default_factory=dict)
    seen: Object = field(default_factory=dict)  # those of `done` that were measured, as far as needed


SEEN = "seen"
"""In what an action says of a node: the NodeState that it has just measured."""
Action = Callable[[Task, str], tuple[bool, Object]]
"""Does one node; returns whether it changed anything, and small JSON about it."""


def each(task: Task, nodes: Sequence[str], action: Action) -> Report:
    """Do an action on all nodes of a batch at the same time."""
    report, lock = Report(), threading.Lock()
    task = replace(task, batch=tuple(nodes))

    def one(name: str) -> None:
        began = time.monotonic()
        try:
            changed, detail = action(task, name)
        except GivenBack as error:
            with lock:
                report.changed = True
                report.given_back[name] = str(error)
        except (NodeFailed, KnowngoodError) as error:
            with lock:
                report.failed[name] = str(error)
                if isinstance(error, Overtaken):
                    report.lost.append(name)
                elif isinstance(error, ClaimLost):
                    report.stripped.append(name)
                elif isinstance(error, (NotTold, KnowngoodError)):
                    report.could_not.append(name)
        else:
            with lock:
                report.changed |= changed
                report.done.append(name)
                if seen := detail.pop(SEEN, None):
                    report.seen[name] = to_json(seen)
                report.detail[name] = {**detail, "seconds": round(time.monotonic() - began, 3)}

    with ThreadPoolExecutor(max_workers=max(1, min(len(nodes), WORKERS))) as pool:
        for result in [pool.submit(one, name) for name in dict.fromkeys(nodes)]:
            result.result()
    report.done = [name for name in nodes if name in report.done]
    return report


def fence_number(claim_value: str) -> int:
    """The number in a claim's value, -1 where there is none."""
    tail = claim_value.rpartition("/")[2]
    return int(tail) if tail.isdecimal() else -1
