"""A machine of the twin with the objects that a cluster would have of it: node, pods, DaemonSets, healthy payloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from knowngood.adapters.judging.operand_view import VALIDATOR
from knowngood.matrix.load import load
from knowngood.model.matrix import Cluster, Matrix, Profile
from knowngood.twin import objects
from knowngood.twin.behaviours import pod_status
from knowngood.twin.behaviours.gpu_manifests import (
    DEPLOY_LABELS,
    DRIVER_CONTAINER,
    MIG_MANAGER_LABEL,
    OPERANDS,
)
from knowngood.twin.behaviours.kube import COMPONENT_LABEL, DRIVER_COMPONENT, GPU
from knowngood.twin.behaviours.operands import gpu_labels
from knowngood.twin.seed import NodeSeed, Seed, parse
from knowngood.twin.world import Machine

NODE, DRIVER, OFED, FIRMWARE = "fra-gpu-1", "580.105.08", "25.10-1.2.8", "28.47.1026"
NOW = datetime(2026, 11, 29, 13, 0, tzinfo=UTC)
BEFORE, AFTER = "2026-11-29T12:00:00Z", "2026-11-29T12:05:00Z"
SPACE = "nvidia-gpu-operator"
EXPECT = {
    "nvidia-driver": DRIVER,
    "kernel-module-type": "open",
    "doca-ofed": OFED,
    "rdma-mode": "dma-buf",
    "nic-firmware": FIRMWARE,
    "gpu-operator": "25.10.1",
}
MATRIX = Path(__file__).parents[4] / "matrix"
Values = dict[str, Any]


@cache
def matrix() -> Matrix:
    """The matrix that ships."""
    return load(MATRIX)


def shipped() -> tuple[Profile, Cluster]:
    """The profile and the cluster of such a node."""
    return matrix().profiles["hgx-h200"], matrix().clusters["fra-prod"]


def seeded(**changes: Any) -> Seed:
    """A cluster of one such node."""
    profile, _ = shipped()
    node: Values = {
        "name": NODE,
        "role": "gpu",
        "labels": {},
        "product": profile.product,
        "gpus": profile.gpus,
        "gpuModel": profile.gpu_model,
        "gpuPciId": profile.gpu_pci_id,
        "nvswitch": profile.nvswitch,
        "nics": profile.nics,
        "nicModel": profile.nic_model,
        "nicFirmware": FIRMWARE,
        "docaOfed": OFED,
        "modules": ["rpcrdma"],
        **changes,
    }
    whole = {
        "schema": 1,
        "cluster": "fra-prod",
        "kubernetes": "v1.31.9",
        "openshift": "4.18.52",
        "nodes": [node],
        "gpuOperator": {"version": "25.10.1", "namespace": SPACE},
        "tenants": [],
    }
    return parse(whole)


def a_training() -> Values:
    """What a healthy node of eight GPUs measures."""
    pairs = {f"{a}-{b}": 340.0 for a in range(8) for b in range(a + 1, 8)}
    figures: Values = {"tokensPerSecond": 100_000.0, "allReduceGBps": 480.0, "ranks": 8, "pairGBps": pairs}
    figures |= {"devices": [f"GPU-{n}" for n in range(8)], "rankTokensPerSecond": [13_000.0] * 8}
    return {"ok": True, "backend": "cuda", "reason": "", "measured": figures | {"transports": {"NVLS": 8}}}


def an_inference() -> Values:
    """The same of its servers."""
    figures = {"requestsPerSecond": 100.0, "firstTokenP50Ms": 20.0, "nextTokenP99Ms": 8.0}
    devices = {"devices": [f"GPU-{n}" for n in range(8)], "rankTokensPerSecond": [900.0] * 8}
    return {"ok": True, "backend": "cuda", "reason": "", "measured": {**figures, **devices}}


def node_of(whole: Seed, one: NodeSeed, machine: Machine) -> Values:
    """The node's object, once its operands have worked."""
    node = deepcopy(objects.node_object(whole, one))
    node["status"]["nodeInfo"]["bootID"] = machine.boot_id
    node["status"]["conditions"] = objects.node_conditions(ready=True)
    node["status"].setdefault("allocatable", {})[GPU] = str(machine.devices(one.gpus))
    deployed = dict.fromkeys((*DEPLOY_LABELS, MIG_MANAGER_LABEL), "true")
    node["metadata"]["labels"] |= {**gpu_labels(machine, DRIVER), **deployed}
    return node


def pods_of(machine: Machine) -> list[Values]:
    """The driver's pod and the operands', all ready; the validator looked at this driver."""
    driver = {COMPONENT_LABEL: DRIVER_COMPONENT, "app": "nvidia-driver-daemonset"}
    pods = [_pod("nvidia-driver-daemonset", DRIVER_CONTAINER, driver, BEFORE)]
    for name, operand in OPERANDS.items():
        if not operand.also:
            waits = operand.waits if name == VALIDATOR else ()
            pods.append(_pod(name, operand.container, {"app": name}, AFTER, waits))
    return pods


def _pod(
    owner: str, container: str, labels: Mapping[str, str], started: str, waits: Sequence[str] = ()
) -> Values:
    pod: Values = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{owner}-x1",
            "namespace": SPACE,
            "uid": f"uid-{owner}",
            "labels": dict(labels),
            "creationTimestamp": BEFORE,
            "ownerReferences": [{"kind": "DaemonSet", "name": owner, "controller": True}],
        },
        "spec": {
            "nodeName": NODE,
            "containers": [{"name": container, "image": f"mirror.example.com/{owner}:1"}],
            "initContainers": [
                {"name": name, "image": "mirror.example.com/gpu-operator:1"} for name in waits
            ],
        },
    }
    now = pod_status.Progress(main=pod_status.READY, started=started)
    return {**pod, "status": pod_status.status(pod, now, "10.0.0.1", "10.128.0.1")}


def sets_of() -> list[Values]:
    """The operands' DaemonSets, each on nodes with its label."""
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": name, "namespace": SPACE},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {
                        "nodeSelector": {f"nvidia.com/gpu.deploy.{o.deploy}": "true"},
                        "containers": [{"name": o.container, "image": "mirror.example.com/operand:1"}],
                    },
                },
            },
        }
        for name, o in OPERANDS.items()
        if not o.also
    ]
