"""Ask many nodes' GPU driver pods the same: the pods are listed once, and asked side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowngood.adapters.cluster import facts
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError, Kube, path
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.adapters.waiting import with_hands
from knowngood.model.errors import Unreachable, UsageError

HANDS = 8  # nodes asked at the same time
TIMEOUT = 30.0
"""Seconds for one node. nvidia-smi takes two to three for eight GPUs, and for ever where the driver hangs."""


def ask(
    kube: Kube, namespace: str, nodes: Sequence[str], argv: Sequence[str], *, timeout: float = TIMEOUT
) -> Mapping[str, Ran | str]:
    """What `argv` left on each node, or why it could not be run there."""
    pods = {
        str(pod["spec"].get("nodeName") or ""): str(pod["metadata"]["name"])
        for pod in kube.list(path("v1", "pods", "", namespace), labels=facts.DRIVER_LABEL)
        if not pod["metadata"].get("deletionTimestamp")
    }

    def one(node: str) -> Ran | str:
        if node not in pods:
            return "no driver pod runs on it"
        try:
            return pod_exec.run(kube, namespace, pods[node], facts.DRIVER_CONTAINER, argv, timeout=timeout)
        except (ApiError, Unreachable, UsageError) as error:
            return str(error)

    return dict(zip(nodes, with_hands(one, nodes, HANDS), strict=True))
