"""Nodes that the Network Operator does not count, for a taint that a policy of theirs does not tolerate. Pure.

It counts a node by all three effects, PreferNoSchedule too; where none is left of an operating system and kernel it
deletes their DaemonSet, and with it the pods (network-operator pkg/state/state_ofed.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowngood.model.finding import Finding, refused
from knowngood.model.names import DOMAIN
from knowngood.model.values import Object, Values
from knowngood.planner.readiness.declaring import GPU_TAINT, name_of

KINDS = frozenset({"NicClusterPolicy", "NicNodePolicy"})
NIC_LABEL = "feature.node.kubernetes.io/pci-15b3.present"
BUILT_IN = "node.kubernetes.io/"
"""Taints of this prefix come and go with the node's state; the operator looks past them, as past nvidia.com/gpu."""


def against_nodes(obj: Values, nodes: Sequence[Values]) -> Iterator[Finding]:
    """A taint on a node of this policy that it does not tolerate. Ours are judged by `against_moving`."""
    spec = obj.get("spec") or {}
    if obj["kind"] not in KINDS or "ofedDriver" not in spec:
        return
    wanted = {NIC_LABEL: "true", **(spec.get("nodeSelector") or {})}
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        if any(labels.get(key) != value for key, value in wanted.items()):
            continue
        for taint in (node.get("spec") or {}).get("taints") or ():
            key, effect = str(taint["key"]), taint.get("effect")
            passed = key == GPU_TAINT or key.startswith((BUILT_IN, f"{DOMAIN}/"))
            if not passed and not _tolerated(taint, spec.get("tolerations") or ()):
                what = f"{node['metadata']['name']} has the taint {key}:{effect}, which it does not tolerate"
                hint = "its operator does not count such a node: add it to spec.tolerations, or take it off the node"
                yield refused(name_of(obj), what, hint, passes=effect == "PreferNoSchedule")


def _tolerated(taint: Values, tolerations: Sequence[Object]) -> bool:
    for entry in tolerations:
        value = entry.get("operator") == "Exists" or entry.get("value", "") == taint.get("value", "")
        keys = entry.get("key") in {taint["key"], None, ""}
        if keys and value and entry.get("effect") in {taint.get("effect"), None, ""}:
            return True
    return False
