"""How nodes are parted, as gates ask for it: the configuration once a judgement, and each driver's own list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from knowngood.adapters.cluster import gpu_config, nvidia_smi
from knowngood.adapters.cluster.gpu_config import GpuConfig
from knowngood.adapters.cluster.parting import in_mig
from knowngood.adapters.kubernetes.client import Kube
from knowngood.gate.driver import LIST, Ask, Told
from knowngood.model.matrix import Cluster


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
