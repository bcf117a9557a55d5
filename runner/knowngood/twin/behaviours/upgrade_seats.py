"""How far each node is in an automatic driver upgrade, and how many may begin. Pure; `driver_upgrade` acts on it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from knowngood.twin.behaviours.census import HASH_LABEL
from knowngood.twin.behaviours.kube import (
    GPU,
    controller_of,
    deleting,
    is_true,
    labels_of,
    name_of,
    node_of,
    requests,
)
from knowngood.twin.values import Object

STATE_LABEL = "nvidia.com/gpu-driver-upgrade-state"
ENABLED = "nvidia.com/gpu-driver-upgrade-enabled"
CORDONED_BEFORE = "nvidia.com/gpu-driver-upgrade.node-initial-state.unschedulable"
VALIDATING_SINCE = "nvidia.com/gpu-driver-upgrade-validation-start-time"
DONE, REQUIRED, CORDON, JOBS = "upgrade-done", "upgrade-required", "cordon-required", "wait-for-jobs-required"
PODS, RESTART, VALIDATION = "pod-deletion-required", "pod-restart-required", "validation-required"
UNCORDON, FAILED = "uncordon-required", "upgrade-failed"
RESTARTS = 10  # of a driver's container, after which its pod counts as failing


@dataclass(frozen=True, slots=True)
class Seat:
    """A node with its driver pod. newest: the revision that the pod should be of."""

    node: Object
    pod: Object
    newest: str

    @property
    def name(self) -> str:
        """The node's name."""
        return name_of(self.node)

    @property
    def state(self) -> str:
        """How far it is."""
        return labels_of(self.node).get(STATE_LABEL, "")

    @property
    def current(self) -> bool:
        """Whether the pod is of the newest template."""
        return labels_of(self.pod).get(HASH_LABEL) == self.newest and not deleting(self.pod)

    @property
    def cordoned(self) -> bool:
        """Whether anybody has cordoned it."""
        return bool(self.node["spec"].get("unschedulable"))


def automatic(policies: Iterable[Object], drivers: Iterable[Object]) -> Iterable[tuple[str, Object]]:
    """NVIDIADriver -> its upgradePolicy, "" for the ClusterPolicy's own driver; those that are on."""
    policy = next((one for one in policies if not deleting(one)), None)
    if policy is None:
        return
    own = policy["spec"].get("driver") or {}
    if not own.get("useNvidiaDriverCRD"):
        if (own.get("upgradePolicy") or {}).get("autoUpgrade"):
            yield "", own["upgradePolicy"]
        return
    for driver in drivers:
        how = driver["spec"].get("upgradePolicy") or {}
        if how.get("autoUpgrade", True) and not deleting(driver):
            yield name_of(driver), how


def complete(daemon_set: Object, pods: Collection[Object]) -> bool:
    """Whether each node that should have a pod of it has one; its upgrade controller looks at nothing until then.

    So a node between two pods keeps its place in the count of those at work. Source: k8s-operator-libs,
    pkg/upgrade, BuildState ("driver DaemonSet should not have Unscheduled pods"). There a pod without a node is
    passed over; here it is waited for, or the order of upgrades would be luck.
    """
    wanted = (daemon_set.get("status") or {}).get("desiredNumberScheduled", 0)
    return len(pods) == wanted and all(node_of(pod) for pod in pods)


def slots(seats: list[Seat], policy: Object) -> int:
    """How many nodes may begin: as many at a time as the policy says, and as long as enough are available."""
    busy = sum(seat.state not in {"", DONE, REQUIRED} for seat in seats)
    parallel = int(policy.get("maxParallelUpgrades", 1)) or len(seats)
    share = str(policy.get("maxUnavailable", "25%"))
    most = math.ceil(len(seats) * int(share[:-1]) / 100) if share.endswith("%") else int(share)
    away = sum(seat.cordoned or not is_true(seat.node, "Ready") for seat in seats)
    return min(parallel - busy, most - away)


def uses_gpus(pod: Object) -> bool:
    """Whether a pod holds GPUs and is none of a DaemonSet's."""
    owner = controller_of(pod)
    return GPU in requests(pod["spec"]) and (owner is None or owner["kind"] != "DaemonSet")


def failing(pod: Object) -> bool:
    """Whether a driver pod is given up: a container of it keeps crashing."""
    status = pod.get("status") or {}
    entries = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return any(not entry.get("ready") and entry.get("restartCount", 0) > RESTARTS for entry in entries)
