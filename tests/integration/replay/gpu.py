"""The GPU Operator's recordings: their cluster, the fields of interest of its objects, the orders that matter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.integration.replay.normal import Fields, Names, conditions, flat
from tests.integration.replay.recording import Line

from knowngood.twin import objects, seed
from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    DRIVER_COMPONENT,
    annotations_of,
    deleting,
    is_true,
    labels_of,
    node_of,
    phase_of,
)
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object

SPACE = "nvidia-gpu-operator"
BUILD = "418.94.202605150000-0"
RINGS = {"gpu-1": "ring-0", "gpu-2": "ring-0", "gpu-3": "ring-1", "gpu-4": "ring-1", "gpu-5": ""}
HARDWARE = {
    "product": "PowerEdge XE7740",
    "gpus": 8,
    "gpuModel": "NVIDIA H200 NVL",
    "gpuPciId": "10de:233b",
}
TOLERATED = [{"key": "knowngood.dev/claimed", "operator": "Exists", "effect": "NoSchedule"}]
# What an operator of an earlier installation had labelled already.
DEPLOYED = (
    "client",
    "container-toolkit",
    "dcgm",
    "dcgm-exporter",
    "device-plugin",
    "driver",
    "gpu-feature-discovery",
    "node-status-exporter",
    "operator-validator",
)


def plan() -> Seed:
    """OpenShift 4.18.52; two nodes a ring, and one without."""
    labelled = {f"nvidia.com/gpu.deploy.{name}": "true" for name in DEPLOYED} | {
        "nvidia.com/gpu.present": "true"
    }
    nodes = [
        {
            "name": name,
            "role": "gpu",
            "labels": labelled | ({"example.com/ring": ring} if ring else {}),
            **HARDWARE,
        }
        for name, ring in RINGS.items()
    ]
    document = {
        "schema": 1,
        "cluster": "replay",
        "kubernetes": "v1.31.9",
        "openshift": "4.18.52",
        "nodes": nodes,
        "gpuOperator": {"version": "26.7.0", "namespace": SPACE},
    }
    return seed.parse(document)


def there() -> Iterator[Object]:
    """What the cluster has before anything is declared."""
    yield objects.namespace(SPACE)
    for node in plan().nodes:
        yield objects.node_object(plan(), node)


def policy() -> Object:
    """The ClusterPolicy of the recordings."""
    on = {"enabled": True}
    parts = ("toolkit", "devicePlugin", "dcgm", "dcgmExporter", "gfd", "migManager", "cdi")
    return {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "gpu-cluster-policy"},
        "spec": {
            "operator": {"use_ocp_driver_toolkit": True},
            "daemonsets": {"tolerations": TOLERATED, "updateStrategy": "RollingUpdate"},
            "driver": {"useNvidiaDriverCRD": True, "upgradePolicy": {"autoUpgrade": False}},
            **dict.fromkeys(parts, on),
            "nodeStatusExporter": {"enabled": False},
        },
    }


def driver(name: str, version: str = "580.173.02", **spec: Any) -> Object:
    """An NVIDIADriver of the recordings; for a ring unless `spec` says for whom else."""
    whose = spec or {"nodeSelector": {"example.com/ring": name}}
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "NVIDIADriver",
        "metadata": {"name": name},
        "spec": {
            "driverType": "gpu",
            "repository": "mirror.example.com/nvidia",
            "image": "driver",
            "version": version,
            "kernelModuleType": "open",
            "upgradePolicy": {"autoUpgrade": False},
            "tolerations": TOLERATED,
            **whose,
        },
    }


def _image(reference: str) -> str:
    """The last part; an image of the driver toolkit's imagestream goes by its digest."""
    if "driver-toolkit" in reference or "ocp-v4.0-art-dev" in reference:
        return "dtk"
    return reference.rpartition("/")[2]


def _images(containers: Iterable[Object]) -> dict[str, str]:
    return {f"images.{c['name']}": _image(c["image"]) for c in containers}


def _pod(names: Names, pod: Object) -> dict[str, Any]:
    states = [c.get("state") or {} for c in (pod.get("status") or {}).get("containerStatuses") or ()]
    waiting = sorted({s["waiting"]["reason"] for s in states if "waiting" in s})
    return {
        "node": node_of(pod) or None,
        "phase": phase_of(pod),
        "ready": str(is_true(pod, "Ready")),
        "waiting": waiting or None,
        "terminating": deleting(pod),
        "rev": names.of("rev", labels_of(pod).get("controller-revision-hash", "")),
        **_images(pod["spec"]["containers"]),
    }


def _daemon_set(names: Names, daemon_set: Object) -> dict[str, Any]:
    spec, status = daemon_set["spec"], daemon_set.get("status") or {}
    template = spec["template"]
    pod = template["spec"]
    driver = labels_of(daemon_set).get(COMPONENT_LABEL) == DRIVER_COMPONENT
    counts = ("current", "desired", "updated")
    kept = [f"{name}NumberScheduled" for name in counts] + ["numberMisscheduled", "numberReady"]
    found = {
        "generation": daemon_set["metadata"].get("generation"),
        "strategy": spec["updateStrategy"]["type"],
        "templateHash": names.of("hash", annotations_of(daemon_set).get("nvidia.com/last-applied-hash", "")),
        "tolerations": sorted(
            f"{t.get('key', '')}:{t.get('effect', '')}" for t in pod.get("tolerations") or ()
        ),
        **{f"nodeSelector.{k}": v for k, v in (pod.get("nodeSelector") or {}).items()},
        **{f"podLabels.{k}": v for k, v in labels_of(template).items()},
        **_images((*(pod.get("initContainers") or ()), *pod["containers"])),
        **{f"status.{k}": status.get(k, 0) for k in (*kept, "numberUnavailable", "observedGeneration")},
    }
    if driver:
        found |= {f"labels.{k}": v for k, v in labels_of(daemon_set).items()}
        for container in (*(pod.get("initContainers") or ()), *pod["containers"]):
            for one in container.get("env") or ():
                if "value" in one:
                    found[f"env.{one['name']}"] = one["value"]
        found["env.DRIVER_CONFIG_DIGEST"] = names.of("digest", found.get("env.DRIVER_CONFIG_DIGEST", ""))
    return found


def _declared(_names: Names, obj: Object) -> dict[str, Any]:
    status = obj.get("status") or {}
    return {
        "generation": obj["metadata"].get("generation"),
        **flat(obj["spec"], "spec"),
        "status.state": status.get("state"),
        "status.namespace": status.get("namespace"),
        **conditions(obj),
    }


def _node(_names: Names, node: Object) -> dict[str, Any]:
    taints = node["spec"].get("taints") or ()
    return {
        **{f"labels.{k}": v for k, v in labels_of(node).items()},
        **{f"annotations.{k}": v for k, v in annotations_of(node).items() if k.startswith("nvidia.com/")},
        "taints": sorted(f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in taints),
        "unschedulable": bool(node["spec"].get("unschedulable")),
    }


KINDS: Mapping[str, Fields] = {
    "Node": _node,
    "Pod": _pod,
    "DaemonSet": _daemon_set,
    "ControllerRevision": lambda _names, revision: {"revision": revision["revision"]},
    "NVIDIADriver": _declared,
    "ClusterPolicy": _declared,
}

_OWNER = "nodeSelector.nvidia.com/gpu-operator.driver.owner"
_BUILD = "nodeSelector.feature.node.kubernetes.io/system-os_release.OSTREE_VERSION"
_KERNEL = "nodeSelector.feature.node.kubernetes.io/kernel-version.full"
_DRIVER_POD = re.compile(r"(nvidia-gpu-driver-[\w.]+-\w+)@([\w-]+)#")
_STAMP = re.compile(r'"\d{10}"')
_DRIVER = re.compile(r"nvidia-gpu-driver-[\w.]+-\w+")


def learn(known: Iterable[Line]) -> dict[str, str]:
    """What each driver DaemonSet is for: its name's end is a hash that says nothing."""
    found, lines = {}, list(known)
    for line in lines:
        if line["type"] == "ADDED" and line["kind"] == "DaemonSet" and _OWNER in line["set"]:
            what = line["set"]
            found[line["name"]] = f"{what[_OWNER]} {what.get(_BUILD) or what.get(_KERNEL, '')}"
    for line in lines:
        match = _DRIVER_POD.match(line.get("name", ""))
        if match and match[1] not in found:  # made before the recording began
            found[match[1]] = f"{RINGS[match[2]]} {BUILD}"
    return found


def renamed(lines: list[Line], known: Iterable[Line]) -> list[Line]:
    """With driver DaemonSets named for what they are for; another one for the same is its second, third, ..."""
    purposes = learn(known)
    seen: dict[str, list[str]] = {}

    def name(match: re.Match[str]) -> str:
        purpose = purposes.get(match[0], match[0])
        names = seen.setdefault(purpose, [])
        if match[0] not in names:
            names.append(match[0])
        return f"driver of {purpose} no. {names.index(match[0]) + 1}"

    return [json.loads(_STAMP.sub('"set"', _DRIVER.sub(name, json.dumps(line)))) for line in lines]


def strands(line: Line) -> Iterator[tuple[str, str]]:
    """A declared driver from its declaration to its state, and the pods of a DaemonSet on a node."""
    kind, name, change = line["kind"], line["name"], line.get("change") or {}
    if kind in {"NVIDIADriver", "ClusterPolicy"}:
        what = "state" if set(change) and all(k.startswith("status") for k in change) else line["type"]
        yield name, f"{kind} {what}"
    elif kind == "DaemonSet" and (line["type"] != "MODIFIED" or "templateHash" in change):
        found = re.match(r"driver of (\S+)", name)
        if found or name.startswith("nvidia-driver-daemonset"):
            yield (found[1] if found else "gpu-cluster-policy"), f"DaemonSet {line['type']}"
    elif kind == "Pod":
        place, _, number = name.rpartition("#")
        for event in (line["type"], *(k for k in ("terminating", "node", "phase") if k in change)):
            if event != "MODIFIED":
                yield f"pods of {place}", f"#{number} {event}"
