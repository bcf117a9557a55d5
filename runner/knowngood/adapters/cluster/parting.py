"""What the configuration of mig-manager and of the device plugin gives a node: MIG devices a GPU, replicas a resource.

Pure. Formats: mig-parted's config (devices, mig-enabled, mig-devices, device-filter), the device plugin's
(sharing.timeSlicing or sharing.mps: resources, replicas, rename); both in NVIDIA's public repositories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowngood.adapters.cluster.gpu_config import GpuConfig
from knowngood.adapters.cluster.nvidia_smi import Gpu
from knowngood.model.node import NodeState
from knowngood.model.values import Values
from knowngood.planner import sharing

MIG_CONFIG, MIG_STATE = sharing.CONFIG, sharing.STATE
KIND, REPLICAS = sharing.SHARING, sharing.REPLICAS
PLUGIN_CONFIG = "nvidia.com/device-plugin.config"
SHARED = ".shared"
KINDS = {"timeSlicing": "time-slicing", "mps": "mps"}
"""How the device plugin's configuration calls a way to share, and how its label does."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a GPU is to be: in MIG mode or not, and its devices by profile."""

    mig: bool
    devices: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Share:
    """One resource that is offered several times, under which name; `kind`: time-slicing or mps."""

    kind: str
    resource: str
    replicas: int
    offered_as: str


def in_mig(gpu: Gpu) -> bool:
    """Whether a GPU is in MIG mode."""
    return gpu.told("migMode") == "Enabled"


def layouts(rules: Any, gpus: Sequence[Gpu]) -> list[Layout]:
    """What a layout's rules make of these GPUs, in the driver's order. ValueError where a rule can't be understood.

    As mig-parted: each rule counts for the devices that it names; of two for one GPU the last one does.
    """
    found = [Layout(mig=False, devices={}) for _ in gpus]
    if not isinstance(rules, list):
        raise ValueError("it is no list of rules")  # noqa: TRY004 (a file's fault, as all here)
    for rule in rules:
        if not isinstance(rule, Mapping) or "mig-enabled" not in rule:
            raise ValueError("a rule says nothing of mig-enabled")
        named, wanted = rule.get("devices", "all"), rule.get("device-filter") or []
        filters = {
            str(f).lower().removeprefix("0x") for f in (wanted if isinstance(wanted, list) else [wanted])
        }
        for index, gpu in enumerate(gpus):
            mine = named == "all" or (isinstance(named, list) and index in named)
            if mine and (not filters or gpu.told("pciId").lower().removeprefix("0x") in filters):
                found[index] = _layout(rule)
    return found


def _layout(rule: Values) -> Layout:
    devices = rule.get("mig-devices") or {}
    if not isinstance(devices, Mapping) or not all(isinstance(n, int) for n in devices.values()):
        raise ValueError("mig-devices is no list of profiles with their numbers")
    enabled = rule["mig-enabled"] is True
    return Layout(enabled, {str(profile): n for profile, n in devices.items() if n} if enabled else {})


def counted(devices: Mapping[str, str]) -> dict[str, int]:
    """Profile -> how many devices of it there are."""
    return dict(Counter(devices.values()))


def plugin_key(state: NodeState, config: GpuConfig) -> str:
    """Which of the device plugin's configurations the node takes: its label's, or else the default."""
    return state.labels.get(PLUGIN_CONFIG, "") or config.default


def shares(config: Any) -> list[Share]:
    """The resources that a configuration of the device plugin shares. ValueError where it can't be understood."""
    found = []
    sharing = _map(_map(config, "the configuration").get("sharing"), "sharing")
    for key, kind in KINDS.items():
        part = _map(sharing.get(key), key)
        renamed, resources = bool(part.get("renameByDefault")), part.get("resources") or []
        if not isinstance(resources, list):
            raise ValueError(f"{key}.resources is no list")  # noqa: TRY004 (a file's fault, as all here)
        for resource in (_map(one, "a shared resource") for one in resources):
            name, replicas = str(resource.get("name") or ""), resource.get("replicas")
            if not name or not isinstance(replicas, int) or replicas < 1:
                raise ValueError(f"a shared resource without a name or a number of replicas: {resource}")
            name = name if "/" in name else f"nvidia.com/{name}"
            default = f"{name}{SHARED}" if renamed else name
            found.append(Share(kind, name, replicas, str(resource.get("rename") or default)))
    return found


def _map(value: Any, what: str) -> Values:
    """A part of a configuration, empty where it is not there."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{what} is no map")
    return value or {}


def pending(gpu: Gpu) -> bool:
    """Whether its MIG mode changes at the next reset."""
    now, then = gpu.told("migMode"), gpu.told("migPending")
    return bool(now and then and now != then)


def expected(label: str, gpus: Sequence[Gpu], config: GpuConfig) -> list[Layout] | str:
    """What the layout makes of each GPU, or why that can't be told."""
    if label not in config.mig:
        return config.mig_trouble or f"mig-manager's configuration has no layout {label}"
    try:
        return layouts(config.mig[label], gpus)
    except ValueError as error:
        return f"layout {label} can't be understood: {error}"


def otherwise(
    gpus: Sequence[Gpu], wanted: Sequence[Layout], slices: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """GPUs that are not parted as they should be."""
    for gpu, layout in zip(gpus, wanted, strict=True):
        there = counted(slices.get(gpu.uuid, {}))
        if in_mig(gpu) != layout.mig:
            yield f"{gpu.address} is {'in' if in_mig(gpu) else 'not in'} MIG mode"
        elif there != dict(layout.devices):
            yield f"{gpu.address} has {told_of(there)}, its layout {told_of(layout.devices)}"


def told_of(devices: Mapping[str, int]) -> str:
    """Devices in words."""
    return ", ".join(f"{n} x {profile}" for profile, n in sorted(devices.items())) or "no MIG device"


def unshared(state: NodeState, found: Sequence[Share], gpus: int) -> Iterator[str]:
    """What is not offered as it should be."""
    gpus = sharing.present(state, gpus)
    here = sharing.devices(state, gpus)
    if isinstance(here, str):
        yield from () if sharing.untold(state, gpus) else (here,)
        return
    by_name = {share.resource: share for share in found}
    wanted: dict[str, int] = {}
    for resource, count in here.items():
        share = by_name.get(resource)
        wanted[share.offered_as if share else resource] = count * (share.replicas if share else 1)
        if share and share.offered_as != resource:
            wanted[resource] = 0
    for resource, number in sorted(wanted.items()):
        if (there := state.allocatable.get(resource, "0")) != str(number):
            yield f"{there} of {number} {resource} are allocatable"
    yield from labelled(state, by_name.get(sharing.GPU))


def labelled(state: NodeState, share: Share | None) -> Iterator[str]:
    """Labels of GPU feature discovery that say something else: a stopped one leaves what it wrote."""
    kind, replicas = (share.kind, share.replicas) if share else ("none", 1)
    if (said := state.labels.get(KIND, kind)) != kind:
        yield f"the label {KIND} says {said}, configured is {kind}"
    if (told := state.labels.get(REPLICAS, str(replicas))) not in (str(replicas), "0"):
        yield f"the label {REPLICAS} says {told}, configured are {replicas}"
