"""The synthetic load as Jobs: one a node, below every tenant's priority, bounded by its own deadline."""

from __future__ import annotations

import math
from collections.abc import Mapping

from knowngood.adapters.cluster import facts
from knowngood.adapters.judging.probe_job import remove
from knowngood.adapters.judging.probe_manifest import (
    AFTERLIFE,
    NO_IMAGE,
    NODE_ANNOTATION,
    PROBE_LABEL,
    group_name,
    job_name,
)
from knowngood.adapters.judging.probe_pod import (
    CONFINED,
    ENVIRONMENT,
    GPU,
    SCRATCH,
    asked,
    only_on,
    placed,
    scratch,
)
from knowngood.adapters.judging.probe_words import phase_of, why
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model import names
from knowngood.model.probe_pod import PodNeeds, PodSite
from knowngood.planner.gpu_work import Load, load_on
from knowngood.ports.cancel import Cancel
from knowngood.ports.load import SyntheticLoad

PRIORITY = "knowngood-load"
"""The PriorityClass of deploy/: below zero, which is what a tenant's pod has without one, and preempting nobody."""
NAME = "soak"
SHARE_ANNOTATION = f"{names.DOMAIN}/gpu-share"
"""On pods: how many GPUs' work one is worth."""
NOWHERE_SPECIAL = PodSite()


class KubeLoad(SyntheticLoad):
    """Pods of the probe's image in our namespace. The nodes are in service, so nothing special is tolerated."""

    def __init__(self, kube: Kube, image: str, site: PodSite = NOWHERE_SPECIAL) -> None:
        self._kube = kube
        self._image = image
        self._site = site

    def start(self, run: str, gpus: Mapping[str, int], seconds: float) -> None:
        """See the port."""
        for node, count in gpus.items():
            load = self._load(node, count)
            try:
                self._kube.create(
                    path("batch/v1", "jobs", "", names.NAMESPACE),
                    job(run, node, load, seconds, self._image, self._site),
                )
            except ApiError as error:
                if error.code != 409:  # 409: it is there
                    raise

    def working(self, run: str) -> Mapping[str, float]:
        """See the port."""
        found: dict[str, float] = {}
        for pod in self._pods(run):
            if phase_of(pod) == "Running" and facts.is_ready(pod):
                node = str((pod.get("spec") or {}).get("nodeName"))
                found[node] = found.get(node, 0.0) + _gpus(pod)
        return found

    def trouble(self, run: str) -> Mapping[str, str]:
        """See the port."""
        pods = {(p["metadata"].get("annotations") or {}).get(NODE_ANNOTATION, ""): p for p in self._pods(run)}
        jobs = self._kube.list(path("batch/v1", "jobs", "", names.NAMESPACE), labels=_selector(run))
        found = {}
        for made in jobs:
            node = str((made["metadata"].get("annotations") or {}).get(NODE_ANNOTATION, ""))
            pod = pods.get(node)
            if pod is None or phase_of(pod) not in {"Running", "Succeeded"}:
                found[node] = why(pod, made)
        return found

    def clear(self, run: str, cancel: Cancel) -> str:
        """See the port."""
        return remove(self._kube, names.NAMESPACE, group_name(run, NAME), cancel)

    def _load(self, node: str, gpus: int) -> Load:
        """What loads a node's GPUs as it offers them now."""
        found = self._kube.find(path("v1", "nodes", node)) or {"metadata": {}}
        allocatable = facts.extended((found.get("status") or {}).get("allocatable") or {})
        return load_on(found["metadata"].get("labels") or {}, allocatable, gpus)

    def _pods(self, run: str) -> list[Object]:
        return self._kube.list(path("v1", "pods", "", names.NAMESPACE), labels=_selector(run))


def _selector(run: str) -> str:
    return f"{PROBE_LABEL}={group_name(run, NAME)}"


def _gpus(pod: Object) -> float:
    """How many GPUs' work a pod of ours is worth, as it says itself."""
    try:
        return float((pod["metadata"].get("annotations") or {}).get(SHARE_ANNOTATION, 0))
    except ValueError:
        return 0.0


def job(
    run: str, node: str, load: Load, seconds: float, image: str, site: PodSite = NOWHERE_SPECIAL
) -> Object:
    """The Job that computes on one node; a pod that tenants displaced comes again when there is room."""
    group = group_name(run, NAME)
    own = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.RUN_LABEL: run, PROBE_LABEL: group}
    labels, want = {**site.labels, **own}, asked(PodNeeds(), load.each)
    meant = {NODE_ANNOTATION: node, SHARE_ANNOTATION: f"{load.share:.4f}"}
    devices = {load.resource: str(load.each)}
    whole = math.ceil(seconds)
    container = {
        "name": "load",
        "image": image or NO_IMAGE,
        "command": ["python", "-m", "knowngood.probe", "load", "--seconds", str(whole)],
        "env": [*ENVIRONMENT],
        "resources": {"limits": devices, "requests": devices},
        "securityContext": {**CONFINED, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [*SCRATCH],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        **placed(site),
        "priorityClassName": PRIORITY,
        "affinity": only_on(node),
        "tolerations": [
            {"key": GPU, "operator": "Exists", "effect": "NoSchedule"},
            *map(dict, site.tolerations),
        ],
        "containers": [container],
        "volumes": scratch(want),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(group, node),
            "namespace": names.NAMESPACE,
            "labels": labels,
            "annotations": meant,
        },
        "spec": {
            "backoffLimit": 10,
            "parallelism": load.pods,
            "completions": load.pods,
            "activeDeadlineSeconds": whole + 60,
            "ttlSecondsAfterFinished": AFTERLIFE,
            "template": {"metadata": {"labels": labels, "annotations": meant}, "spec": spec},
        },
    }
