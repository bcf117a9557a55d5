"""What a node is, by its labels and taints. Pure."""

from __future__ import annotations

from knowngood.model.values import Values

_PCI = "feature.node.kubernetes.io/pci-"
# As the GPU Operator takes a node for one with GPUs: by vendor, or by class (3D controller, VGA) and vendor.
GPU_LABELS = ("nvidia.com/gpu.present", *(f"{_PCI}{of}10de.present" for of in ("", "0302_", "0300_")))
VIRTUAL_LABELS = {"type": "virtual-kubelet", "liqo.io/type": "virtual-node"}
CONTROL_PLANE_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def role(node: Values) -> str:
    """control-plane, gpu, virtual (Liqo and other virtual kubelets) or worker."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) == value for key, value in VIRTUAL_LABELS.items()):
        return "virtual"
    if any(
        str(t.get("key") or "").startswith("virtual-node.liqo.io/")
        for t in (node.get("spec") or {}).get("taints") or ()
    ):
        return "virtual"
    if any(labels.get(key) == "true" for key in GPU_LABELS):
        return "gpu"
    return "control-plane" if any(key in labels for key in CONTROL_PLANE_LABELS) else "worker"
