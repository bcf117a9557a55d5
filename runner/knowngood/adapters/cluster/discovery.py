"""Reads what a cluster shows of itself, with the least rights: what may not be read is named, never left out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from knowngood.adapters.cluster import facts, readouts
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.adapters.waiting import with_hands
from knowngood.model.errors import Interrupted, KnowngoodError
from knowngood.model.matrix import Identity
from knowngood.model.mover import Specs
from knowngood.planner.discover.seen import Machine, Seen

HANDS = 8  # nodes, or kinds, asked at the same time
KINDS: Mapping[str, tuple[str, str]] = {
    "Node": ("v1", "nodes"),
    "Namespace": ("v1", "namespaces"),
    "Service": ("v1", "services"),
    "Pod": ("v1", "pods"),
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "Job": ("batch/v1", "jobs"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "PodGroup": ("scheduling.run.ai/v2alpha2", "podgroups"),
    "NVIDIADriver": ("nvidia.com/v1alpha1", "nvidiadrivers"),
    "ClusterPolicy": ("nvidia.com/v1", "clusterpolicies"),
    "NicClusterPolicy": ("mellanox.com/v1alpha1", "nicclusterpolicies"),
    "NicNodePolicy": ("mellanox.com/v1alpha1", "nicnodepolicies"),
    "Subscription": ("operators.coreos.com/v1alpha1", "subscriptions"),
    "ClusterServiceVersion": ("operators.coreos.com/v1alpha1", "clusterserviceversions"),
    "CatalogSource": ("operators.coreos.com/v1alpha1", "catalogsources"),
    "OperatorHub": ("config.openshift.io/v1", "operatorhubs"),
    "ClusterVersion": ("config.openshift.io/v1", "clusterversions"),
    "Infrastructure": ("config.openshift.io/v1", "infrastructures"),
    "Network": ("config.openshift.io/v1", "networks"),
    "ImageDigestMirrorSet": ("config.openshift.io/v1", "imagedigestmirrorsets"),
    "ImageTagMirrorSet": ("config.openshift.io/v1", "imagetagmirrorsets"),
    "Application": ("argoproj.io/v1alpha1", "applications"),
}
"""Kinds that are listed, by API and plural; one that a cluster does not serve is none of its own."""
PCI = "/sys/bus/pci/devices"
_PCI = re.compile(PCI + r"/(?P<slot>[^/]+)/(?P<file>vendor|device|class):(?P<text>0x[0-9a-f]+)")
DISPLAY, NETWORK = ("0x0300", "0x0302"), ("0x0200", "0x0207")
"""PCI classes of GPUs (VGA, 3D controller) and of NICs (Ethernet, InfiniBand), the first two bytes."""
NVIDIA, MELLANOX = "10de", "15b3"


def seen_of(kube: Kube, specs: Specs) -> Seen:
    """All that can be read; Unreachable only where nobody answers at all. `specs`: how movers tell what runs."""
    objects: dict[str, tuple[Object, ...]] = {}
    unread: dict[str, str] = {}
    for kind, (api, plural) in KINDS.items():
        try:
            objects[kind] = tuple(kube.list(path(api, plural), keep=_slim if kind == "Pod" else None))
        except Interrupted:
            raise
        except ApiError as error:
            if not error.missing:
                unread[kind] = str(error)
        except KnowngoodError as error:
            if not objects and not unread:
                raise
            unread[kind] = error.message
    pods = [p for p in objects.get("Pod", ()) if facts.is_driver_pod(p)]
    machines = dict(with_hands(lambda pod: _machine(kube, pod, specs), pods, HANDS))
    return Seen(objects, unread, machines, None, _identity(kube))


def _slim(pod: Object) -> Object:
    """What is kept of a pod: thousands of them are listed."""
    kept = {"containers", "initContainers", "nodeName"}
    metadata = {k: v for k, v in pod["metadata"].items() if k in ("name", "namespace", "labels")}
    spec = {k: v for k, v in (pod.get("spec") or {}).items() if k in kept}
    return {"metadata": metadata, "spec": spec, "status": {"phase": (pod.get("status") or {}).get("phase")}}


def _identity(kube: Kube) -> Identity | None:
    try:
        uid = str(kube.get(path("v1", "namespaces", "kube-system"))["metadata"]["uid"])
    except Interrupted:
        raise
    except KnowngoodError:
        return None
    return Identity(uid, kube.access.fingerprint())


def _machine(kube: Kube, pod: Object, specs: Specs) -> tuple[str, Machine]:
    """A node, as its driver pod shows it."""
    node, metadata = str(pod["spec"].get("nodeName") or ""), pod["metadata"]
    where = (kube, str(metadata["namespace"]), str(metadata["name"]), facts.DRIVER_CONTAINER)
    try:
        printed = pod_exec.run(*where, readouts.command(more=readouts.files_of(specs))).stdout
        devices = pod_exec.run(*where, _devices()).stdout
    except Interrupted:
        raise
    except KnowngoodError as error:
        return node, Machine(trouble=str(error))
    read = readouts.parse_grep(printed)
    gpus, nics = _counted(devices)
    product = readouts.first(read, readouts.PRODUCT)
    shown = {name: readouts.shown(read, spec.shows) for name, spec in specs.items() if spec.shows}
    running = {**readouts.versions(read, printed), **{name: text for name, text in shown.items() if text}}
    return node, Machine(product, gpus, nics, running)


def _devices() -> list[str]:
    names = ["(", "-name", "vendor", "-o", "-name", "device", "-o", "-name", "class", ")"]
    return ["find", "-L", PCI, "-maxdepth", "2", *names, "-type", "f", "-exec", "grep", "-sH", "", "{}", "+"]


def _counted(printed: str) -> tuple[dict[str, int], dict[str, int]]:
    """GPUs and NICs by `vendor:device`."""
    slots: dict[str, dict[str, str]] = {}
    for line in printed.split("\n"):
        if match := _PCI.match(line):
            slots.setdefault(match["slot"], {})[match["file"]] = match["text"]
    gpus: dict[str, int] = {}
    nics: dict[str, int] = {}
    for slot in slots.values():
        vendor, device = (slot.get(key, "0x0")[2:] for key in ("vendor", "device"))
        kind, name = slot.get("class", "")[:6], f"{vendor}:{device}"
        if vendor == NVIDIA and kind in DISPLAY:
            gpus[name] = gpus.get(name, 0) + 1
        elif vendor == MELLANOX and kind in NETWORK:
            nics[name] = nics.get(name, 0) + 1
    return gpus, nics
