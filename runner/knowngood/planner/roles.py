"""What a node is, by its labels and taints. Pure."""

from __future__ import annotations

from knowngood.model.values import Values

GPU_LABELS = ("nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present")
VIRTUAL_LABELS = {"type": "virtual-kubelet", "liqo.io/type": "virtual-node"}
CONTROL_PLANE_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def role(node: Values) -> str:
    """control-plane, gpu, virtual (Liqo and other virtual kubelets) or worker."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) == value for key, value in VIRTUAL_LABELS.items()):
        return "virtual"
    if any(
        t["key"].startswith("virtual-node.liqo.io/") for t in (node.get("spec") or {}).get("taints") or ()
    ):
        return "virtual"
    if any(labels.get(key) == "true" for key in GPU_LABELS):
        return "gpu"
    return "control-plane" if any(key in labels for key in CONTROL_PLANE_LABELS) else "worker"
