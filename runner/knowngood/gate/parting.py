"""What the configuration of mig-manager and of the device plugin gives a node: MIG devices a GPU, replicas a resource.

Pure but for the fixtures. Formats: mig-parted's config (devices, mig-enabled, mig-devices, device-filter), the device
plugin's (sharing.timeSlicing or sharing.mps: resources, replicas, rename); both in NVIDIA's public repositories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from knowngood.adapters.judging import gpu_config
from knowngood.adapters.judging.gpu_config import GpuConfig
from knowngood.adapters.kubernetes.client import Kube
from knowngood.gate import nvidia_smi
from knowngood.gate.driver import LIST, Ask, Told
from knowngood.gate.nvidia_smi import Gpu
from knowngood.model.matrix import Cluster
from knowngood.model.node import NodeState
from knowngood.model.values import Values

MIG_CONFIG, MIG_STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
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


@pytest.fixture(scope="session")
def gpu_settings(kube: Kube, cluster: Cluster) -> GpuConfig:
    """The ConfigMaps that part and share the cluster's GPUs."""
    return gpu_config.read(kube, cluster.operator_namespace)


@dataclass(frozen=True, slots=True)
class Parted:
    """How one node's driver says that its GPUs are parted.

    `slices`: GPU UUID -> MIG device's UUID -> profile; None where no GPU is in MIG mode, or it can't be told.
    """

    told: Told
    slices: Mapping[str, Mapping[str, str]] | None = None


def parted(ask: Ask, told: Mapping[str, Told]) -> dict[str, Parted]:
    """All nodes by their reports; those that have a GPU in MIG mode are asked for their devices."""
    nodes = [n for n, one in told.items() if one.report and any(map(in_mig, one.report.gpus))]
    answers = ask(nodes, LIST).items() if nodes else ()
    slices = {
        n: nvidia_smi.slices(ran.stdout) for n, ran in answers if not isinstance(ran, str) and not ran.code
    }
    return {n: Parted(one, slices.get(n)) for n, one in told.items()}


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
    sharing = (config or {}).get("sharing") if isinstance(config, Mapping) else None
    found = []
    for key, kind in KINDS.items():
        part = (sharing or {}).get(key) or {}
        renamed = bool(part.get("renameByDefault"))
        for resource in part.get("resources") or ():
            name, replicas = str(resource.get("name") or ""), resource.get("replicas")
            if not name or not isinstance(replicas, int) or replicas < 1:
                raise ValueError(f"a shared resource without a name or a number of replicas: {resource}")
            name = name if "/" in name else f"nvidia.com/{name}"
            default = f"{name}{SHARED}" if renamed else name
            found.append(Share(kind, name, replicas, str(resource.get("rename") or default)))
    return found
