"""The scheduler: where a pod may run, by selectors, affinity, taints, cordon and counted devices.

Gangs (pods annotated with a PodGroup, as KAI does) are bound all together or not at all. Among the nodes that fit,
the one with the fewest free devices is taken, so that whole machines stay free for those who need them whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.kube import (
    ENDED,
    GPU,
    GROUP_ANNOTATION,
    HOSTNAME_LABEL,
    NODE,
    POD,
    POD_GROUP,
    Object,
    annotations_of,
    condition,
    deleting,
    labels_of,
    matches,
    matches_node,
    merge_conditions,
    name_of,
    namespace_of,
    node_of,
    phase_of,
    quantity,
    requests,
    uid_of,
    untolerated,
)
from knowngood.twin.client import ClientError

CORDON: Object = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
ALL = "all"


@dataclass
class _Room:
    """What is left on a node while one pass places pods."""

    node: Object
    pods: list[Object] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)

    def free(self, resource: str) -> int:
        """Devices that nobody holds."""
        allocatable = self.node.get("status", {}).get("allocatable") or {}
        return quantity(allocatable.get(resource, 0)) - self.used.get(resource, 0)

    def take(self, pod: Object) -> None:
        """Account for a pod."""
        self.pods.append(pod)
        for resource, amount in requests(pod["spec"]).items():
            self.used[resource] = self.used.get(resource, 0) + amount

    def give(self, pod: Object) -> None:
        """Take a pod out again."""
        self.pods.remove(pod)
        for resource, amount in requests(pod["spec"]).items():
            self.used[resource] -= amount


class Scheduler(Controller):
    """One pass over all pending pods at each change that could matter."""

    name = "scheduler"
    watches = (NODE, POD)

    def listen(self) -> None:
        """Any node or pod change starts a pass."""
        self.every(POD, self._matters)
        self.every(NODE, lambda _node: ALL)

    def _matters(self, pod: Object) -> str | None:
        unbound = not node_of(pod)
        return ALL if unbound or deleting(pod) or phase_of(pod) in ENDED else None

    async def reconcile(self, key: str) -> None:
        """Place what can be placed."""
        pods = list(self.cache.all(POD))
        pending = [
            p for p in pods if not node_of(p) and not deleting(p) and not p["spec"].get("schedulingGates")
        ]
        if not pending:
            return
        rooms = self._rooms(pods)
        pending.sort(key=lambda p: (-int(p["spec"].get("priority") or 0), p["metadata"]["creationTimestamp"]))
        done: set[str] = set()
        for pod in pending:
            if uid_of(pod) in done:
                continue
            members = self._gang(pod, pending)
            done |= {uid_of(member) for member in members}
            await self._place(members, rooms)

    def _rooms(self, pods: Iterable[Object]) -> dict[str, _Room]:
        rooms = {name_of(node): _Room(node) for node in self.cache.all(NODE)}
        for pod in pods:
            if node_of(pod) in rooms and phase_of(pod) not in ENDED:
                rooms[node_of(pod)].take(pod)
        return rooms

    def _gang(self, pod: Object, pending: Iterable[Object]) -> list[Object]:
        """The pending members of the pod's gang; the pod alone when it is in none."""
        group = annotations_of(pod).get(GROUP_ANNOTATION)
        if not group:
            return [pod]
        place = namespace_of(pod)
        return [
            p
            for p in pending
            if namespace_of(p) == place and annotations_of(p).get(GROUP_ANNOTATION) == group
        ]

    def _enough(self, members: list[Object]) -> bool:
        """Whether the gang has the members that its PodGroup asks for, counting those that run."""
        group = annotations_of(members[0]).get(GROUP_ANNOTATION)
        if not group:
            return True
        place = namespace_of(members[0])
        found = self.cache.get(POD_GROUP, group, place)
        need = int((found or {"spec": {}})["spec"].get("minMember", 1))
        running = [
            p
            for p in self.cache.all(POD, place)
            if annotations_of(p).get(GROUP_ANNOTATION) == group and node_of(p) and phase_of(p) not in ENDED
        ]
        return len(members) + len(running) >= need

    async def _place(self, members: list[Object], rooms: dict[str, _Room]) -> None:
        chosen: list[tuple[Object, _Room]] = []
        for pod in members if self._enough(members) else ():
            fits = [room for room in rooms.values() if self._why_not(pod, room) is None]
            if not fits:
                break
            best = min(
                fits,
                key=lambda r: (r.free(GPU) if GPU in requests(pod["spec"]) else len(r.pods), name_of(r.node)),
            )
            best.take(pod)
            chosen.append((pod, best))
        if len(chosen) < len(members):
            for pod, room in chosen:
                room.give(pod)
            for pod in members:
                await self._unschedulable(pod, rooms)
            return
        for pod, room in chosen:
            try:
                await self.api.bind(pod, name_of(room.node))
            except ClientError as error:
                if error.code not in {404, 409}:
                    raise

    async def _unschedulable(self, pod: Object, rooms: dict[str, _Room]) -> None:
        reasons: dict[str, int] = {}
        for room in rooms.values():
            why = self._why_not(pod, room) or "waits for its gang"
            reasons[why] = reasons.get(why, 0) + 1
        listed = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
        message = f"0/{len(rooms)} nodes are available: {listed}."
        old = pod.get("status", {}).get("conditions") or []
        if any(c["type"] == "PodScheduled" and c.get("message") == message for c in old):
            return
        new = condition("PodScheduled", status=False, reason="Unschedulable", message=message)
        await self.api.status(pod, {"conditions": merge_conditions(old, [new])})

    def _why_not(self, pod: Object, room: _Room) -> str | None:
        spec = pod["spec"]
        if not matches_node(spec, room.node):
            return "node(s) didn't match Pod's node affinity/selector"
        if room.node["spec"].get("unschedulable") and untolerated(
            spec, {"spec": {"taints": [CORDON]}}, ("NoSchedule",)
        ):
            return "node(s) were unschedulable"
        if taints := untolerated(spec, room.node, ("NoSchedule", "NoExecute")):
            return f"node(s) had untolerated taint {{{taints[0]['key']}: {taints[0].get('value', '')}}}"
        for resource, amount in requests(spec).items():
            if room.free(resource) < amount:
                return f"Insufficient {resource}"
        if _repelled(pod, room):
            return "node(s) didn't match pod anti-affinity rules"
        return None


def _repelled(pod: Object, room: _Room) -> bool:
    """Required anti-affinity by host name, of the pod and of those that are there."""
    return any(
        _repels(pod, other) or _repels(other, pod) for other in room.pods if uid_of(other) != uid_of(pod)
    )


def _repels(pod: Object, other: Object) -> bool:
    affinity = (pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
    for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
        places = term.get("namespaces") or [namespace_of(pod)]
        near = term.get("topologyKey") == HOSTNAME_LABEL and namespace_of(other) in places
        if near and matches(term.get("labelSelector"), labels_of(other)):
            return True
    return False
