"""The GPU Operator's automatic upgrades (autoUpgrade: true): one label a node says how far it is.

As 26.7, and as unpleasant: a node that is cordoned already goes first, keeps its cordon, and then blocks the others;
between the steps that wait for something there are two minutes; a node in validation takes no other version; where
the validation fails it is uncordoned and called done; switched off in the middle the labels vanish, the cordon stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from knowngood.twin.behaviours.context import MAY_NOT_GO, Controller, Twin
from knowngood.twin.behaviours.gpu_manifests import OWNER_LABEL
from knowngood.twin.behaviours.kube import (
    CLUSTER_POLICY,
    COMPONENT_LABEL,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DRIVER_COMPONENT,
    NODE,
    NVIDIA_DRIVER,
    POD,
    annotations_of,
    controller_of,
    deleting,
    is_true,
    labels_of,
    name_of,
)
from knowngood.twin.behaviours.revisions import newest
from knowngood.twin.behaviours.upgrade_seats import (
    CORDON,
    CORDONED_BEFORE,
    DONE,
    ENABLED,
    FAILED,
    JOBS,
    PODS,
    REQUIRED,
    RESTART,
    STATE_LABEL,
    UNCORDON,
    VALIDATING_SINCE,
    VALIDATION,
    Seat,
    automatic,
    complete,
    failing,
    slots,
    uses_gpus,
)
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

ALL = "all"
PACE_S = 120.0
VALIDATION_S = 600.0
LOOK_AGAIN_S = 5.0


class DriverUpgrades(Controller):
    """One pass over the nodes of each driver that upgrades itself, at each of its own steps and at its pace."""

    name = "driver-upgrade-controller"
    watches = (NODE, POD, DAEMON_SET, CONTROLLER_REVISION, CLUSTER_POLICY, NVIDIA_DRIVER)
    validation_s = VALIDATION_S

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._states: dict[str, str] = {}  # node -> its state, where it has one
        self._generations: dict[str, int] = {}
        self._waiting_since: dict[str, float] = {}  # node -> when its validation began
        self._due = False

    def listen(self) -> None:
        """States of nodes, declarations, templates of drivers."""
        self.every(NODE, self._node_changed)
        for kind in (NVIDIA_DRIVER, CLUSTER_POLICY):
            self.every(kind, self._generation_changed)
        self.every(CONTROLLER_REVISION, self._revision_changed)

    def _node_changed(self, node: Object) -> str | None:
        state, before = labels_of(node).get(STATE_LABEL, ""), self._states.get(name_of(node), "")
        if state == before:
            return None
        self._states.pop(name_of(node), None)
        if state:
            self._states[name_of(node)] = state
        return ALL

    def _generation_changed(self, obj: Object) -> str | None:
        uid, generation = obj["metadata"]["uid"], obj["metadata"].get("generation", 1)
        if self._generations.get(uid) == generation:
            return None
        self._generations[uid] = generation
        return ALL

    def _revision_changed(self, revision: Object) -> str | None:
        """A driver's template is another one; of the other DaemonSets there is nothing to do."""
        return ALL if labels_of(revision).get(COMPONENT_LABEL) == DRIVER_COMPONENT else None

    async def reconcile(self, key: str) -> None:
        """Take each node a step further, as its driver's policy allows."""
        if not self.twin.operator_version("gpu-operator", self.twin.seed.gpu_operator.version):
            return
        policies = dict(automatic(self.cache.all(CLUSTER_POLICY), self.cache.all(NVIDIA_DRIVER)))
        for name in list(self._states):
            await self._forget(name, policies)
        if policies and not self._complete():
            self.enqueue_later(ALL, max(self.twin.clock.real(LOOK_AGAIN_S), 0.05))
            return
        for name, policy in policies.items():
            await self._advance(list(self._seats(name)), policy)
        if policies and not self._due:
            self._due = True
            self.twin.spawn(self._again(), "driver upgrades")

    async def _again(self) -> None:
        await self.twin.clock.pause(PACE_S)
        self._due = False
        self.enqueue(ALL)

    async def _forget(self, name: str, policies: Mapping[str, Object]) -> None:
        """Nodes of nobody who upgrades lose the label; whatever cordon they have, they keep."""
        node = self.cache.get(NODE, name)
        if node is None:
            self._states.pop(name, None)
        elif "" not in policies and labels_of(node).get(OWNER_LABEL) not in policies:
            await self._mark(node, None, {ENABLED: None})

    def _drivers(self) -> list[Object]:
        """The DaemonSets of all drivers."""
        found = self.cache.all(DAEMON_SET)
        return [one for one in found if labels_of(one).get(COMPONENT_LABEL) == DRIVER_COMPONENT]

    def _complete(self) -> bool:
        """Whether no driver lacks a pod; those that do not upgrade themselves count as well."""
        return all(complete(one, self.cache.owned(POD, one)) for one in self._drivers())

    def _seats(self, driver: str) -> Iterable[Seat]:
        """The nodes that have a driver pod of that NVIDIADriver, or of the ClusterPolicy."""
        owner = (NVIDIA_DRIVER[1], driver) if driver else (CLUSTER_POLICY[1], "")
        for daemon_set in self._drivers():
            controller = controller_of(daemon_set)
            if controller is None or controller["kind"] != owner[0]:
                continue
            if driver and controller["name"] != driver:
                continue
            wanted = newest(self.cache.owned(CONTROLLER_REVISION, daemon_set))
            for pod in self.cache.owned(POD, daemon_set):
                node = self.cache.get(NODE, str(pod["spec"].get("nodeName") or ""))
                if node is not None:
                    yield Seat(node, pod, wanted)

    async def _advance(self, seats: list[Seat], policy: Object) -> None:
        seats.sort(key=lambda seat: seat.name)
        for seat in seats:
            if annotations_of(seat.node).get(ENABLED) != "true":
                await self._annotate(seat.node, {ENABLED: "true"})
        free = slots(seats, policy)
        for seat in seats:
            if seat.state in {"", DONE}:
                await self._look(seat)
            elif seat.state == REQUIRED:
                if free > 0 or seat.cordoned:
                    free -= 1
                    await self._mark(seat.node, CORDON)
            else:
                await self._step(seat)

    async def _look(self, seat: Seat) -> None:
        if not seat.current and not deleting(seat.pod):
            cordoned = {CORDONED_BEFORE: "true"} if seat.cordoned else {}
            await self._mark(seat.node, REQUIRED, cordoned)
        elif not seat.state:
            await self._mark(seat.node, DONE)

    async def _step(self, seat: Seat) -> None:
        match seat.state:
            case "cordon-required":
                await self._cordon(seat.node, on=True)
                await self._mark(seat.node, JOBS)
            case "wait-for-jobs-required":
                await self._mark(seat.node, PODS)
            case "pod-deletion-required":
                if await self._empty(seat.name):
                    await self._mark(seat.node, RESTART)
            case "pod-restart-required":
                await self._restart(seat)
            case "validation-required":
                await self._validate(seat)
            case "upgrade-failed":
                if seat.current and is_true(seat.pod, "Ready"):
                    await self._finish(seat)
            case "uncordon-required":
                await self._cordon(seat.node, on=False)
                await self._mark(seat.node, DONE)

    async def _restart(self, seat: Seat) -> None:
        if deleting(seat.pod):
            return
        if not seat.current:
            await self.api.delete(seat.pod)
        elif is_true(seat.pod, "Ready"):
            await self._mark(seat.node, VALIDATION)
        elif failing(seat.pod):
            await self._mark(seat.node, FAILED)

    async def _validate(self, seat: Seat) -> None:
        """By the validator's pod alone; what Git says meanwhile is not looked at."""
        pods = [
            p for p in self.cache.pods_on(seat.name) if labels_of(p).get("app") == "nvidia-operator-validator"
        ]
        if pods and all(is_true(pod, "Ready") for pod in pods):
            await self._finish(seat, {VALIDATING_SINCE: None})
            return
        since = self._waiting_since.setdefault(seat.name, time.monotonic())
        if time.monotonic() - since > self.twin.clock.real(self.validation_s):
            self._waiting_since.pop(seat.name)
            await self._mark(seat.node, FAILED, {VALIDATING_SINCE: None})
        elif VALIDATING_SINCE not in annotations_of(seat.node):
            await self._annotate(seat.node, {VALIDATING_SINCE: str(int(time.time()))})

    async def _finish(self, seat: Seat, more: Mapping[str, str | None] | None = None) -> None:
        self._waiting_since.pop(seat.name, None)
        before = CORDONED_BEFORE in annotations_of(seat.node)
        await self._mark(seat.node, DONE if before else UNCORDON, {**(more or {}), CORDONED_BEFORE: None})

    async def _empty(self, node: str) -> bool:
        """Delete the pods that use GPUs, budgets or not; whether none is left."""
        pods = [p for p in self.cache.pods_on(node) if uses_gpus(p)]
        for pod in pods:
            if not deleting(pod):
                try:
                    await self.api.evict(pod)
                except ClientError as error:
                    if error.code not in {404, *MAY_NOT_GO}:
                        raise
        if pods:
            self.enqueue_later(ALL, max(self.twin.clock.real(LOOK_AGAIN_S), 0.05))
        return not pods

    async def _cordon(self, node: Object, *, on: bool) -> None:
        if bool(node["spec"].get("unschedulable")) != on:
            await self.api.patch(node, {"spec": {"unschedulable": True if on else None}})

    async def _mark(
        self, node: Object, state: str | None, annotations: Mapping[str, str | None] | None = None
    ) -> None:
        metadata: Object = {"labels": {STATE_LABEL: state}}
        present = annotations_of(node)
        changed = {k: v for k, v in (annotations or {}).items() if present.get(k) != v}
        if changed:
            metadata["annotations"] = changed
        await self.api.patch(node, {"metadata": metadata})

    async def _annotate(self, node: Object, annotations: Mapping[str, str | None]) -> None:
        await self.api.patch(node, {"metadata": {"annotations": dict(annotations)}})
