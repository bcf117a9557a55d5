"""The probe Job: one Indexed Job a judgement, one pod a node, one JSON document a pod; gone when it has answered.

Kubernetes spreads the work (node affinity by host name, anti-affinity among the pods), so the device plugin accounts
for the GPUs that smoke payloads use: nothing is pinned by nodeName. The host's root is mounted read-only.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.kube import ApiError, Kube, Object, path
from knowngood.model import names
from knowngood.model.errors import DeadlineExceeded, Inconclusive, KnowngoodError
from knowngood.ports.clock import Cancel

PROBE_LABEL = f"{names.DOMAIN}/probe"
GPU = "nvidia.com/gpu"
HOST = "/host"
NO_IMAGE = "knowngood.invalid/probe:not-configured"
"""Where the cluster file names no probeImage: a real cluster can't pull it, and says so in the pod's status."""
DELETED_WITHIN = 60.0
AFTERLIFE = 600
"""Seconds after which Kubernetes deletes a finished Job that a killed run could not delete."""
STARTED_WITHIN = 120.0
"""Seconds after which a pod that is still Pending is not waited for: no room, no image."""
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What to probe. `gpus` a node when a payload computes on them, 0 for payloads that only read.

    `deadline` in seconds, from the Job's creation to the last answer.
    """

    run: str
    name: str  # the judgement's
    nodes: tuple[str, ...]
    payloads: tuple[str, ...]
    params: Mapping[str, Any]
    image: str
    gpus: int
    deadline: float
    namespace: str = names.NAMESPACE

    @property
    def job(self) -> str:
        """The Job's name."""
        return job_name(self.run, self.name)


def job_name(run: str, judgement: str) -> str:
    """The Job's name: the same for the same judgement, so that a repeated one finds what was left."""
    digest = hashlib.sha256(f"{run}\n{judgement}".encode()).hexdigest()
    return f"probe-{digest[:16]}"


@dataclass(frozen=True, slots=True)
class Answers:
    """The documents by node, why there is none by node, and why the Job could not be cleared away ("" if it was)."""

    documents: Mapping[str, Mapping[str, Any]]
    missing: Mapping[str, str] = field(default_factory=dict)
    leftover: str = ""


def run(kube: Kube, order: Order, cancel: Cancel) -> Answers:
    """Run the Job and take its answers; it is deleted, and its deletion verified, whatever happened.

    A node without an answer is in `missing`. Raises Interrupted when `cancel` is set, and KnowngoodError where the
    API server takes no Job at all.
    """
    if not order.nodes:
        return Answers({})
    left = remove(kube, order.namespace, order.job, cancel)
    if left:
        raise Inconclusive(f"an older probe Job can't be deleted: {left}", where=order.job)
    try:
        pods = _run(kube, order, cancel)
        documents, missing = _collect(kube, order, pods)
    finally:
        leftover = _remove_quietly(kube, order, cancel)
    return Answers(documents, missing, leftover)


def remove(kube: Kube, namespace: str, job: str, cancel: Cancel) -> str:
    """Delete a Job with its pods and wait until they are gone; returns what is still there, "" if nothing is."""
    where = path("batch/v1", "jobs", job, namespace)
    found = kube.find(where)
    if found is not None:
        kube.delete(where, uid=str(found["metadata"]["uid"]))

    def gone() -> bool:
        return kube.find(where) is None and not _pods(kube, namespace, job)

    try:
        SystemClock().wait_for(
            gone, deadline=DELETED_WITHIN, what=f"deletion of Job {namespace}/{job}", cancel=cancel
        )
    except DeadlineExceeded as error:
        return str(error)
    return ""


def manifest(order: Order) -> Object:
    """The Job object."""
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.RUN_LABEL: order.run, PROBE_LABEL: order.job}
    # Later than our own deadline, after which we still want to see why a pod did not run.
    deadline = math.ceil(order.deadline + DELETED_WITHIN)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": order.job, "namespace": order.namespace, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": len(order.nodes),
            "parallelism": len(order.nodes),
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            "ttlSecondsAfterFinished": AFTERLIFE,
            "template": {"metadata": {"labels": labels}, "spec": _pod_spec(order, labels)},
        },
    }


def _pod_spec(order: Order, labels: Mapping[str, str]) -> Object:
    hosts = {"key": "kubernetes.io/hostname", "operator": "In", "values": sorted(order.nodes)}
    others = {
        "labelSelector": {"matchLabels": {PROBE_LABEL: labels[PROBE_LABEL]}},
        "topologyKey": "kubernetes.io/hostname",
    }
    params = json.dumps(dict(order.params), sort_keys=True, separators=(",", ":"))
    command = ["python", "-m", "knowngood.probe", "run", *order.payloads, "--root", HOST, "--params", params]
    container: Object = {
        "name": "probe",
        "image": order.image or NO_IMAGE,
        "command": command,
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "volumeMounts": [{"name": "host", "mountPath": HOST, "readOnly": True}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsUser": 0,  # parts of the host's /sys are root's
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if order.gpus:
        container["resources"] = {"limits": {GPU: str(order.gpus)}, "requests": {GPU: str(order.gpus)}}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [hosts]}]
                }
            },
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [others]},
        },
        "tolerations": [
            {"key": key, "operator": "Exists", "effect": "NoSchedule"}
            for key in (
                "node.kubernetes.io/unschedulable",
                names.MAINTENANCE_TAINT,
                names.QUARANTINE_TAINT,
                GPU,
            )
        ],
        "containers": [container],
        "volumes": [{"name": "host", "hostPath": {"path": "/", "type": "Directory"}}],
    }


def _run(kube: Kube, order: Order, cancel: Cancel) -> list[Object]:
    """Create the Job and wait until every pod has ended, or the deadline; returns its pods."""
    try:
        kube.create(path("batch/v1", "jobs", "", order.namespace), manifest(order))
    except ApiError as error:
        if error.missing:
            raise Inconclusive(
                f"namespace {order.namespace} is missing on this cluster", hint="kubectl apply -k deploy/base"
            ) from error
        if error.code != 409:  # 409: our own create, whose answer was lost
            raise

    started = time.monotonic()

    def ended() -> list[Object] | None:
        job = kube.find(path("batch/v1", "jobs", order.job, order.namespace)) or {}
        pods = _pods(kube, order.namespace, order.job)
        over = any(
            c.get("type") in {"Complete", "Failed"} and c.get("status") == "True"
            for c in (job.get("status") or {}).get("conditions") or ()
        )
        phases = [_phase(p) for p in pods]
        done = len(pods) == len(order.nodes) and {*phases} <= {"Succeeded", "Failed"}
        stuck = "Running" not in phases and time.monotonic() - started > STARTED_WITHIN
        return pods or [{}] if over or not job or done or stuck else None

    try:
        return SystemClock().wait_for(
            ended, deadline=order.deadline, what=f"probe Job {order.job}", cancel=cancel
        )
    except DeadlineExceeded:
        return _pods(kube, order.namespace, order.job)


def _collect(
    kube: Kube, order: Order, pods: Sequence[Object]
) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
    documents: dict[str, Mapping[str, Any]] = {}
    missing: dict[str, str] = {}
    waiting = ""
    for pod in pods:
        node = (pod.get("spec") or {}).get("nodeName", "")
        if not node:
            waiting = _why(pod) if pod else waiting
        elif _phase(pod) != "Succeeded":
            missing[node] = f"the probe pod is {_phase(pod) or 'gone'}: {_why(pod)}"
        else:
            name = pod["metadata"]["name"]
            try:
                documents[node] = document(
                    kube.text(path("v1", "pods", name, order.namespace, "log"), container="probe"), node
                )
            except (KnowngoodError, ValueError) as error:
                missing[node] = f"the probe's answer can't be read: {error}"
    for node in order.nodes:
        if node not in documents:
            missing.setdefault(
                node, f"no probe pod ran within {order.deadline:.0f} s{waiting and ': '}{waiting}"
            )
    return documents, missing


def document(log: str, node: str) -> Mapping[str, Any]:
    """The probe's document: the last line of its log that is one. ValueError where there is none from `node`."""
    for line in reversed(log.split("\n")):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if (
            isinstance(found, dict)
            and found.get("schema") == SCHEMA
            and isinstance(found.get("results"), dict)
        ):
            if found.get("node") != node:
                raise ValueError(f"the document is of node {found.get('node')!r}")
            return found
    raise ValueError(f"no document in {len(log.splitlines())} lines: {log.strip()[-200:]!r}")


def _pods(kube: Kube, namespace: str, job: str) -> list[Object]:
    return kube.list(path("v1", "pods", "", namespace), labels=f"{PROBE_LABEL}={job}")


def _phase(pod: Mapping[str, Any]) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _why(pod: Mapping[str, Any]) -> str:
    """What the pod's status says about why it does not run, or why it ended."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        for kind in ("waiting", "terminated"):
            if reason := (state.get(kind) or {}).get("reason"):
                return f"{reason}: {(state[kind].get('message') or '').strip()[:200]}".rstrip(": ")
    for condition in status.get("conditions") or ():
        if condition.get("status") == "False" and condition.get("message"):
            return str(condition["message"])[:200]
    return str(status.get("message") or status.get("reason") or "no reason given")[:200]


def _remove_quietly(kube: Kube, order: Order, cancel: Cancel) -> str:
    try:
        # Not the caller's cancel: what was started is cleared away also when the judgement is called off.
        return remove(kube, order.namespace, order.job, Cancel() if cancel.is_set() else cancel)
    except KnowngoodError as error:
        return str(error)
