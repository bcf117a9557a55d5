"""The class sriov: a policy's commit has the ports of a drained ring parted anew, and the kernel shows what is there.

The SR-IOV network operator does it, after a drain of its own which takes off our cordon and has our pool go on. What it
says of itself may be of what was asked for: only the ports' own files count, what the node offers, and the line that
their driver prints when it makes functions.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from knowngood.adapters.cluster import facts
from knowngood.adapters.kubernetes.client import ApiError, Object
from knowngood.adapters.movers import sriov_state
from knowngood.adapters.movers.asking import files_and_log
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.movers.boots import Boots
from knowngood.adapters.movers.watch import NOT_READY, UNREADABLE, Watch
from knowngood.adapters.nodes.batch import NodeFailed, NotTold, Task
from knowngood.adapters.waiting import waiting, working
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Mark, Moving, Proof

DEVICES = "/sys/bus/pci/devices"
COUNT, FUNCTION, DRIVER = "sriov_numvfs", "virtfn", "DRIVER="
TWICE = (
    "it was booted a second time for its ports' functions: give Git the number of before,"
    " or its operator boots it again and again"
)


def apply(task: Task, name: str, turn: Turn) -> Arrived:
    """Wait until the ports have what Git declares, the node offers it, and nobody works on it any more."""
    (moving,) = turn.moves
    if moving.spec.proof is None:
        raise NodeFailed(f"the mover of {moving.component} names no proof")
    others = sriov_state.turns_before(task.kube, task.held(name), len(task.batch))  # each with its own boot
    watch = Watch(task, name, turn.ends_at + task.limits.apply * others)
    ports = _Ports(task, name, watch, moving, moving.spec.proof)
    marks = watch.until(ports.look, moving.spec.words.it, age=task.limits.apply * (others + 1))
    return Arrived(ports.came(marks), watch.held, marks)


class _Ports:
    """One node. A look returns the marks, or None and the state."""

    def __init__(self, task: Task, name: str, watch: Watch, moving: Moving, proof: Proof) -> None:
        self._task, self._name, self._watch = task, name, watch
        self._moving, self._proof = moving, proof
        self._boots = Boots(TWICE)
        self._since: dict[str, float] = {}  # what can't be so for long -> since when it is
        self._asked = False

    def look(self) -> tuple[Mapping[str, Mark] | None, str]:
        """Its ports have them since a line of their driver, they are offered, and the operator has left the node."""
        node, wanted = self._watch.node, self._moving.after
        self._boots.look(node)
        if not facts.node_ready(node):
            return None, NOT_READY
        state = sriov_state.states(self._task.kube).get(self._name)
        if state is None:
            return None, "it has no SriovNetworkNodeState"
        policies = self._policies(node)
        ports = sriov_state.ports(state, policies)
        if not ports or any(str(count) != wanted for _, count in ports.values()):
            of = f" of {', '.join(policies)}" if policies else ""
            return None, f"its SriovNetworkNodeState asks for no port{of} with {wanted} functions yet"
        again, self._asked = self._asked, True
        try:
            with waiting() if again else working():
                read, lines = files_and_log(
                    self._task, self._name, self._moving.spec, self._proof, _command(ports)
                )
        except (ApiError, Unreachable) as error:
            return None, f"its ports' files or kernel log {UNREADABLE}: {type(error).__name__}"
        told = {address: facts.last_load(_of(address, lines), self._proof) for address in ports}
        wrong = next(self._otherwise(node, read, ports, told), "")
        busy = sriov_state.at_work(state)
        if not wrong and not busy:
            came = [mark for mark in facts.loads(lines, self._proof) if mark.version == wanted]
            return {self._moving.component: came[-1]}, ""  # of whatever port, as an observer reads it
        return None, self._for_long(wrong, busy)

    def _policies(self, node: Object) -> list[str]:
        """The policies that it is about: the ring's own, where that was named.

        Where it can't be (its number did not move, another change has the ports made anew): those that ask for that
        many. By hand nobody says so: right after a push another one may have that number, while ours is still to come.
        """
        if self._moving.declared_by is not None:
            return [self._moving.declared_by.name]
        found = sriov_state.of_node(self._task.kube, node)
        if self._task.named:
            return [name for name, count in found.items() if count == self._moving.after]
        if len(found) > 1:
            said = f"{sriov_state.POLICY} {', '.join(sorted(found))} all select it"
            raise NotTold(f"{said}: say in knowngood_objects which is the ring's")
        return [*found]

    def came(self, marks: Mapping[str, Mark]) -> bool:
        """Whether they came anew, or were there when the node was claimed."""
        before = self._task.marks_before(self._watch.node).get(self._moving.component)
        return before != marks[self._moving.component]

    def _otherwise(
        self,
        node: Object,
        read: Mapping[str, list[str]],
        ports: Mapping[str, tuple[str, int]],
        told: Mapping[str, Mark | None],
    ) -> Iterator[str]:
        """What is not as it was asked for: by the ports first, then by what the node offers."""
        wanted = int(self._moving.after)
        for address in sorted(ports):
            count = next(iter(read.get(f"{DEVICES}/{address}/{COUNT}", ())), "no count")
            if count != str(wanted):
                yield f"{address} has {count} of {wanted} functions"
            bound = sum(
                any(line.startswith(DRIVER) for line in lines)
                for file, lines in read.items()
                if file.startswith(f"{DEVICES}/{address}/{FUNCTION}")
            )
            if bound != wanted:
                yield f"{bound} of {wanted} functions of {address} have a driver"
        offers = (node.get("status") or {}).get("allocatable") or {}
        for resource in sorted({resource for resource, _ in ports.values()}):
            there = wanted * sum(1 for other, _ in ports.values() if other == resource)
            offered = sum(int(n) for key, n in offers.items() if key.rpartition("/")[2] == resource)
            if offered != there:
                yield f"the node offers {offered} of {there} {resource}"
        for address, mark in sorted(told.items()):
            if mark is None or mark.version != self._moving.after:
                yield f"its NIC driver has not told of {wanted} functions of {address} on this boot"

    def _for_long(self, wrong: str, busy: str) -> str:
        """The state in words. NodeFailed once its operator says for a while that it is done, or that it failed."""
        said = busy or f"its operator says that it is done, and {wrong}"
        stuck = not busy or sriov_state.FAILED in busy
        self._since = {said: self._since.get(said, time.monotonic())} if stuck else {}
        if stuck and time.monotonic() - self._since[said] >= self._task.limits.operand_age:
            raise NodeFailed(said)
        return f"{wrong}; {busy}" if wrong and busy else said


def _of(address: str, lines: Iterable[Object]) -> list[Object]:
    """The kernel lines that name a port."""
    return [line for line in lines if f" {address}: " in str(line.get("MESSAGE") or "")]


def _command(ports: Mapping[str, object]) -> list[str]:
    """Have these ports' files printed: how many functions they have, and each function's driver."""
    files = ["(", "-name", COUNT, "-o", "-path", f"*/{FUNCTION}*/uevent", ")"]
    where = [f"{DEVICES}/{address}" for address in sorted(ports)]
    return ["find", "-L", *where, "-maxdepth", "2", *files, "-exec", "grep", "-sH", "", "{}", "+"]
