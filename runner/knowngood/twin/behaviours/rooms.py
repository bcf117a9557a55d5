"""What the scheduler knows of nodes and of pods that look for one: counted devices, and answers kept while they hold.

Pods that ask for the same are one demand, so that whether a node suits it is worked out once. A node's answer is kept
until its labels, taints or cordon change; what is free on it is counted as pods come and go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from knowngood.twin.behaviours.kube import (
    HOSTNAME_LABEL,
    labels_of,
    matches,
    matches_node,
    name_of,
    namespace_of,
    quantity,
    requests,
    uid_of,
    untolerated,
)
from knowngood.twin.values import Object

CORDON: Object = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
UNSUITED = "node(s) didn't match Pod's node affinity/selector"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pod asks of a node; equal for pods that ask for the same. `pod` is one of them."""

    key: str
    pod: Object = field(compare=False)
    devices: dict[str, int] = field(compare=False)
    pinned: str = field(compare=False)  # the only node that its affinity names; "": none
    repels: bool = field(compare=False)


def demand_of(pod: Object) -> Demand:
    """What this pod asks for."""
    spec = pod["spec"]
    affinity, devices = spec.get("affinity") or {}, requests(spec)
    asked = [
        namespace_of(pod),
        labels_of(pod),
        spec.get("nodeSelector"),
        affinity,
        spec.get("tolerations"),
        devices,
    ]
    return Demand(
        key=json.dumps(asked, sort_keys=True),
        pod=pod,
        devices=devices,
        pinned=_pinned(affinity),
        repels=bool(_terms(pod)),
    )


def _pinned(affinity: Object) -> str:
    """The node's name where the affinity can be met by one node only, as the DaemonSet controller writes it."""
    required = (affinity.get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    terms: list[Object] = required.get("nodeSelectorTerms") or []
    if len(terms) == 1:
        for entry in terms[0].get("matchFields") or ():
            if (entry["key"], entry["operator"]) == ("metadata.name", "In") and len(entry["values"]) == 1:
                return str(entry["values"][0])
    return ""


class Room:
    """What is left on a node, as pods come and go."""

    def __init__(self, node: Object) -> None:
        self.name = name_of(node)
        self.node = node
        self._devices: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._pods: dict[str, Object] = {}
        self._repelling: dict[str, Object] = {}
        self._kept: dict[str, str | None] = {}  # demand's key -> why the node does not suit it
        self._read()

    @property
    def count(self) -> int:
        """How many pods are here."""
        return len(self._pods)

    def refresh(self, node: Object) -> bool:
        """The node has become this; whether that can matter to a pod that looks for room."""
        before, self.node = self.node, node
        if traits_of(before) != traits_of(node):
            self._kept.clear()
        elif (before.get("status") or {}).get("allocatable") == (node.get("status") or {}).get("allocatable"):
            return False
        self._read()
        return True

    def _read(self) -> None:
        allocatable = (self.node.get("status") or {}).get("allocatable") or {}
        self._devices = {name: quantity(amount) for name, amount in allocatable.items() if "/" in name}

    def free(self, resource: str) -> int:
        """Devices that nobody holds."""
        return self._devices.get(resource, 0) - self._used.get(resource, 0)

    def take(self, pod: Object) -> None:
        """Account for a pod; twice is once."""
        if uid_of(pod) not in self._pods:
            self._count(pod, 1)
        self._pods[uid_of(pod)] = pod
        if _terms(pod):
            self._repelling[uid_of(pod)] = pod

    def give(self, uid: str) -> None:
        """Take a pod out again."""
        pod = self._pods.pop(uid, None)
        self._repelling.pop(uid, None)
        if pod is not None:
            self._count(pod, -1)

    def _count(self, pod: Object, sign: int) -> None:
        for resource, amount in requests(pod["spec"]).items():
            self._used[resource] = self._used.get(resource, 0) + sign * amount

    def why_not(self, demand: Demand) -> str | None:
        """Why a pod can't run here, in the scheduler's words; None: it can."""
        if demand.key not in self._kept:
            self._kept[demand.key] = self._unsuited(demand.pod["spec"])
        why = self._kept[demand.key]
        if why is not None:
            return why
        for resource, amount in demand.devices.items():
            if self.free(resource) < amount:
                return f"Insufficient {resource}"
        if self._repelled(demand):
            return "node(s) didn't match pod anti-affinity rules"
        return None

    def _unsuited(self, spec: Object) -> str | None:
        if not matches_node(spec, self.node):
            return UNSUITED
        cordoned = self.node["spec"].get("unschedulable")
        if cordoned and untolerated(spec, {"spec": {"taints": [CORDON]}}, ("NoSchedule",)):
            return "node(s) were unschedulable"
        if taints := untolerated(spec, self.node, ("NoSchedule", "NoExecute")):
            return f"node(s) had untolerated taint {{{taints[0]['key']}: {taints[0].get('value', '')}}}"
        return None

    def _repelled(self, demand: Demand) -> bool:
        """Required anti-affinity by host name, of the pod and of those that are here."""
        pod = demand.pod
        if demand.repels and any(_repels(pod, other) for other in self._pods.values()):
            return True
        return any(_repels(other, pod) for other in self._repelling.values())


def traits_of(node: Object) -> tuple[object, ...]:
    """What decides whether a node suits a pod at all: labels, taints, cordon."""
    return labels_of(node), node["spec"].get("taints"), node["spec"].get("unschedulable")


def _terms(pod: Object) -> list[Object]:
    affinity = (pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
    found: list[Object] = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []
    return found


def _repels(pod: Object, other: Object) -> bool:
    for term in _terms(pod):
        places = term.get("namespaces") or [namespace_of(pod)]
        near = term.get("topologyKey") == HOSTNAME_LABEL and namespace_of(other) in places
        if near and matches(term.get("labelSelector"), labels_of(other)):
            return True
    return False
