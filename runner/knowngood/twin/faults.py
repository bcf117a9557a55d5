"""Faults: what can go wrong on purpose, by name and node. They are ConfigMaps in namespace `twin-system`.

`data`: fault, node ("" for the whole cluster), params (JSON object of texts). A fault is active while its
ConfigMap is there. Parameters that many share: `when` (now, on-module-load, on-gpu-pod, on-drain, on-commit,
on-uncordon), `version` (only while the node's driver is that version) and `times` (at most so many hits).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from knowngood.twin.events import EventLog
from knowngood.twin.gpu_health import AILMENTS
from knowngood.twin.stand_ins.hardware import HALF, HANGS, LOSES, RAIL, SOCKETS
from knowngood.twin.values import Object, Values

NAMESPACE = "twin-system"
LABEL = "twin.knowngood.dev/fault"
NOW, MODULE_LOAD, GPU_POD, DRAIN, COMMIT = "now", "on-module-load", "on-gpu-pod", "on-drain", "on-commit"
UNCORDON = "on-uncordon"
WHEN = (NOW, MODULE_LOAD, GPU_POD, DRAIN, COMMIT, UNCORDON)

# The public incident: open-gpu-kernel-modules issue 1370.
XID_31_VERSION = "610.57.04"


ONCE = {"times": "1"}  # what would set itself off again


FABRIC: Mapping[str, tuple[str, ...]] = {
    HALF: ("nic", "peer"),
    RAIL: ("nic",),
    LOSES: ("nic", "peer"),
    SOCKETS: (),
    HANGS: (),
}
"""What only a partner notices: fault -> its parameters. `peer`: the node towards which; without it all are."""


BMCS = "bmcs"
"""The part that stands beside the cluster: in our namespace a ConfigMap of that name says where it is."""
OF_BMCS = (
    *("bmc-task-exception", "job-stuck-at-scheduled", "bios-staged-not-running", "bmc-burned-not-running"),
    *("bmc-does-not-come-back", "bmc-refuses-downgrade", "lifecycle-controller-busy", "idrac-goes-away"),
    *("job-reboot-pending", "reboots-by-itself", "reset-is-not-heeded"),
)
"""What a BMC does wrong; see twin/bmc.py."""


TALOS = "talos"
"""As `bmcs`: the machines' own system, which is asked beside the cluster."""
OF_TALOS = (
    *("talos-rolls-back", "talos-does-not-come-back", "talos-image-without-driver"),
    *("talosctl-hangs", "talos-installer-refuses", "talos-does-not-answer"),
)
"""What a machine does wrong that is asked to take another Talos; their `version` is that one's."""
BESIDE = frozenset({BMCS, TALOS})
"""Parts of which a ConfigMap of that name in our namespace tells, since no kind of the cluster does."""


class FaultError(Exception):
    """The fault can't be added; the message says why and what is possible."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault. `when` is its default trigger, "" where the fault changes what a behaviour does.

    `part`: which part of the seed plays it; "" for those of every cluster.
    """

    name: str
    when: str
    params: tuple[str, ...] = ()
    needs_node: bool = True
    part: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)


KINDS: Mapping[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind("xid-79", NOW, ("gpu",)),
        FaultKind("xid-31-after-driver", GPU_POD, ("gpu",), defaults={"version": XID_31_VERSION}),
        FaultKind("xid-119-after-driver", GPU_POD, ("gpu",), defaults={"version": XID_31_VERSION}),
        FaultKind("driver-in-use", ""),
        FaultKind("host-process-has-gpu-open", NOW),
        FaultKind("validator-missing", ""),
        FaultKind("validator-not-run-again", ""),
        FaultKind("dma-buf-falls-back", MODULE_LOAD),
        FaultKind("ib-link-flap", MODULE_LOAD, ("nic", "seconds")),
        FaultKind("node-stays-down", MODULE_LOAD, ("seconds",), defaults=ONCE),
        FaultKind("node-reboots", NOW, ("seconds",), defaults=ONCE),
        FaultKind("argo-sync-fails", "", ("which", "message"), needs_node=False),
        FaultKind("application-stuck", "", needs_node=False, part="charts"),
        FaultKind("chart-image-is-missing", "", needs_node=False, part="charts"),
        FaultKind("stored-version-refuses", "", needs_node=False, part="charts"),
        FaultKind("webhook-has-no-backend", "", needs_node=False, part="charts"),
        FaultKind("operand-crashes", "", needs_node=False, part="networkOperator"),
        FaultKind("operand-image-is-missing", "", needs_node=False, part="networkOperator"),
        FaultKind("operand-not-followed", "", needs_node=False, part="networkOperator"),
        FaultKind("pdb-blocks-drain", NOW, ("seconds",)),
        FaultKind("evict-429-halfway", DRAIN, ("after", "seconds")),
        FaultKind("api-outage", NOW, ("seconds", "delay"), needs_node=False, defaults=ONCE),
        FaultKind("operands-left-paused", ""),
        FaultKind("module-not-reloaded", ""),
        FaultKind("fails-at-second-load", ""),
        FaultKind("stale-gfd-label", ""),
        FaultKind("journal-vacuumed", NOW),
        FaultKind("olm-stale-subscription", "", ("package",), needs_node=False, part="olm"),
        FaultKind("olm-orphan-csv", NOW, ("package",), needs_node=False, part="olm", defaults=ONCE),
        FaultKind("olm-plan-carries-more", NOW, ("package",), needs_node=False, part="olm", defaults=ONCE),
        FaultKind("olm-catalog-moves", NOW, ("package", "to"), needs_node=False, part="olm", defaults=ONCE),
        FaultKind(
            "olm-succeeds-twice", "", ("package", "version"), needs_node=False, part="olm", defaults=ONCE
        ),
        FaultKind("olm-install-times-out", "", ("package", "version"), needs_node=False, part="olm"),
        FaultKind("olm-crd-data-loss", "", ("package", "stored"), needs_node=False, part="olm"),
        FaultKind("bundle-unpack-fails", "", ("package",), needs_node=False, part="olm"),
        FaultKind("extension-not-adopted", "", ("package",), needs_node=False, part="olmV1"),
        FaultKind("crd-safety-blocks", "", ("package",), needs_node=False, part="olmV1"),
        FaultKind("extension-says-too-early", "", ("package",), needs_node=False, part="olmV1"),
        FaultKind("catalog-lost-it", "", ("package", "version"), needs_node=False, part="olmV1"),
        FaultKind("mco-skips-cordoned", NOW, part="machineConfig", defaults=ONCE),
        FaultKind("mco-uncordons-quarantine", "", part="machineConfig", defaults=ONCE),
        FaultKind("sriov-unpauses-pool", "", ("seconds",), part="machineConfig", defaults=ONCE),
        FaultKind("boot-takes-15-minutes", "", ("seconds",), part="machineConfig", defaults=ONCE),
        FaultKind(
            "operator-degrades-halfway",
            "",
            ("operator", "message"),
            needs_node=False,
            part="clusterVersion",
            defaults={"operator": "network"},
        ),
        FaultKind("kubelet-stays-away", "", ("seconds",), part="machineConfig", defaults=ONCE),
        FaultKind("mhc-power-cycles", NOW, ("seconds",), part="healthChecks", defaults=ONCE),
        FaultKind("mofed-wait-label-lies", "", part="networkOperator"),
        FaultKind("doca-dtk-mismatch", "", part="networkOperator"),
        FaultKind("rpcrdma-stays-out", "", part="networkOperator"),
        FaultKind("peermem-will-not-unload", "", part="networkOperator"),
        FaultKind("peermem-old-abi", "", part="networkOperator"),
        FaultKind("nic-status-says-requested", "", part="nicConfiguration"),
        FaultKind("nic-burned-not-running", "", part="nicConfiguration"),
        FaultKind("nic-reboot-loop", "", part="nicConfiguration"),
        FaultKind("nic-reset-fails-reboots", "", part="nicConfiguration"),
        FaultKind("vfs-come-back-fewer", "", part="sriov"),
        FaultKind("sriov-offers-fewer", "", part="sriov"),
        FaultKind("sriov-drain-never-starts", "", part="sriov"),
        FaultKind("sriov-boot-loop", "", part="sriov"),
        FaultKind("foreign-job", NOW, part=BMCS, defaults=ONCE),
        *(FaultKind(name, "", part=BMCS) for name in OF_BMCS),
        *(FaultKind(name, "", part=TALOS) for name in OF_TALOS),
        FaultKind("leaked-node", NOW, part="clusterPolicy", defaults=ONCE),
        FaultKind(
            "operator-default-driver",
            "",
            ("default",),
            needs_node=False,
            part="clusterPolicy",
            defaults={"default": "580.95.05"},  # an older one than any that is moved to
        ),
        FaultKind(
            "os-tag-of-one-node", "", ("os",), needs_node=False, part="clusterPolicy", defaults={"os": "4.17"}
        ),
        FaultKind("mig-manager-wedges", "", part="migManager", defaults=ONCE),
        FaultKind("mig-layout-lost", "", part="migManager"),
        FaultKind("mig-success-is-old", "", ("seconds",), part="migManager"),
        FaultKind("plugin-config-unseen", "", part="pluginConfig"),
        FaultKind("plugin-config-crashes", "", part="pluginConfig"),
        FaultKind("plugin-config-late", "", ("seconds",), part="pluginConfig"),
        FaultKind("auto-picks-other-flavour", "", part="kernelModuleType"),
        *(FaultKind(ailment, NOW, ("gpu",)) for ailment in AILMENTS),
        *(FaultKind(name, NOW, params, needs_node=name != RAIL) for name, params in FABRIC.items()),
    )
}

PARTS: Mapping[str, tuple[str, str]] = {
    "charts": ("argoproj.io/v1alpha1", "Application"),
    "olm": ("operators.coreos.com/v1alpha1", "Subscription"),
    "olmV1": ("olm.operatorframework.io/v1", "ClusterCatalog"),
    "machineConfig": ("machineconfiguration.openshift.io/v1", "MachineConfigPool"),
    "clusterVersion": ("config.openshift.io/v1", "ClusterOperator"),
    "healthChecks": ("machine.openshift.io/v1beta1", "MachineHealthCheck"),
    "networkOperator": ("mellanox.com/v1alpha1", "NicNodePolicy"),
    "nicConfiguration": ("configuration.net.nvidia.com/v1alpha1", "NicFirmwareTemplate"),
    "sriov": ("sriovnetwork.openshift.io/v1", "SriovNetworkNodeState"),
    "clusterPolicy": ("nvidia.com/v1", "ClusterPolicy"),
    "migManager": ("nvidia.com/v1", "ClusterPolicy"),
    "pluginConfig": ("nvidia.com/v1", "ClusterPolicy"),
    "kernelModuleType": ("nvidia.com/v1alpha1", "NVIDIADriver"),
}
"""A kind that a cluster serves where its seed has the part."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault."""

    name: str
    node: str
    params: Mapping[str, str]
    uid: str = ""

    @property
    def when(self) -> str:
        """Its trigger."""
        return self.params.get("when", KINDS[self.name].when)

    def param(self, name: str, default: str = "") -> str:
        """A parameter, its kind's default, or `default`."""
        return self.params.get(name, KINDS[self.name].defaults.get(name, default))

    def number(self, name: str, default: float) -> float:
        """A numeric parameter."""
        return float(self.param(name, str(default)))


def make(name: str, node: str, params: Mapping[str, str]) -> Fault:
    """A checked Fault; FaultError says what is wrong."""
    kind = KINDS.get(name)
    if kind is None:
        raise FaultError(f"no fault is called {name!r}; there are {', '.join(KINDS)}")
    if kind.needs_node and not node:
        raise FaultError(f"{name} needs a node")
    known = {*kind.params, "when", "version", "times"}
    if unknown := sorted(set(params) - known):
        raise FaultError(
            f"{name} knows no parameter {', '.join(unknown)}; it knows {', '.join(sorted(known))}"
        )
    if params.get("when", NOW) not in WHEN:
        raise FaultError(f"when={params['when']} is not one of {', '.join(WHEN)}")
    for number in {"seconds", "times", "after", "delay", "nic"} & set(params):
        if not params[number].replace(".", "", 1).isdigit():
            raise FaultError(f"{number}={params[number]} is not a number")
    return Fault(name, node, dict(params))


def to_config_map(fault: Fault) -> Object:
    """The object that injects the fault."""
    name = "-".join(part for part in (fault.name, fault.node) if part)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {LABEL: fault.name}},
        "data": {"fault": fault.name, "node": fault.node, "params": json.dumps(dict(fault.params))},
    }


def from_config_map(obj: Values) -> Fault | None:
    """The fault of a ConfigMap; None for any other ConfigMap, or one that is not understood."""
    data = obj.get("data") or {}
    if obj["metadata"].get("namespace") != NAMESPACE or "fault" not in data:
        return None
    try:
        params = {str(k): str(v) for k, v in json.loads(data.get("params") or "{}").items()}
        fault = make(data["fault"], data.get("node", ""), params)
    except (ValueError, AttributeError, FaultError):
        return None
    return Fault(fault.name, fault.node, fault.params, str(obj["metadata"].get("uid", "")))


class FaultBook:
    """The active faults. Behaviours ask it; a hit is an event."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._active: dict[str, Fault] = {}
        self._hits: dict[str, int] = {}
        self._reserved: dict[str, int] = {}

    def add(self, fault: Fault) -> bool:
        """Activate; whether it is new."""
        new = fault.uid not in self._active
        self._active[fault.uid] = fault
        return new

    def uids(self) -> set[str]:
        """The uids of the ConfigMaps behind the active faults."""
        return set(self._active)

    def remove(self, uid: str) -> Fault | None:
        """End the fault."""
        return self._active.pop(uid, None)

    def active(self, name: str, node: str = "", version: str = "") -> Fault | None:
        """The active fault of that name on that node, if its version and times still allow a hit."""
        for fault in self._active.values():
            if fault.name == name and fault.node in {"", node} and self._allowed(fault, version):
                return fault
        return None

    def waiting(self, when: str, node: str, version: str) -> list[Fault]:
        """The faults that this trigger sets off on that node."""
        return [
            fault
            for fault in self._active.values()
            if fault.when == when and (not node or fault.node in {"", node}) and self._allowed(fault, version)
        ]

    def reserve(self, fault: Fault) -> None:
        """Count a hit that is on its way: no second trigger may overtake it."""
        self._hits[fault.uid] = self._hits.get(fault.uid, 0) + 1
        self._reserved[fault.uid] = self._reserved.get(fault.uid, 0) + 1

    def hit(self, fault: Fault, **detail: Any) -> None:
        """The fault took effect."""
        if self._reserved.get(fault.uid):
            self._reserved[fault.uid] -= 1
        else:
            self._hits[fault.uid] = self._hits.get(fault.uid, 0) + 1
        self._events.write("fault-hit", fault.node, fault=fault.name, **detail)

    def _allowed(self, fault: Fault, version: str) -> bool:
        wanted = fault.param("version")
        if wanted and version and wanted != version:
            return False
        times = int(fault.number("times", 0))
        return not times or self._hits.get(fault.uid, 0) < times
