"""Who else acts on a node: the signs that somebody works on it, so that we do not claim it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from knowngood.adapters.cluster.facts import (
    DEPLOY_PREFIX,
    DRIVER_LABEL,
    OPERANDS,
    PAUSED,
    has_label,
    node_ready,
)
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model import names
from knowngood.model.marks import Marks
from knowngood.model.values import Values
from knowngood.planner.flash import unended
from knowngood.planner.readiness.declaring import tolerates

UPGRADE_LABELS = ("nvidia.com/gpu-driver-upgrade-state", "nvidia.com/ofed-driver-upgrade-state")
MIG_STATE = "nvidia.com/mig.config.state"
AT_WORK: Mapping[str, tuple[Collection[str], str]] = {
    "nvidia.com/gpu-driver-upgrade-state": ({"upgrade-done"}, "a driver upgrade is going on"),
    "nvidia.com/ofed-driver-upgrade-state": ({"upgrade-done"}, "a DOCA upgrade is going on"),
    MIG_STATE: ({"success", "failed"}, "the MIG manager works on it"),
    "network.nvidia.com/operator.nic-configuration.wait": ({"false"}, "NIC firmware or settings change"),
    "dgxc.nvidia.com/nvsentinel-state": ((), "NVSentinel has taken it out"),
}
"""Labels by which others say that they work on a node: the values at which they rest, and what it is.

Sources: gpu-operator upgrade and MIG controllers; nic-configuration-operator; NVSentinel, whose state goes from
quarantined through draining to remediation-succeeded, is then taken off, and stays at drain-failed for a human.
"""
MCO_STATE = "machineconfiguration.openshift.io/state"
MCO_CURRENT = "machineconfiguration.openshift.io/currentConfig"
MCO_DESIRED = "machineconfiguration.openshift.io/desiredConfig"
DRIVER_MANAGER = "nvidia.com/driver-manager."
UPGRADE_MARKS = ("nvidia.com/gpu-driver-upgrade", "nvidia.com/ofed-driver-upgrade", DRIVER_MANAGER)
OURS = (
    names.CLAIM_ANNOTATION,
    names.SNAPSHOT_ANNOTATION,
    names.REASON_ANNOTATION,
    names.FLASH_ANNOTATION,
)
MARK_LENGTH = 120
OTHERS_ANNOTATIONS = (
    names.DOMAIN,
    "machineconfiguration.openshift.io/",
    "sriovnetwork.openshift.io/",
    *UPGRADE_MARKS,
)
"""Prefixes of node annotations that drainers, ourselves included, leave behind."""
SRIOV_API = "sriovnetwork.openshift.io/v1"
SRIOV_DESIRED, SRIOV_CURRENT = (
    "sriovnetwork.openshift.io/desired-state",
    "sriovnetwork.openshift.io/current-state",
)
SRIOV_IDLE = "Idle"
"""What an SriovNetworkNodeState's daemon wants of its node, and how far the operator is with that."""
MAINTENANCES = (
    ("maintenance.nvidia.com/v1alpha1", "nodemaintenances"),
    ("nodemaintenance.medik8s.io/v1beta1", "nodemaintenances"),
)


def annotation(node: Values, key: str) -> str:
    """A node's annotation, "" where it has none."""
    return str((node["metadata"].get("annotations") or {}).get(key) or "")


def taints(node: Values) -> list[Object]:
    """A node's taints."""
    return list((node.get("spec") or {}).get("taints") or ())


def marks(node: Values) -> Marks:
    """What a node object carries of ours."""
    ours = {t["key"]: str(t.get("value") or "?") for t in taints(node)}
    return Marks(
        claim=annotation(node, names.CLAIM_ANNOTATION),
        maintenance=ours.get(names.MAINTENANCE_TAINT, ""),
        quarantine=ours.get(names.QUARANTINE_TAINT, ""),
        cordoned=bool((node.get("spec") or {}).get("unschedulable")),
        snapshot=bool(annotation(node, names.SNAPSHOT_ANNOTATION)),
        reason=bool(annotation(node, names.REASON_ANNOTATION)),
        cordoned_before=_cordoned_before(annotation(node, names.SNAPSHOT_ANNOTATION)),
        flash=annotation(node, names.FLASH_ANNOTATION),
    )


def _cordoned_before(snapshot: str) -> bool | None:
    try:
        found = json.loads(snapshot)
    except ValueError:
        return None
    before = found.get("unschedulable") if isinstance(found, dict) else None
    return before if isinstance(before, bool) else None


def parked(node: Values) -> list[str]:
    """Operands that somebody paused on a node, as `label=value`."""
    labels = node["metadata"].get("labels") or {}
    return [f"{k}={v}" for k, v in sorted(labels.items()) if k.startswith(DEPLOY_PREFIX) and PAUSED in str(v)]


def parting(node: Values) -> str:
    """Why GPUs are being parted on a node now, "" where they are not: after a driver's load the layout comes again."""
    rest, what = AT_WORK[MIG_STATE]
    value = (node["metadata"].get("labels") or {}).get(MIG_STATE)
    return f"{what} ({MIG_STATE}={value})" if value and value not in rest else ""


def upgrading(node: Values) -> list[str]:
    """Driver upgrades that a controller has begun and not ended, as `label=value`."""
    labels = node["metadata"].get("labels") or {}
    return [f"{k}={labels[k]}" for k in UPGRADE_LABELS if labels.get(k) not in {None, "", "upgrade-done"}]


def written(node: Values) -> tuple[str, ...]:
    """What we and the GPU stack's drainers have written on a node, sorted: what `restored` must find as it was.

    Not what the machine-config and SR-IOV operators keep in their annotations: they change with other work than ours.
    """
    labels = node["metadata"].get("labels") or {}
    annotations = node["metadata"].get("annotations") or {}
    found = [f"{k}={v}" for k, v in labels.items() if k.startswith(f"{names.DOMAIN}/")]
    found += [f"{k}={v}" for k, v in labels.items() if k.startswith(DEPLOY_PREFIX) and v != "true"]
    found += upgrading(node)
    found += [
        f"annotation {k}={v}"[:MARK_LENGTH] for k, v in annotations.items() if k.startswith(UPGRADE_MARKS)
    ]
    found += [f"annotation {k}={annotations[k]}"[:MARK_LENGTH] for k in OURS if k in annotations]
    found += [f"taint {t['key']}" for t in taints(node) if t["key"].startswith(f"{names.DOMAIN}/")]
    return tuple(sorted(found))


def busy(node: Values, fence: str = "") -> str:
    """Why a node object says that somebody works on it, "" if it is quiet. A claim by `fence`'s run is ours."""
    holder = annotation(node, names.CLAIM_ANNOTATION)
    if holder and holder.rpartition("/")[0] != fence.rpartition("/")[0]:
        return f"run {holder.rpartition('/')[0]} has claimed it"
    if not node_ready(node):
        return "it is not Ready"
    ours = marks(node)
    if ours.quarantine:
        return f"it is quarantined: once that is mended, knowngood clear {node['metadata']['name']}"
    if ours.maintenance and not holder:
        name = node["metadata"]["name"]
        return f"run {ours.maintenance} left its taint on it, without a claim: knowngood clear {name}"
    if (node.get("spec") or {}).get("unschedulable") and not holder:
        return "somebody has cordoned it"
    if not holder and (coming := flash_to_come(node)):
        return coming
    state, current, desired = (annotation(node, k) for k in (MCO_STATE, MCO_CURRENT, MCO_DESIRED))
    if state not in {"", "Done"} or current != desired:
        return f"the machine-config operator works on it ({state or 'config pending'})"
    labels = node["metadata"].get("labels") or {}
    for label, (rest, what) in AT_WORK.items():
        if (value := labels.get(label)) and value not in rest:
            return f"{what} ({label}={value})"
    if found := parked(node):
        return f"operands are parked ({found[0]})"
    return ""


def flash_to_come(node: Values) -> str:
    """What was begun at a node's BMC and may still come, and what to do; "" where nothing was."""
    told = unended(annotation(node, names.FLASH_ANNOTATION))
    over = f"once that is over by its BMC or its system: knowngood clear {node['metadata']['name']} --flash-ended"
    return f"{told}; {over}" if told else ""


def elsewhere(kube: Kube) -> dict[str, str]:
    """Node -> who works on it, of the actors that keep objects of their own: SR-IOV, maintenance operators."""
    found: dict[str, str] = {}
    for api, plural in MAINTENANCES:
        for item in optional(kube, path(api, plural)):
            spec = item.get("spec") or {}
            found[str(spec.get("nodeName") or "")] = f"NodeMaintenance {item['metadata']['name']}"
    # One object a node, and each lists all functions of all its NICs.
    for item in optional(kube, path(SRIOV_API, "sriovnetworknodestates"), _sync):
        name, status = str(item["metadata"]["name"]), str((item.get("status") or {}).get("syncStatus") or "")
        if status not in {"", "Succeeded"}:
            found[name] = f"SR-IOV state {status}"
        for key in (SRIOV_DESIRED, SRIOV_CURRENT):
            if annotation(item, key) not in {"", SRIOV_IDLE}:
                found[name] = f"SR-IOV state {annotation(item, key)}"
    return found


def _sync(item: Object) -> Object:
    status = {"syncStatus": (item.get("status") or {}).get("syncStatus")}
    metadata = {key: item["metadata"].get(key) for key in ("name", "annotations")}
    return {"metadata": metadata, "status": status}


def optional(kube: Kube, where: str, keep: Callable[[Object], Object] | None = None) -> list[Object]:
    """A collection that this cluster may not serve; `keep`: what is kept of each object."""
    try:
        return kube.list(where, keep=keep)
    except ApiError as error:
        if error.missing:
            return []
        raise


def intolerant(kube: Kube, namespace: str, others: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Driver and operand DaemonSets that our taints would keep off a node, in words for each set of taints.

    A driver pod deleted on a tainted node would never come back. `others`: label and namespace of further drivers'.
    """
    labels = {(DRIVER_LABEL, namespace), *others}
    found: dict[str, list[str]] = {}
    for where in sorted({at for _, at in labels}):
        of_drivers = [label for label, at in labels if at == where]
        for name, untolerated in _intolerant(kube, where, of_drivers, OPERANDS if where == namespace else ()):
            found.setdefault(untolerated, []).append(name)
    return [
        f"{', '.join(kept_off)} {'do' if len(kept_off) > 1 else 'does'} not tolerate {untolerated}"
        for untolerated, kept_off in found.items()
    ]


def _intolerant(
    kube: Kube, namespace: str, labels: Sequence[str], names_of: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """A DaemonSet's name and the taints."""
    for item in kube.list(path("apps/v1", "daemonsets", "", namespace)):
        template = item["spec"]["template"]
        spec = template["spec"]
        if item["metadata"]["name"] not in names_of and not any(
            has_label(template, label) for label in labels
        ):
            continue
        ours = (names.MAINTENANCE_TAINT, names.QUARANTINE_TAINT)
        if missing := [taint for taint in ours if not tolerates(spec.get("tolerations") or (), taint)]:
            yield str(item["metadata"]["name"]), " and ".join(missing)
