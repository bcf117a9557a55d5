"""Whether who acts on a node's label may boot the node: such a boot is no gate's to tell from a machine's own."""

from __future__ import annotations

from knowngood.adapters.cluster import facts
from knowngood.adapters.kubernetes.client import Kube, path

SWITCH = "WITH_REBOOT"
"""Environment of mig-manager: with it a layout that a GPU takes by a reset alone boots the host (k8s-mig-parted)."""
HINT = f"have {SWITCH} be false in Git: the ClusterPolicy's migManager.env; a run's nodes are empty, so none is needed"


def booting(kube: Kube, namespace: str, owner: str) -> str:
    """The DaemonSet whose pods, labelled `owner` (`key=value`), may boot a node, and why; "" where none may."""
    for daemonset in kube.list(path("apps/v1", "daemonsets", "", namespace)):
        template = daemonset["spec"]["template"]
        env = (e for c in template["spec"].get("containers") or () for e in c.get("env") or ())
        set_so = any(e.get("name") == SWITCH and str(e.get("value")).lower() == "true" for e in env)
        if set_so and facts.has_label(template, owner):
            return f"DaemonSet {namespace}/{daemonset['metadata']['name']} has {SWITCH}=true: it would boot the node"
    return ""
