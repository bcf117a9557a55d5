"""Which NVIDIADriver object has each GPU node, as the GPU Operator decides it from 26.7 on. Pure.

A selective object beats the one that is `default`; two selective ones on one node stop the operator for the whole
cluster; a default one may have no nodeSelector. One without selector and not default takes every node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from knowngood.model.finding import Finding, refused
from knowngood.model.values import Values
from knowngood.planner.readiness.declaring import CLUSTER_POLICY, NVIDIA_DRIVER, Object, name_of

OWNER_LABEL = "nvidia.com/gpu-operator.driver.owner"
"""On a node: the NVIDIADriver that its driver pod comes from."""
SHOWN = 3  # nodes that a finding names


def owners(labels: Mapping[str, str], drivers: Sequence[Object]) -> tuple[str, ...]:
    """The names of the NVIDIADriver objects that claim a node with these labels."""
    selective, default = [], []
    for driver in drivers:
        spec, name = driver.get("spec") or {}, str(driver["metadata"]["name"])
        if spec.get("default"):
            default.append(name)
        elif all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items()):
            selective.append(name)
    return tuple(selective or default)


def against_selection(
    nodes: Mapping[str, Mapping[str, str]], drivers: Sequence[Object], rings: Mapping[str, str]
) -> Iterator[Finding]:
    """GPU nodes (name -> labels) that not exactly one object has, or not the one that Git names for their ring.

    `rings`: node -> the NVIDIADriver of its ring.
    """
    for driver in drivers:
        if (driver.get("spec") or {}).get("default") and driver["spec"].get("nodeSelector"):
            yield refused(
                name_of(driver), "it is default and has a nodeSelector", "take one of the two out of it"
            )
    had = {node: owners(labels, drivers) for node, labels in nodes.items()}
    for names in dict.fromkeys(had.values()):
        some = _some([node for node, found in had.items() if found == names])
        if not names:
            hint = f"label it with its ring, and see the nodeSelector of the ring's {NVIDIA_DRIVER}"
            yield refused(f"node {some}", f"no {NVIDIA_DRIVER} selects it", hint)
        elif len(names) > 1:
            what = f"they all select node {some}: the GPU Operator then stops for the whole cluster"
            yield refused(
                f"{NVIDIA_DRIVER} {' and '.join(names)}", what, "take one out, or narrow its nodeSelector"
            )
    yield from _not_as_declared({n: names[0] for n, names in had.items() if len(names) == 1}, nodes, rings)


def _not_as_declared(
    had: Mapping[str, str], nodes: Mapping[str, Mapping[str, str]], rings: Mapping[str, str]
) -> Iterator[Finding]:
    labelled = any(OWNER_LABEL in labels for labels in nodes.values())
    for node, name in had.items():
        wanted, owner = rings.get(node, name), nodes[node].get(OWNER_LABEL, "")
        if name != wanted:
            what = f"{NVIDIA_DRIVER} {name} selects it, and its ring is declared by {wanted}"
            yield refused(
                f"node {node}", what, "correct its ring label, the nodeSelector, or the cluster file"
            )
        elif labelled and owner != name:
            what = f"its driver is of {NVIDIA_DRIVER} {owner or 'nobody'}, although {name} selects it"
            yield refused(f"node {node}", what, "see the GPU Operator's log", passes=True)


def against_kind(policies: Sequence[Object], kinds: set[str]) -> Iterator[Finding]:
    """A run that moves drivers by objects of a kind that the ClusterPolicy does not let count."""
    for policy in policies:
        uses = ((policy.get("spec") or {}).get("driver") or {}).get("useNvidiaDriverCRD") is True
        if NVIDIA_DRIVER in kinds and not uses:
            what = f"it does not use {NVIDIA_DRIVER} objects (spec.driver.useNvidiaDriverCRD)"
            yield refused(
                name_of(policy), what, "a change of one would move nothing; see the cluster file's declare"
            )
        if CLUSTER_POLICY in kinds and uses:
            what = f"drivers come from {NVIDIA_DRIVER} objects (spec.driver.useNvidiaDriverCRD)"
            yield refused(
                name_of(policy), what, "its own driver fields do not count; see the cluster file's declare"
            )


def _some(nodes: Sequence[str]) -> str:
    more = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
    return ", ".join(nodes[:SHOWN]) + more


def gpu_taints(nodes: Sequence[Values]) -> set[str]:
    """Keys of the taints that keep pods off these nodes now."""
    taints = (t for node in nodes for t in (node.get("spec") or {}).get("taints") or ())
    return {str(t["key"]) for t in taints if t.get("effect") in {"NoSchedule", "NoExecute"}}
