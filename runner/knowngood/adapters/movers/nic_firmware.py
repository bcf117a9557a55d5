"""The class nic-firmware: a template's commit has the NICs of a drained ring flashed, and we prove what then runs.

NVIDIA's NIC configuration operator does it, by a NodeMaintenance of its own; it writes the version that was asked for
into its status without reading it, so that only the NICs' own files count, and their driver's line in the kernel log.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from knowngood.adapters.cluster import facts, readouts
from knowngood.adapters.cluster.actors import optional
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.adapters.movers.asking import files_and_log
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.movers.boots import Boots
from knowngood.adapters.movers.watch import NOT_READY, UNREADABLE, Watch
from knowngood.adapters.nodes.batch import NodeFailed, Task
from knowngood.adapters.waiting import waiting, working
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Mark, Moving, Proof
from knowngood.model.values import Values
from knowngood.planner.moving import shown
from knowngood.planner.version import TEXT, runs

API, DEVICES = "configuration.net.nvidia.com/v1alpha1", "nicdevices"
MAINTENANCE_API, MAINTENANCES = "maintenance.nvidia.com/v1alpha1", "nodemaintenances"
CONFIGS = "maintenanceoperatorconfigs"
TEMPLATE, SOURCE_FIELD = "NicFirmwareTemplate", "spec.template.nicFirmwareSourceRef"
REQUESTOR = "configuration.nic.mellanox.com"
WAIT_LABEL = "network.nvidia.com/operator.nic-configuration.wait"
IN_PROGRESS, GAVE_UP = "FirmwareUpdateInProgress", "FirmwareUpdateFailed"
COMMAND = ["find", "-L", readouts.DEVICES, "-maxdepth", "2", "-name", "fw_ver"]
COMMAND += ["-exec", "grep", "-sH", "", "{}", "+"]
TWICE = "it was booted a second time while its NICs were flashed: set updatePolicy to Validate in Git, or it goes on"


def apply(task: Task, name: str, turn: Turn) -> Arrived:
    """Wait until the NICs run what Git declares, and nobody works on the node any more."""
    (moving,) = turn.moves
    if moving.spec.proof is None:
        raise NodeFailed(f"the mover of {moving.component} names no proof")
    others = turns_before(task.kube, len(task.batch))  # each with its own burn and boot
    watch = Watch(task, name, turn.ends_at + task.limits.apply * others)
    flash = _Flash(task, name, watch, moving, moving.spec.proof)
    marks = watch.until(flash.look, moving.spec.words.it, age=task.limits.apply * (others + 1))
    return Arrived(flash.came(marks), watch.held, marks)


def turns_before(kube: Kube, nodes: int) -> int:
    """How often the last of these nodes must wait for others: the maintenance operator lets few through at once.

    One where it says nothing, and where it says a share: then the wait may be longer than it need be.
    """
    configs = optional(kube, path(MAINTENANCE_API, CONFIGS))
    said = [str((c.get("spec") or {}).get("maxParallelOperations") or 1) for c in configs] or ["1"]
    most = min(int(text) if text.isdigit() else 1 for text in said)
    return max(-(-nodes // max(most, 1)) - 1, 0)


def board(version: str) -> str:
    """Of which board a firmware is: its first number, 28 of ConnectX-7."""
    return version.partition(".")[0]


def devices_of(kube: Kube, name: str) -> list[Object]:
    """The operator's devices of a node."""
    return [d for d in optional(kube, path(API, DEVICES)) if (d.get("status") or {}).get("node") == name]


def of_board(devices: Iterable[Object], version: str) -> list[Object]:
    """Those whose firmware is of the same board as this one."""
    told = ((d, str((d.get("status") or {}).get("firmwareVersion") or "")) for d in devices)
    return [d for d, has in told if board(has) == board(version)]


class _Flash:
    """One node. A look returns the marks, or None and the state."""

    def __init__(self, task: Task, name: str, watch: Watch, moving: Moving, proof: Proof) -> None:
        self._task, self._name, self._watch = task, name, watch
        self._moving, self._proof = moving, proof
        self._boots = Boots(TWICE)
        self._said: float | None = None  # since when the operator says that it is done, and it is not
        self._asked = False

    def look(self) -> tuple[Mapping[str, Mark] | None, str]:
        """Its NICs run it since a reset or boot that their driver saw, and the operator has left the node."""
        node, wanted = self._watch.node, self._moving.after
        self._boots.look(node)
        if not facts.node_ready(node):
            return None, NOT_READY
        devices = of_board(devices_of(self._task.kube, self._name), wanted)
        if not devices:
            return None, f"no NicDevice of it has firmware {board(wanted)}.x"
        if late := _not_told(devices, self._source()):
            return None, late
        again, self._asked = self._asked, True
        try:
            with waiting() if again else working():
                running, mark = self._read()
        except (ApiError, Unreachable) as error:
            return None, f"its NICs' files or kernel log {UNREADABLE}: {type(error).__name__}"
        mine = {nic: version for nic, version in running.items() if board(version) == board(wanted)}
        old = {nic: version for nic, version in mine.items() if not self._is_wanted(version)}
        if old or not mine:
            return None, self._otherwise(devices, old)
        if busy := self._busy(devices):
            return None, busy
        if mark is None or not self._is_wanted(mark.version):
            return None, f"the NIC driver has not seen firmware {wanted} on this boot"
        return {self._moving.component: mark}, ""

    def came(self, marks: Mapping[str, Mark]) -> bool:
        """Whether it came anew, or was there when the node was claimed."""
        before = self._task.marks_before(self._watch.node).get(self._moving.component)
        return before != marks[self._moving.component]

    def _source(self) -> str:
        return shown(self._moving.spec, TEMPLATE, self._moving.after)[SOURCE_FIELD]

    def _is_wanted(self, version: str) -> bool:
        return runs(self._moving.spec.scheme or TEXT, self._moving.after, version)

    def _otherwise(self, devices: Sequence[Object], old: Mapping[str, str]) -> str:
        """What runs instead. NodeFailed once the operator gave up, or has said for a while that it is done."""
        wanted, limit = self._moving.after, self._task.limits.operand_age
        if why := next((c.get("message") for c in _gave_up(devices)), None):
            raise NodeFailed(f"its operator gave up: {why}")
        what = ", ".join(f"{nic} runs {version}" for nic, version in sorted(old.items())[:3])
        what = what or f"no NIC with firmware {board(wanted)}.x is seen"
        says = {str(d["status"].get("firmwareVersion")) for d in devices}
        if says != {wanted} or self._busy(devices):
            self._said = None
            return f"{what}, not {wanted}"
        self._said = self._said or time.monotonic()
        if time.monotonic() - self._said >= limit:
            raise NodeFailed(f"its operator says that it runs {wanted}, and {what}")
        return f"its operator says {wanted}, and {what}"

    def _busy(self, devices: Sequence[Object]) -> str:
        """Who is still at work on the node, in words."""
        if any(c.get("status") == "True" for c in _progress(devices)):
            return "its NICs are being flashed"
        for one in optional(self._task.kube, path(MAINTENANCE_API, MAINTENANCES)):
            spec = one.get("spec") or {}
            if (spec.get("nodeName"), spec.get("requestorID")) == (self._name, REQUESTOR):
                return f"NodeMaintenance {one['metadata']['name']} is there"
        if (self._watch.node["metadata"].get("labels") or {}).get(WAIT_LABEL) == "true":
            return f"its label {WAIT_LABEL} is true"
        return ""

    def _read(self) -> tuple[dict[str, str], Mark | None]:
        """NIC -> the firmware that runs, and when its driver saw one of this board last, whatever others printed."""
        read, lines = files_and_log(self._task, self._name, self._moving.spec, self._proof, COMMAND)
        running = {file.split("/")[-2]: said[0].strip() for file, said in read.items() if said}
        mine = [m for m in facts.loads(lines, self._proof) if board(m.version) == board(self._moving.after)]
        return running, mine[-1] if mine else None


def _not_told(devices: Iterable[Object], source: str) -> str:
    """Until its devices are told of the source, what is seen of them is of the one before."""
    for device in devices:
        has = ((device.get("spec") or {}).get("firmware") or {}).get("nicFirmwareSourceRef")
        if has != source:
            return f"NicDevice {device['metadata']['name']} is told {has or 'of no source'}, not {source} yet"
    return ""


def _gave_up(devices: Iterable[Values]) -> Iterator[Values]:
    """What says that a flash has failed; what was said of the source before stands until the operator looks again."""
    for device in devices:
        now = int(device["metadata"].get("generation") or 0)
        for said in _progress([device]):
            if said.get("reason") == GAVE_UP and int(said.get("observedGeneration") or now) >= now:
                yield said


def _progress(devices: Iterable[Values]) -> list[Values]:
    """What its devices say of their flash."""
    said = (c for d in devices for c in (d.get("status") or {}).get("conditions") or ())
    return [c for c in said if c.get("type") == IN_PROGRESS]
