"""The scheduler: where a pod may run, by selectors, affinity, taints, cordon and counted devices.

Gangs (pods annotated with a PodGroup, as KAI does) are bound all together or not at all. Among the nodes that fit,
the one with the fewest free devices is taken, so that whole machines stay free for those who need them whole.
As upstream, a pod that fits nowhere is asked again only when a node changed so that it could.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    ENDED,
    GPU,
    GROUP_ANNOTATION,
    NODE,
    POD,
    POD_GROUP,
    annotations_of,
    condition,
    deleting,
    merge_conditions,
    name_of,
    namespace_of,
    node_of,
    phase_of,
    uid_of,
)
from knowngood.twin.behaviours.rooms import UNSUITED, Demand, Room, demand_of
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

ALL = "all"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Who fits nowhere for now: what they ask for, why not where, and what they were told."""

    demands: tuple[Demand, ...]
    reasons: dict[str, str]
    message: str

    def stands(self, room: Room) -> bool:
        """Whether a node that has changed is no news for them."""
        last = self.demands[-1]
        if last.pinned in {"", room.name} and _why(room, last) != self.reasons.get(room.name):
            return False
        return all(room.why_not(demand) is not None for demand in self.demands)


class Scheduler(Controller):
    """One pass over the pods that could be placed, at each change that could matter."""

    name = "scheduler"
    watches = (NODE, POD, POD_GROUP)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._rooms: dict[str, Room] = {}
        self._held: dict[str, str] = {}  # pod uid -> the node it is counted on, bound or about to be
        self._pending: dict[str, Object] = {}
        self._demands: dict[str, Demand] = {}  # of pending pods
        self._units: dict[str, dict[str, None]] = {}  # pending pods by what they are placed with
        self._due: dict[str, None] = {}  # pending pods that the next pass looks at
        self._refused: dict[str, _Refusal] = {}  # by unit: a demand's key, or a gang

    def serves(self, pod: Object) -> bool:
        """Whether it looks for room for this pod; it counts those of others all the same."""
        return True

    def listen(self) -> None:
        """Follow nodes and pods; count what is there already."""
        self.cache.listen(NODE, self._node_changed)
        self.cache.listen(POD, self._pod_changed)
        self.cache.listen(POD_GROUP, lambda _event, group: self._ask_again(_gang(group, name_of(group))))
        for node in self.cache.all(NODE):
            self._node_changed("ADDED", node)
        for pod in self.cache.all(POD):
            self._pod_changed("ADDED", pod)

    def _node_changed(self, event: str, node: Object) -> None:
        name = name_of(node)
        room = self._rooms.get(name)
        if event == "DELETED":
            self._rooms.pop(name, None)
        elif room is None:
            room = self._rooms[name] = Room(node)
            for pod in self.cache.pods_on(name):
                self._pod_changed("ADDED", pod)
            self._hope(room)
        elif room.refresh(node):
            self._hope(room)

    def _pod_changed(self, event: str, pod: Object) -> None:
        uid = uid_of(pod)
        if event == "DELETED" or phase_of(pod) in ENDED:
            self._forget(uid)
        elif node_of(pod):
            self._forget_pending(uid)
            self._hold(pod, node_of(pod))
        elif deleting(pod) or pod["spec"].get("schedulingGates"):
            self._forget(uid)
        elif uid not in self._held and self.serves(pod):  # else our binding is on its way
            self._want(pod)

    def _want(self, pod: Object) -> None:
        uid, demand = uid_of(pod), demand_of(pod)
        known = self._demands.get(uid)
        if known is not None and known != demand:
            self._forget_pending(uid)
        self._pending[uid] = pod
        if known is None or known != demand:
            self._demands[uid] = demand
            self._units.setdefault(self._unit_of(pod), {})[uid] = None
            if gang := _gang_of(pod):
                self._ask_again(gang)
            self._due[uid] = None
            self.enqueue(ALL)

    def _unit_of(self, pod: Object) -> str:
        """What is placed together: a gang, or pods that ask for the same."""
        return _gang_of(pod) or self._demands[uid_of(pod)].key

    def _hold(self, pod: Object, node: str) -> None:
        """Count a pod on a node, and on no other."""
        uid = uid_of(pod)
        before = self._held.get(uid)
        if before not in {None, node}:
            self._release(uid)
        self._held[uid] = node
        if node in self._rooms:
            self._rooms[node].take(pod)
        if before != node and (gang := _gang_of(pod)):
            self._ask_again(gang)

    def _release(self, uid: str) -> None:
        room = self._rooms.get(self._held.pop(uid, ""))
        if room is not None:
            room.give(uid)
            self._hope(room)

    def _forget_pending(self, uid: str) -> None:
        pod = self._pending.pop(uid, None)
        if pod is not None:
            unit = self._unit_of(pod)
            self._units[unit].pop(uid, None)
            if not self._units[unit]:
                del self._units[unit]
                self._refused.pop(unit, None)
        self._demands.pop(uid, None)
        self._due.pop(uid, None)

    def _forget(self, uid: str) -> None:
        self._forget_pending(uid)
        self._release(uid)

    def _hope(self, room: Room) -> None:
        """A node changed: ask again for those that could run there now, or can't for another reason."""
        for unit, refusal in list(self._refused.items()):
            if not refusal.stands(room):
                self._ask_again(unit)

    def _ask_again(self, unit: str) -> None:
        if self._refused.pop(unit, None) is not None:
            self._due |= self._units.get(unit, {})
            self.enqueue(ALL)

    async def reconcile(self, key: str) -> None:
        """Place what can be placed."""
        waiting = sorted(
            (self._pending[uid] for uid in self._due),
            key=lambda p: (-int(p["spec"].get("priority") or 0), p["metadata"]["creationTimestamp"]),
        )
        for pod in waiting:
            if uid_of(pod) not in self._due:
                continue  # placed with its gang, or gone
            unit, members = self._members(self._pending[uid_of(pod)])
            for member in members:
                self._due.pop(uid_of(member), None)
            refusal = self._refused.get(unit)
            if refusal is None:
                await self._place(unit, members)
            else:
                await self._tell((m for m in members if not _told(m)), refusal.message)

    def _members(self, pod: Object) -> tuple[str, list[Object]]:
        """Its unit, and who is placed at once: the pending members of the pod's gang, or the pod alone."""
        unit = self._unit_of(pod)
        if not _gang_of(pod):
            return unit, [pod]
        return unit, [self._pending[uid] for uid in self._units[unit]]

    def _enough(self, members: list[Object]) -> bool:
        """Whether the gang has the members that its PodGroup asks for, counting those that run."""
        group = annotations_of(members[0]).get(GROUP_ANNOTATION)
        if not group:
            return True
        place = namespace_of(members[0])
        found = self.cache.get(POD_GROUP, group, place)
        need = int((found or {"spec": {}})["spec"].get("minMember", 1))
        running = [p for p in self.cache.gang(place, group) if node_of(p) and phase_of(p) not in ENDED]
        return len(members) + len(running) >= need

    async def _place(self, unit: str, members: list[Object]) -> None:
        demands = [self._demands[uid_of(pod)] for pod in members]
        chosen: list[tuple[Object, str]] = []
        for pod, demand in zip(members, demands, strict=True) if self._enough(members) else ():
            best = self._best(demand)
            if best is None:
                break
            best.take(pod)
            self._held[uid_of(pod)] = best.name
            chosen.append((pod, best.name))
        if len(chosen) < len(members):
            for pod, name in chosen:
                del self._held[uid_of(pod)]
                self._rooms[name].give(uid_of(pod))
            last = demands[-1]
            reasons = {room.name: _why(room, last) for room in self._asked(last)}
            message = self._message(reasons)
            different = [d for d in dict.fromkeys(demands) if d != last]
            self._refused[unit] = _Refusal((*different, last), reasons, message)
            await self._tell(members, message)
            return
        for pod, _ in chosen:
            self._forget_pending(uid_of(pod))
        for pod, name in chosen:
            await self._bind(pod, name)

    async def _bind(self, pod: Object, node: str) -> None:
        try:
            await self.api.bind(pod, node)
        except ClientError as error:
            self._release(uid_of(pod))
            found = self.cache.get(POD, name_of(pod), namespace_of(pod))
            if found is not None and uid_of(found) == uid_of(pod):
                self._pod_changed("MODIFIED", found)  # bound by another, going, or wanting a node again
            if error.code not in {404, 409}:
                raise

    def _best(self, demand: Demand) -> Room | None:
        """Where it fits: the node with the fewest free devices, or for a pod without any with the fewest pods."""
        fits = [room for room in self._asked(demand) if room.why_not(demand) is None]
        by_gpu = GPU in demand.devices
        return min(fits, key=lambda r: (r.free(GPU) if by_gpu else r.count, r.name), default=None)

    def _asked(self, demand: Demand) -> list[Room]:
        """The nodes that could be its own: all, or the one that its affinity names."""
        if not demand.pinned:
            return list(self._rooms.values())
        return [self._rooms[demand.pinned]] if demand.pinned in self._rooms else []

    def _message(self, reasons: dict[str, str]) -> str:
        """Why it fits nowhere, as upstream words it; those that were not asked are no match."""
        found = Counter(reasons.values())
        if others := len(self._rooms) - len(reasons):
            found[UNSUITED] += others
        listed = ", ".join(f"{count} {why}" for why, count in sorted(found.items()))
        return f"0/{len(self._rooms)} nodes are available: {listed}."

    async def _tell(self, pods: Iterable[Object], message: str) -> None:
        for pod in pods:
            old = pod.get("status", {}).get("conditions") or []
            if not any(c["type"] == "PodScheduled" and c.get("message") == message for c in old):
                new = condition("PodScheduled", status=False, reason="Unschedulable", message=message)
                await self.api.status(pod, {"conditions": merge_conditions(old, [new])})


class GangScheduler(Scheduler):
    """For the pods that name KAI, where a real scheduler serves all others."""

    name = "kai-scheduler"

    def serves(self, pod: Object) -> bool:
        """Only those."""
        return bool(pod["spec"].get("schedulerName") == self.name)


def _why(room: Room, demand: Demand) -> str:
    return room.why_not(demand) or "waits for its gang"


def _told(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions)


def _gang(obj: Object, group: str) -> str:
    return f"gang {namespace_of(obj)}/{group}"


def _gang_of(pod: Object) -> str:
    group = annotations_of(pod).get(GROUP_ANNOTATION)
    return _gang(pod, group) if group else ""
