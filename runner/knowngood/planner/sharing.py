"""How a node offers its GPUs, by its own configuration: whole, in MIG instances, or each several times.

What there is comes from the driver (its GPUs and its list of MIG instances); how it is offered from the labels of GPU
feature discovery and of mig-manager (NVIDIA/k8s-device-plugin README, "GPU Feature Discovery labels"; NVIDIA GPU
Operator documentation, gpu-operator-mig and gpu-sharing).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from knowngood.model.node import NodeState

DOMAIN = "nvidia.com/"
GPU, SHARED = f"{DOMAIN}gpu", f"{DOMAIN}gpu.shared"
STRATEGY, REPLICAS, SHARING = (
    f"{DOMAIN}mig.strategy",
    f"{DOMAIN}gpu.replicas",
    f"{DOMAIN}gpu.sharing-strategy",
)
CONFIG, STATE = f"{DOMAIN}mig.config", f"{DOMAIN}mig.config.state"
WORKLOAD, VIRTUAL = f"{DOMAIN}gpu.workload.config", ("vm-passthrough", "vm-vgpu")
_MIG = re.compile(r"nvidia\.com/mig-(?P<profile>\d{1,2}g\.\d{1,4}gb(?:\.me)?)(?:\.shared)?")
_COUNT = re.compile(r"nvidia\.com/(?P<name>mig-[0-9a-z.]+?)\.count")


UNREAD = "its labels speak of MIG, and the driver's list of instances can't be read"


@dataclass(frozen=True, slots=True)
class Offer:
    """What must be allocatable, resource -> number; `trouble`: why that can't be told."""

    resources: Mapping[str, int]
    trouble: str = ""
    unread: bool = False  # the trouble is that something can't be read, and no contradiction


def virtual(state: NodeState) -> str:
    """Why a node's GPUs are not judged as containers': they go to virtual machines, whole or as vGPUs.

    GPU Operator with KubeVirt (NVIDIA's documentation, gpu-operator-kubevirt): no driver and no device plugin there.
    """
    config = state.labels.get(WORKLOAD, "container")
    return f"its GPUs go to virtual machines ({WORKLOAD}={config}): not judged" if config in VIRTUAL else ""


def present(state: NodeState, gpus: int) -> int:
    """How many GPUs there are to offer, by the driver's own list: that none of `gpus` is missing is drift's to say."""
    return len(state.gpus) or gpus


def offered(state: NodeState, gpus: int) -> Offer:
    """What a node with so many GPUs offers, once it is at rest."""
    if why := virtual(state):
        return Offer({}, why, unread=True)
    replicas = _number(state.labels.get(REPLICAS, "1")) or 1
    instances = _instances(state)
    strategy = state.labels.get(STRATEGY, "none")
    if instances is None and _labelled(state):
        return Offer({}, UNREAD, unread=True)
    if not instances:
        return Offer({_renamed(GPU, state): gpus * replicas})
    whole = gpus - len(instances)
    if strategy == "single":
        return Offer({_renamed(GPU, state): sum(instances.values()) * replicas})
    if strategy == "mixed":
        counts = dict(_labelled(state))
        labelled, there = sum(counts.values()), sum(instances.values())
        if labelled != there:
            return Offer({}, f"the driver lists {there} MIG instances, its labels {labelled}")
        found = {_renamed(f"{DOMAIN}{n}", state): c * _replicas_of(state, n) for n, c in counts.items()}
        return Offer({**found, _renamed(GPU, state) if whole else GPU: whole * replicas})
    return Offer(
        {}, f"there are MIG instances on {len(instances)} GPUs, and the label {STRATEGY} is {strategy}"
    )


def devices(state: NodeState, gpus: int) -> Mapping[str, int] | str:
    """Resource -> devices behind it, each counted once whoever shares it; or why that can't be told."""
    instances = _instances(state)
    if instances is None and _labelled(state):
        return UNREAD
    if not instances:
        return {GPU: gpus}
    strategy = state.labels.get(STRATEGY, "none")
    if strategy == "single":
        return {GPU: sum(instances.values())}
    if strategy == "mixed":
        return {f"{DOMAIN}{name}": count for name, count in _labelled(state)} | {GPU: gpus - len(instances)}
    return f"there are MIG instances on {len(instances)} GPUs, and the label {STRATEGY} is {strategy}"


def each_once(state: NodeState, gpus: int) -> Offer:
    """What a pod asks for that is to have every device of a node with so many GPUs, each once, as they are offered."""
    if (offer := offered(state, gpus)).trouble:
        return offer
    here = devices(state, gpus)
    if isinstance(here, str):
        return Offer({}, here)
    return Offer({_renamed(resource, state): count for resource, count in here.items() if count})


def parts(state: NodeState, gpus: int) -> tuple[int, int]:
    """A node's whole GPUs, and the MIG devices that the others are parted into."""
    instances = _instances(state) or {}
    return gpus - len(instances), sum(instances.values())


def missing(state: NodeState, gpus: int) -> Iterator[str]:
    """What is not allocatable as the node's own configuration gives it; `untold` says where that can't be told."""
    offer = offered(state, gpus)
    if offer.trouble:
        yield from () if offer.unread else (offer.trouble,)
        return
    named = {r for r in state.allocatable if r in (GPU, SHARED) or _MIG.fullmatch(r)}
    for resource in sorted({*offer.resources, *named}):
        here, wanted = state.allocatable.get(resource, "0"), offer.resources.get(resource, 0)
        if here != str(wanted):
            what = "GPUs" if resource == GPU else resource
            yield f"{here} of {wanted} {what} are allocatable"


def untold(state: NodeState, gpus: int) -> str:
    """Why it can't be told what should be allocatable, "" where it can."""
    offer = offered(state, gpus)
    return offer.trouble if offer.unread else ""


def unsettled(state: NodeState) -> Iterator[str]:
    """A MIG layout that is not what its label asks for, or not yet."""
    how = state.labels.get(STATE, "")
    if state.labels.get(CONFIG) and how not in ("success", ""):
        yield f"MIG layout {state.labels[CONFIG]} is {how}"


def _renamed(resource: str, state: NodeState) -> str:
    """A plugin may offer shared GPUs under another name: then that one is there, and the plain one is not."""
    name = f"{resource}.shared"
    shared = state.labels.get(f"{resource}.sharing-strategy", "none") != "none" and name in state.allocatable
    return name if shared and state.allocatable.get(resource, "0") == "0" else resource


def _instances(state: NodeState) -> dict[str, int] | None:
    """GPU -> its MIG devices (compute instances), of those that have any; None where the list can't be read."""
    found = state.inventory.get("mig")
    if found is None:
        return None
    counts = {gpu: sum("/ci" in word for word in words.split()) for gpu, words in found.items()}
    return {gpu: count for gpu, count in counts.items() if count}


def _labelled(state: NodeState) -> list[tuple[str, int]]:
    """MIG profiles and how many devices of each the labels tell."""
    found = ((_COUNT.fullmatch(label), value) for label, value in state.labels.items())
    return [(m["name"], n) for m, value in found if m and (n := _number(value))]


def _replicas_of(state: NodeState, name: str) -> int:
    return _number(state.labels.get(f"{DOMAIN}{name}.replicas", "1")) or 1


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0
