"""What a probe asks of Kubernetes: one Job a node, that can run on this node only.

The scheduler places the pod (required node affinity on the node's own name), so the device plugin accounts for the
GPUs that smoke payloads use: nothing is pinned by nodeName. Anti-affinity would not do: it forgets a pod that has
ended, and then two probes run on one node and none on another.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from knowngood.adapters.judging.probe_pod import HOST, asked, attached, spec
from knowngood.adapters.kubernetes.client import Object
from knowngood.model import names
from knowngood.model.probe_pod import PodNeeds, PodSite, PodStorage
from knowngood.model.values import Values

PROBE_LABEL = f"{names.DOMAIN}/probe"
"""On Jobs and pods: the judgement's name among probes, so that one list finds them all."""
PART_LABEL = f"{names.DOMAIN}/probe-part"
"""On Jobs: which of the judgement's parts it belongs to. A part is deleted at once, when all of it has answered."""
NODE_ANNOTATION = f"{names.DOMAIN}/probed-node"
"""On Jobs and pods: the node that is meant. A label's value would be too short for some names."""
ANSWER = "/dev/termination-log"
"""Where a container leaves its last words: the kubelet puts them into the pod's status, so nobody asks for the log."""
NO_IMAGE = "knowngood.invalid/probe:not-configured"
"""Where the cluster file names no probeImage: a real cluster can't pull it, and says so in the pod's status."""
DELETED_WITHIN = 60.0
COMPUTING_SHARE = 0.75
"""Share of a probe's deadline that its payloads may take; the rest is for placing it, its image and its answer."""
AFTERLIFE = 600
"""Seconds after which Kubernetes deletes a finished Job that a killed run could not delete."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one node's probe is told and takes: `gpus` when a payload computes on them, 0 where all only read."""

    params: Values = field(default_factory=dict)
    gpus: int = 0
    needs: PodNeeds = field(default_factory=PodNeeds)
    storage: PodStorage | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What to probe; `own` is each node's share. `deadline` in seconds, from the first Job to the last answer.

    `pull`: seconds more while only an image is waited for.
    """

    run: str
    name: str  # the judgement's
    nodes: tuple[str, ...]
    payloads: tuple[str, ...]
    image: str
    deadline: float
    namespace: str = names.NAMESPACE
    site: PodSite = field(default_factory=PodSite)
    own: Mapping[str, Share] = field(default_factory=dict)
    pull: float = 0.0
    together: bool = False  # its probes meet: all are on their way at once, and find each other by name

    @property
    def each(self) -> int:
        """Seconds for each payload: what is left of the deadline when the pod was placed and its image is there."""
        return max(1, int(self.deadline * COMPUTING_SHARE / max(1, len(self.payloads))))

    @property
    def group(self) -> str:
        """What all its Jobs have in common: their label, and the beginning of their names."""
        return group_name(self.run, self.name)

    def name_of(self, node: str) -> str:
        """The name by which the others find the probe of a node, where they meet."""
        return f"{host_name(node)}.{self.group}.{self.namespace}.svc"


def fabric_name(judgement: str) -> str:
    """The name of a judgement's meeting: its probes are Jobs of their own, after those that compute alone."""
    return f"{judgement}/fabric"


def host_name(node: str) -> str:
    """The host name of a node's probe: the same each time, and short whatever the node is called."""
    return f"n-{hashlib.sha256(node.encode()).hexdigest()[:10]}"


def group_name(run: str, judgement: str) -> str:
    """A judgement's name among probes: the same each time, so that a repeated one finds what was left."""
    digest = hashlib.sha256(f"{run}\n{judgement}".encode()).hexdigest()
    return f"probe-{digest[:16]}"


def job_name(group: str, node: str) -> str:
    """The name of a node's Job: the same each time."""
    return f"{group}-{hashlib.sha256(node.encode()).hexdigest()[:10]}"


def is_of(group: str, job: str) -> bool:
    """Whether a Job of this name belongs to the judgement of this name among probes."""
    return job.startswith(f"{group}-")


def manifest(order: Order, node: str, part: int = 0) -> Object:
    """The Job that probes `node`."""
    own = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.RUN_LABEL: order.run, PROBE_LABEL: order.group}
    share = order.own.get(node, Share())
    labels, want = (
        {**order.site.labels, **own},
        replace(asked(share.needs, share.gpus), storage=share.storage),
    )
    meant = {NODE_ANNOTATION: node}
    # Later than our own deadline, after which we still want to see why a pod did not run.
    deadline = math.ceil(order.deadline + order.pull + DELETED_WITHIN)
    name = job_name(order.group, node)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": order.namespace,
            "labels": {**labels, PART_LABEL: str(part)},
            "annotations": meant,
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            "ttlSecondsAfterFinished": AFTERLIFE,
            "template": {
                "metadata": {"labels": labels, "annotations": {**meant, **attached(want)}},
                "spec": {
                    **_found(order, node),
                    **spec(node, order.site, want, _container(order, share.params)),
                },
            },
        },
    }


def _found(order: Order, node: str) -> Object:
    """How a pod is found by name: by the headless Service of its group (gang.py)."""
    return {"hostname": host_name(node), "subdomain": order.group} if order.together else {}


def _container(order: Order, told: Values) -> Object:
    params = json.dumps(dict(told), sort_keys=True, separators=(",", ":"))
    return {
        "name": "probe",
        "image": order.image or NO_IMAGE,
        "command": [
            *("python", "-m", "knowngood.probe", "run", *order.payloads),
            *("--root", HOST, "--params", params, "--deadline", str(order.each), "--answer", ANSWER),
        ],
    }
