"""A GPU node with its driver and operands, as objects for the fake API."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.cluster.facts import OPERANDS
from knowngood.adapters.nodes.batch import Task
from knowngood.model.matrix import Limits, Tenant
from knowngood.model.names import MAINTENANCE_TAINT, QUARANTINE_TAINT

NODE = "gpu-1"
NODE_PATH = f"/api/v1/nodes/{NODE}"
BOOT = "0f" * 16
OPERATOR = "nvidia-gpu-operator"
FENCE = "r20260822-031500-7f3a/4"
RUN = "r20260822-031500-7f3a"
OLD, NEW = "580.173.02", "595.91.07"
TOLERATIONS = [{"key": key, "operator": "Exists"} for key in (MAINTENANCE_TAINT, QUARANTINE_TAINT)]
PODS = f"/api/v1/namespaces/{OPERATOR}/pods"
DAEMONSETS = f"/apis/apps/v1/namespaces/{OPERATOR}/daemonsets"
DRIVER_LABELS = {"app.kubernetes.io/component": "nvidia-driver"}


def banner(version: str, seconds: float, boot: str = BOOT) -> str:
    """One journal line: the driver says that it was loaded."""
    text = f"NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build"
    return json.dumps(
        {
            "_TRANSPORT": "kernel",
            "_BOOT_ID": boot,
            "__MONOTONIC_TIMESTAMP": str(int(seconds * 1e6)),
            "MESSAGE": text,
        }
    )


def node(name: str = NODE, **spec: Any) -> dict[str, Any]:
    """A quiet GPU node."""
    labels = {"knowngood.dev/ring": "ring-0", "nvidia.com/gpu.present": "true"}
    labels |= {"nvidia.com/gpu.deploy.driver": "true", "kubernetes.io/hostname": name}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": {"other": "kept"}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "64", "nvidia.com/gpu": "8"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def daemonset(name: str, image: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """A DaemonSet of the GPU operator that selects every GPU node and tolerates our taints."""
    container = "nvidia-driver-ctr" if labels == DRIVER_LABELS else name
    return {
        "metadata": {"name": name},
        "spec": {
            "template": {
                "metadata": {"labels": labels or {"app": name}},
                "spec": {
                    "nodeSelector": {"nvidia.com/gpu.present": "true"},
                    "tolerations": TOLERATIONS,
                    "containers": [{"name": container, "image": image}],
                },
            }
        },
    }


def pod_of(
    owner: dict[str, Any], *, ready: bool = True, created: str = "2026-08-22T03:00:00Z"
) -> dict[str, Any]:
    """A pod of a DaemonSet on the node."""
    name = owner["metadata"]["name"]
    template = owner["spec"]["template"]
    return {
        "metadata": {
            "namespace": OPERATOR,
            "labels": template["metadata"]["labels"],
            "creationTimestamp": created,
            "ownerReferences": [{"kind": "DaemonSet", "name": name, "controller": True}],
        },
        "spec": {"nodeName": NODE, "containers": template["spec"]["containers"]},
        "status": {
            "phase": "Running" if ready else "Pending",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def driver_image(version: str) -> str:
    return f"mirror.example.com/nvidia/driver:{version}-rhcos4.18"


def machine(kube: FakeKube) -> None:
    """Put a quiet GPU node that runs OLD into the API."""
    kube.put(NODE_PATH, node())
    kube.journals[NODE] = banner(OLD, 12.5)
    driver = kube.put(f"{DAEMONSETS}/driver", daemonset("driver", driver_image(OLD), DRIVER_LABELS))
    kube.put(f"{PODS}/driver-old", pod_of(driver))
    for name in OPERANDS:
        operand = kube.put(f"{DAEMONSETS}/{name}", daemonset(name, "operand:v26.7.0"))
        kube.put(f"{PODS}/{name}-1", pod_of(operand))


def task(kube: FakeKube, **changes: Any) -> Task:
    """What an action is given, with short limits."""
    limits = Limits(claim=0.4, drain=1.0, apply=2.0, operand_age=0.4, node_unreachable=0.4)
    tenants = (Tenant("vision", ("vision",), eviction_deadline=0.4),)
    values: dict[str, Any] = {"fence": FENCE, "limits": limits, "tenants": tenants, **changes}
    return Task(kube=kube, **values)
