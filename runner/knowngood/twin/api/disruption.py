"""PodDisruptionBudgets: their status, and the evictions they refuse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from knowngood.twin.api import meta, selectors
from knowngood.twin.api.cluster import Actor, Cluster, Options, Outcome
from knowngood.twin.api.deletion import DeleteOptions, Deletion
from knowngood.twin.api.errors import ApiError, bad_request
from knowngood.twin.api.expected import NoScaleError, expected
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Stored
from knowngood.twin.values import Object

PODS = "/pods"
BUDGETS = "policy/poddisruptionbudgets"
CONTROLLER = Actor("system:serviceaccount:kube-system:disruption-controller", "kube-controller-manager")
# Told while a budget's status is behind its spec. A plain refusal carries no Retry-After, as upstream.
RETRY_AFTER_S = 10
_TWO_BUDGETS = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a PodDisruptionBudget amounts to at this moment; `failure`: why that can't be said, so that none may go."""

    expected: int
    desired: int
    healthy: int
    failure: str = ""

    @property
    def allowed(self) -> int:
        """How many pods may be evicted now."""
        return max(0, self.healthy - self.desired) if self.expected else 0


class Disruption:
    """The disruption controller and the eviction subresource of one cluster."""

    def __init__(self, cluster: Cluster, deletion: Deletion) -> None:
        self._cluster = cluster
        self._deletion = deletion

    def evict(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        eviction: Object,
        actor: Actor,
        options: Options,
    ) -> Outcome:
        """Delete the pod unless a budget says no: 429."""
        named = eviction.get("metadata", {}).get("name", name)
        if named != name:
            raise bad_request(f"name in URL does not match name in Eviction object: {named}")
        pod = self._cluster.find(resource, namespace, name)
        wishes = DeleteOptions.read(eviction.get("deleteOptions") or {}, options)
        if not _is_exempt(pod.obj):
            self._ask_budgets(pod.obj)
        return self._deletion.delete(resource, namespace, name, actor, wishes, verb="evict")

    def _ask_budgets(self, pod: Object) -> None:
        metadata = pod["metadata"]
        budgets = [
            one
            for one in self._cluster.store.items(BUDGETS, metadata["namespace"])
            if selectors.from_object(one.obj["spec"].get("selector"))(metadata.get("labels", {}))
        ]
        if len(budgets) > 1:
            raise ApiError(500, "", _TWO_BUDGETS)
        for stored in budgets:
            budget = self.measure(stored.obj)
            if meta.is_ready(pod) or stored.obj["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
                _check(stored.obj, budget, pod)

    def measure(self, pdb: Object) -> Budget:
        """Count the pods a budget is about."""
        namespace = pdb["metadata"].get("namespace", "")
        matches = selectors.from_object(pdb["spec"].get("selector"))
        pods = [
            one.obj
            for one in self._cluster.store.items(PODS, namespace)
            if matches(one.obj["metadata"].get("labels", {}))
            and one.obj.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
        ]
        healthy = sum(meta.is_ready(pod) and not meta.deleting(pod) for pod in pods)
        minimum, maximum = pdb["spec"].get("minAvailable"), pdb["spec"].get("maxUnavailable")
        if isinstance(minimum, int):
            return Budget(len(pods), minimum, healthy)
        try:
            total = expected(self._cluster, pods)
        except NoScaleError as error:
            return Budget(0, 0, healthy, str(error))
        if minimum is not None:
            return Budget(total, _share(minimum, total), healthy)
        out = maximum if isinstance(maximum, int) else _share(maximum or "0%", total)
        return Budget(total, max(0, total - out), healthy)

    def refresh(self, namespace: str) -> None:
        """Bring the status of a namespace's budgets up to date."""
        for stored in self._cluster.store.items(BUDGETS, namespace):
            if not meta.deleting(stored.obj):
                self._write_status(stored)

    def _write_status(self, stored: Stored) -> None:
        pdb: Object = json.loads(stored.encoded)
        budget = self.measure(pdb)
        status = pdb.setdefault("status", {})
        if not budget.failure:  # else nothing was counted, and it stays "being processed"
            status.update(
                observedGeneration=pdb["metadata"].get("generation", 1),
                currentHealthy=budget.healthy,
                desiredHealthy=budget.desired,
                expectedPods=budget.expected,
            )
        for name in ("currentHealthy", "desiredHealthy", "expectedPods"):
            status.setdefault(name, 0)
        status["disruptionsAllowed"] = budget.allowed
        status["conditions"] = [_condition(status, budget)]
        if pdb != stored.obj:
            self._cluster.store.put(BUDGETS, pdb)
            self._cluster.record("update", CONTROLLER, pdb, subresource="status")


def _condition(status: Object, budget: Budget) -> Object:
    verdict = "True" if budget.allowed else "False"
    reason = "SufficientPods" if budget.allowed else "InsufficientPods"
    if budget.failure:
        reason = "SyncFailed"
    known: Object = next(iter(status.get("conditions", ())), {})
    if (known.get("status"), known.get("reason")) == (verdict, reason):
        return known
    return {
        "type": "DisruptionAllowed",
        "status": verdict,
        "reason": reason,
        "message": budget.failure,
        "observedGeneration": status.get("observedGeneration", 0),
        "lastTransitionTime": meta.now(),
    }


def _is_exempt(pod: Object) -> bool:
    """Whether budgets have no say: the pod doesn't run yet, has ended or is going already."""
    return pod.get("status", {}).get("phase") in {"Pending", "Succeeded", "Failed"} or meta.deleting(pod)


def _check(pdb: Object, budget: Budget, pod: Object) -> None:
    if pdb.get("status", {}).get("observedGeneration", 0) < pdb["metadata"].get("generation", 1):
        text = f"The disruption budget {pdb['metadata']['name']} is still being processed by the server."
        raise _refused(pod, text, RETRY_AFTER_S)
    if not meta.is_ready(pod) and budget.desired > 0 and budget.healthy >= budget.desired:
        return  # evicting a pod that isn't healthy takes nothing away
    if budget.allowed > 0:
        return
    name = pdb["metadata"]["name"]
    raise _refused(
        pod,
        f"The disruption budget {name} needs {budget.desired} healthy pods and has {budget.healthy} currently",
    )


def _refused(pod: Object, why: str, retry_after: int = 0) -> ApiError:
    details: Object = {
        "name": pod["metadata"]["name"],
        "kind": "pods",
        "causes": [{"reason": "DisruptionBudget", "message": why}],
    }
    if retry_after:
        details["retryAfterSeconds"] = retry_after
    return ApiError(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        details=details,
        headers={"Retry-After": str(retry_after)} if retry_after else {},
    )


def _share(percentage: Any, total: int) -> int:
    """Return a percentage of the total, rounded up, as the disruption controller does."""
    text = str(percentage)
    if not text.endswith("%"):
        return int(text)
    return -(-int(text.removesuffix("%")) * total // 100)
