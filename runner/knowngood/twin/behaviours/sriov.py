"""The SR-IOV network operator's daemons: each node gets the virtual functions that policies ask for, and offers them.

A policy's change starts at once on every node that it selects. A NIC that has functions already must be emptied first,
since all of its functions go and come anew; one that has none is changed under whoever runs there. What a daemon has
made it believes in until the next boot.
(sriov-network-operator pkg/daemon/daemon.go, pkg/plugins/generic.)
"""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import NODE, is_true, name_of
from knowngood.twin.behaviours.sriov_objects import (
    API,
    AT_WORK,
    CURRENT,
    DESIRED,
    DRAIN,
    DRAINED,
    FAILED,
    IDLE,
    MARK,
    POLICY,
    REBOOT,
    STATE,
    SUCCEEDED,
    counts,
    offered,
    said,
    seen,
    wanted,
)
from knowngood.twin.nic_seed import SriovSeed
from knowngood.twin.values import Object
from knowngood.twin.world import Machine

CONFIGURE_S, PLUGIN_S, BOOT_S, LOOK_S = 20.0, 15.0, 600.0, 2.0
LOOPS = 3
"""Boots after which a loop's node is left alone, for the twin must end."""


class SriovDaemons(Controller):
    """One task a node at a time; what it began it ends, whatever policies say meanwhile."""

    name = "sriov-config-daemon"
    watches = (NODE, POLICY, STATE)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._busy: set[str] = set()
        self._made: dict[str, tuple[str, Mapping[int, int]]] = {}  # node -> on which boot, and what
        self._part = twin.seed.sriov or SriovSeed("")

    async def start(self) -> None:
        """Each node's state is there before anybody asks for functions."""
        await self.cache.ensure(NODE)
        for machine in self._machines():
            state = {
                "apiVersion": API,
                "kind": STATE[1],
                "metadata": {
                    "name": machine.name,
                    "namespace": self._part.namespace,
                    "annotations": {DESIRED: IDLE, CURRENT: IDLE},
                },
                "spec": {},
            }
            await self.api.ensure(state)
            await self._mark(machine.name, IDLE)
            status = {"interfaces": self._seen(machine), "syncStatus": SUCCEEDED}
            await self.api.patch(state, {"status": status}, subresource="status")
        await super().start()

    def listen(self) -> None:
        """A policy may be of any node; a node that has booted has no functions."""
        self.every(NODE, name_of)
        self.cache.listen(POLICY, self._all)

    def _all(self, _event: str, _obj: Object) -> None:
        for machine in self._machines():
            self.enqueue(machine.name)

    def _machines(self) -> list[Machine]:
        return [m for m in self.twin.world.machines.values() if m.seed.nics]

    async def reconcile(self, key: str) -> None:
        """Tell the state what policies ask for, and start the node's task where that is another."""
        machine, node, state = self.twin.world.machines.get(key), self.cache.get(NODE, key), self._state(key)
        if machine is None or node is None or state is None or not machine.seed.nics:
            return
        interfaces = wanted(self.cache.all(POLICY), node, machine.seed.nics)
        if (state["spec"].get("interfaces") or []) != interfaces:
            state = await self.api.patch(state, {"spec": {"interfaces": interfaces}})
        if key in self._busy or not machine.up or not is_true(node, "Ready"):
            return
        if self._believed(machine) != counts(interfaces, machine.seed.nics):
            self._busy.add(key)
            self.twin.spawn(self._apply(machine, interfaces), f"{self.name} {key}")

    def _believed(self, machine: Machine) -> Mapping[int, int]:
        boot, made = self._made.get(machine.name, ("", {}))
        return made if boot == machine.boot_id else dict.fromkeys(range(machine.seed.nics), 0)

    async def _apply(self, machine: Machine, interfaces: list[Object]) -> None:
        name, asked = machine.name, counts(interfaces, machine.seed.nics)
        try:
            before = self._believed(machine)
            emptied = any(had and had != asked[index] for index, had in before.items())
            await self._status(name, syncStatus=AT_WORK)
            if emptied:
                await self._out(name, DRAIN)
            if why := await self._boots(machine, str(max(asked.values()))):
                await self._status(name, syncStatus=FAILED, lastSyncError=why)
            await self.twin.clock.sleep(CONFIGURE_S)
            version = str(max(asked.values()))
            self._make(machine, before, asked, version)
            self._made[name] = (machine.boot_id, asked)
            await self._offer(machine, interfaces, version)
            told = seen(asked, self._part.totalVfs)
            await self._status(name, syncStatus=SUCCEEDED, lastSyncError="", interfaces=told)
            if emptied:
                await self._ask(name, IDLE)
        finally:
            self._busy.discard(name)
            self.enqueue(name)

    async def _boots(self, machine: Machine, version: str) -> str:
        """A boot that does not help, again and again; "" where none is needed."""
        fault = self.twin.faults.active("sriov-boot-loop", machine.name, version)
        if fault is None:
            return ""
        for _ in range(LOOPS):
            self.twin.faults.hit(fault)
            await self._ask(machine.name, REBOOT)
            await self.twin.reboot(machine.name, self.name, BOOT_S)
        return "its firmware still has another number of functions"

    def _make(
        self, machine: Machine, before: Mapping[int, int], asked: Mapping[int, int], version: str
    ) -> None:
        changed = [index for index in asked if asked[index] != machine.nic.functions(index)]
        fault = self.twin.faults.active("vfs-come-back-fewer", machine.name, version)
        for index in changed:
            machine.nic.set_functions(index, asked[index])
        if fault and changed and asked[changed[-1]] > 1:
            machine.nic.set_functions(changed[-1], asked[changed[-1]] - 1)
            self.twin.faults.hit(fault)
        self.twin.events.write(
            "functions", machine.name, before=sum(before.values()), now=sum(asked.values())
        )

    async def _offer(self, machine: Machine, interfaces: list[Object], version: str) -> None:
        """The device plugin is started anew, finds what is there and tells the kubelet."""
        await self.twin.clock.sleep(PLUGIN_S)
        there = {index: machine.nic.functions(index) for index in range(machine.seed.nics)}
        found: dict[str, str | None] = {
            resource: str(count) for resource, count in offered(interfaces, there, self._part.prefix).items()
        }
        if fault := self.twin.faults.active("sriov-offers-fewer", machine.name, version):
            found = {resource: str(max(int(count or 0) - 2, 0)) for resource, count in found.items()}
            self.twin.faults.hit(fault)
        if node := self.cache.get(NODE, machine.name):
            has = node["status"].get("allocatable") or {}
            gone = [name for name in has if name.startswith(f"{self._part.prefix}/") and name not in found]
            found |= dict.fromkeys(gone, "0")
            await self.api.status(node, {"allocatable": found, "capacity": found})

    async def _out(self, name: str, how: str) -> None:
        """Ask for the node, and wait until it is empty."""
        await self._ask(name, how)
        while said(self._state(name), CURRENT) != DRAINED:
            await self.twin.clock.pause(LOOK_S)

    async def _ask(self, name: str, how: str) -> None:
        await self._mark(name, how)
        if state := self._state(name):
            await self.api.patch(state, {"metadata": {"annotations": {DESIRED: how}}})

    async def _mark(self, name: str, how: str) -> None:
        if node := self.cache.get(NODE, name):
            await self.api.patch(node, {"metadata": {"annotations": {MARK: how}}})

    async def _status(self, name: str, **status: object) -> None:
        if state := self._state(name):
            await self.api.status(state, status)

    def _state(self, name: str) -> Object | None:
        return self.cache.get(STATE, name, self._part.namespace)

    def _seen(self, machine: Machine) -> list[Object]:
        return seen(dict.fromkeys(range(machine.seed.nics), 0), self._part.totalVfs)
