"""A run as a Job of the cluster that it moves: a team's manifest, and what a run adds to it. Pure.

Whoever is evicted did nothing wrong: its pod is made anew, once it has ended, and goes on with the run. A pod that ends
by itself ends the Job (podFailurePolicy and the pod condition DisruptionTarget: Kubernetes 1.31, beta from 1.26 on).

The team says where it comes from (an image by digest), with what it reads and writes (Secrets by name) and how its
matrix is had. A run adds which plan it goes by, under which name, and that it stays off the nodes that it moves.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from knowngood.model import names
from knowngood.model.matrix import Cluster
from knowngood.model.plan import Plan
from knowngood.model.values import Object

RUN_ID = "KNOWNGOOD_RUN_ID"
"""Environment by which a run takes the name that whoever started it follows it by."""
PLAN, PLAN_AT, PLAN_KEY = "knowngood-plan", "/knowngood/plan", "plan.json"
"""Volume, folder and file of the kept plan in its pod."""
PLATFORM = "cluster-version"
"""The class whose moves reach every node."""
_BY_DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
SECRETIVE = re.compile(r"token|password|passwd|secret|credential|api.?key", re.IGNORECASE)


def refusals(job: Object) -> Iterator[str]:
    """Why a manifest is none that a run could be made of; nothing where it is."""
    if (job.get("apiVersion"), job.get("kind")) != ("batch/v1", "Job"):
        yield "it is no Job of batch/v1"
        return
    pod = ((job.get("spec") or {}).get("template") or {}).get("spec") or {}
    containers = pod.get("containers") or []
    if len(containers) != 1:
        yield f"it has {len(containers)} containers, a run is one"
    for one in (*containers, *(pod.get("initContainers") or ())):
        called = f"container {one.get('name', '')}"
        if not _BY_DIGEST.fullmatch(str(one.get("image", ""))):
            yield f"{called}: image {one.get('image') or 'none'} is not pinned by its digest"
        for variable in one.get("env") or ():
            if SECRETIVE.search(str(variable.get("name", ""))) and "value" in variable:
                yield f"{called}: {variable['name']} stands there as a value; name a Secret (valueFrom.secretKeyRef)"
    if pod.get("restartPolicy") != "Never":
        yield "restartPolicy is not Never: only an evicted pod is made anew, which looks first who is at work"
    if not pod.get("serviceAccountName"):
        yield "it names no serviceAccountName, so it may do nothing"
    if pod.get("nodeName"):
        yield "nodeName pins it to a node that the run may have to boot"


def filled(job: Object, run: str, words: Sequence[str], nodes: Collection[str]) -> Object:
    """The Job of one run: `words` are knowngood's arguments, `nodes` those on which it must not stand."""
    made = copy.deepcopy(job)
    metadata = made.setdefault("metadata", {})
    metadata["name"], metadata["namespace"] = called(run), names.NAMESPACE
    metadata.pop("generateName", None)
    metadata["labels"] = {**(metadata.get("labels") or {}), names.RUN_LABEL: run}
    made["spec"]["backoffLimit"] = 0
    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    made["spec"] |= {"podFailurePolicy": {"rules": [evicted]}, "podReplacementPolicy": "Failed"}
    template = made["spec"]["template"]
    labels = template.setdefault("metadata", {}).get("labels") or {}
    template["metadata"]["labels"] = {**labels, names.RUN_LABEL: run}
    pod = template["spec"]
    (container,) = pod["containers"]
    container["args"] = [*(container.get("args") or ()), *words]
    env = [e for e in container.get("env") or () if e.get("name") != RUN_ID]
    container["env"] = [*env, {"name": RUN_ID, "value": run}]
    mounts = container.get("volumeMounts") or []
    container["volumeMounts"] = [*mounts, {"name": PLAN, "mountPath": PLAN_AT, "readOnly": True}]
    pod["volumes"] = [*(pod.get("volumes") or ()), {"name": PLAN, "configMap": {"name": called(run)}}]
    _off(pod, nodes)
    return made


def moved(plan: Plan, cluster: Cluster) -> tuple[str, ...]:
    """The nodes that a run takes out or disturbs: all with GPUs, and all that a ring has."""
    return tuple(sorted({*cluster.gpu, *plan.nodes}))


def moves_all(plan: Plan) -> bool:
    """Whether nodes move that no ring has: a release of the platform boots the control plane and every other pool."""
    return any(
        spec.kind == PLATFORM
        for hop in plan.hops
        for move in hop.moves
        if (spec := plan.movers.get(move.component)) is not None
    )


def called(run: str) -> str:
    """The name of a run's Job, and of the ConfigMap that holds its plan."""
    return f"knowngood-run-{run}"


def plan_object(run: str, text: str, owner: Mapping[str, str]) -> Object:
    """The ConfigMap with the kept plan; it goes with its Job, `owner` (name and uid)."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": called(run),
            "namespace": names.NAMESPACE,
            "labels": {f"{names.DOMAIN}/plan-of": run},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", **owner}],
        },
        "immutable": True,
        "data": {PLAN_KEY: text},
    }


def _off(pod: Object, nodes: Collection[str]) -> None:
    """Keep it off these nodes, by name: a label may be anything; each term of the team's own holds as before."""
    away = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in sorted(nodes)]
    affinity = pod.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    required = affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = required.get("nodeSelectorTerms") or [{}]
    required["nodeSelectorTerms"] = [
        {**term, "matchFields": [*(term.get("matchFields") or ()), *away]} for term in terms
    ]
