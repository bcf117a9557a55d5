"""Whether a workload runs what its object asks for, everywhere, and whether that is ready: Deployments and their like.

A controller's own counts are used, once it has seen the newest generation: readiness alone may be the old pods'.
"""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.adapters.cluster import facts
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.model.values import Values

APPS = "apps/v1"
PLURALS = {"DaemonSet": "daemonsets", "Deployment": "deployments", "StatefulSet": "statefulsets"}
"""Kinds that run pods and say how far a new template is."""
BAD_STARTS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
"""Reasons for which a container waits and that do not pass by themselves."""


def find(kube: Kube, kind: str, namespace: str, name: str) -> Object | None:
    """A workload by its kind and name."""
    return kube.find(path(APPS, PLURALS[kind], name, namespace))


def images(workload: Object) -> list[str]:
    """The images of its containers, those that run before the others included."""
    spec = workload["spec"]["template"]["spec"]
    return [str(c["image"]) for key in ("initContainers", "containers") for c in spec.get(key) or ()]


def ending(obj: Values) -> bool:
    """Whether it is being deleted: then all that its status says is of something that goes."""
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def idle(kind: str, workload: Object) -> bool:
    """Whether no pod of it is wanted, so that its counts are right and show nothing: scaled to none, or of no node."""
    if kind == "DaemonSet":
        return not int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    return bool(workload["spec"].get("replicas") == 0)


def image_of(workload: Object, container: str) -> str:
    """The image of one of its containers, "" where it has none of that name."""
    found = workload["spec"]["template"]["spec"].get("containers") or ()
    return next((str(c["image"]) for c in found if c["name"] == container), "")


def is_of(image: str, version: str) -> bool:
    """Whether an image's tag is of a version, with or without a v before it; one without a tag is of none."""
    tagged = ":" in image.partition("@")[0].rpartition("/")[2]
    return tagged and any(facts.carries(image, text) for text in (version, f"v{version}"))


def late(kube: Kube, kind: str, workload: Object) -> str:
    """Why its newest template does not run everywhere, ready; "" where it does."""
    metadata = workload["metadata"]
    what = f"{kind} {metadata['namespace']}/{metadata['name']}"
    status = workload.get("status") or {}
    if ending(workload):
        return f"{what} is being deleted"
    if int(status.get("observedGeneration") or 0) < int(metadata.get("generation") or 0):
        return f"{what} has been changed just now"
    counted = _daemons(workload, status) if kind == "DaemonSet" else _replicas(workload, status)
    if not counted:
        return ""
    why = "; ".join(sorted({*_troubles(kube, workload)}))
    return f"{what}: {counted}" + (f"; {why}" if why else "")


def _daemons(workload: Object, status: Object) -> str:
    wanted = int(status.get("desiredNumberScheduled") or 0)
    updated, ready = (int(status.get(n) or 0) for n in ("updatedNumberScheduled", "numberAvailable"))
    if updated < wanted:
        strategy = (workload["spec"].get("updateStrategy") or {}).get("type")
        by_hand = ", and OnDelete replaces none by itself" if strategy == "OnDelete" else ""
        return f"{updated} of {wanted} pods are new{by_hand}"
    return "" if ready >= wanted else f"{ready} of {wanted} pods are available"


def _replicas(workload: Object, status: Object) -> str:
    wanted = workload["spec"].get("replicas")
    wanted = 1 if wanted is None else int(wanted)
    updated, there = (int(status.get(n) or 0) for n in ("updatedReplicas", "replicas"))
    ready = int(status.get("availableReplicas", status.get("readyReplicas")) or 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are new"
    if there > updated:
        return f"{there - updated} old pods are still there"
    return "" if ready >= wanted else f"{ready} of {wanted} pods are available"


def _troubles(kube: Kube, workload: Object) -> Iterator[str]:
    """Why containers of its pods do not start, as the kubelet says it."""
    labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    if not labels:
        return
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    for pod in kube.list(path("v1", "pods", "", workload["metadata"]["namespace"]), selector):
        status = pod.get("status") or {}
        for key in ("initContainerStatuses", "containerStatuses"):
            for one in status.get(key) or ():
                waiting = (one.get("state") or {}).get("waiting") or {}
                if waiting.get("reason") in BAD_STARTS:
                    yield f"{waiting['reason']} of {one.get('image') or one.get('name')}"
