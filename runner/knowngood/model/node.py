"""What is measured of a node: by probes, never from labels or a CR's status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from knowngood.model.jsonable import from_json
from knowngood.model.mover import Mark
from knowngood.model.values import Values

PCI_IDS = "gpu-pci-ids"
"""In `NodeState.facts`: vendor and device of its GPUs, each once, as the kernel lists them: 10de:2335."""
NOT_LOADED = "not loaded"
"""In `NodeState.inventory`: a kernel module that is not there."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node at one time. Empty strings and None mean: could not be read; `trouble` says why.

    `marks` maps a component that moves to its newest arrival, where its class could prove one. `versions` maps a
    component to what *runs*: a module's version as the kernel tells it, a library's by its file's name, a setting.
    `operands` maps a GPU Operator operand (DaemonSet name) to `ready` or why not,
    `images` the operand to its running image, with the digest that was pulled. `allocatable` holds extended
    resources only. `inventory` is what the kernel and the driver list, by kind: gpus (PCI address -> minor and UUID),
    mig (GPU -> instances), rdma-devices, vfs, modules, fabric-manager; a kind that could not be read is absent.
    `written` is what we and the GPU stack's drainers wrote on the node: claim, taints, ring, parked operands, upgrades.
    `rdma` is what the kernel shows of RDMA ports and counters, as `probe.rdma` tells it: empty where it was not asked
    for, or no port was seen.
    """

    name: str
    reachable: bool
    ready: bool = False
    boot_id: str = ""
    uptime_seconds: float | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()  # PCI addresses, sorted
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)  # ours and other drainers' only
    taints: tuple[str, ...] = ()  # "key=value:Effect", sorted
    unschedulable: bool = False
    allocatable: Mapping[str, str] = field(default_factory=dict)
    operands: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    inventory: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    written: tuple[str, ...] = ()  # sorted
    facts: Mapping[str, str] = field(default_factory=dict)  # DMI product, PCI ids of the GPUs
    rdma: Values = field(default_factory=dict)
    trouble: str = ""

    @property
    def newest(self) -> Mark | None:
        """The arrival that came last."""
        return max(self.marks.values(), key=lambda mark: mark.at, default=None)


def node_from(data: Values, moved: Iterable[str]) -> NodeState:
    """A measurement from the JSON values it was kept as.

    Versions before 0.1 kept one `load` a node: it is the mark of what their run `moved`.
    """
    if "load" not in data:
        return from_json(NodeState, data)
    load, rest = data["load"], {key: value for key, value in data.items() if key != "load"}
    mark = Mark(load["version"], load["boot_id"], float(load["monotonic"])) if load else None
    return replace(from_json(NodeState, rest), marks={name: mark for name in moved if mark})


@dataclass(frozen=True, slots=True)
class Workload:
    """A tenant's workload: what a disruption is counted in (a gang is one).

    `desired` and `ready` count its pods of the whole cluster. `nodes` hold its pods, ready or not; `ready_nodes`
    those of them with a ready one: only there does it work.
    """

    tenant: str
    namespace: str
    kind: str
    name: str
    desired: int
    ready: int
    nodes: tuple[str, ...] = ()
    gang: bool = False
    ready_nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuUse:
    """GPUs of one node: `ready` in tenants' ready pods, where they work now; `asked` by all tenants' pods there."""

    ready: float = 0.0
    asked: float = 0.0


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something a run left behind: `kind` is job, claim, taint, hold, parked-operand, upgrade-state, lease,
    install-plan, wish.

    `run`: whose it is, where that is known. Another's Job is no leftover of ours: a nightly gate may be at work.
    `starts`: what begins on nodes when a hold is let go, "" where nothing does.
    """

    kind: str
    where: str
    detail: str
    run: str = ""
    starts: str = ""

    def of_others(self, run: str) -> bool:
        """Whether it is a Job that `run` did not make."""
        return self.kind == "job" and self.run != run
