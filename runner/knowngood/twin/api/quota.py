"""ResourceQuotas: what a namespace holds, may hold, and is refused.

Counted live, for pods (their number and what they ask for) and for objects of any kind. Quotas with scopes are left
alone: nothing here needs them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal

from knowngood.twin.api.cluster import Actor, Cluster
from knowngood.twin.api.errors import ApiError, forbidden
from knowngood.twin.api.quantities import parse, show
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.values import Object, Values

Usage = dict[str, Decimal]

QUOTAS, PODS = "/resourcequotas", "/pods"
CONTROLLER = Actor("system:serviceaccount:kube-system:resourcequota-controller", "kube-controller-manager")
_ENDED = frozenset({"Succeeded", "Failed"})
_COMPUTE = frozenset({"cpu", "memory"})
_COUNTED = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
    }
)


class Quotas:
    """The quotas of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def check(self, resource: ResourceType, obj: Object) -> None:
        """Refuse a new object that a quota of its namespace has no room for: 403."""
        namespace = obj["metadata"].get("namespace", "")
        for stored in self._cluster.store.items(QUOTAS, namespace) if namespace else ():
            hard = _hard(stored.obj)
            name = stored.obj["metadata"]["name"]
            if resource.key == PODS and (silent := _silent(obj["spec"], hard)):
                raise _refusal(resource, obj, f"failed quota: {name}: must specify {silent}")
            asked = {
                what: amount for what, amount in _asked(resource, obj).items() if what in hard and amount
            }
            if not asked:
                continue
            used = self.used(namespace, hard)
            over = sorted(what for what in asked if used[what] + asked[what] > parse(hard[what]))
            if over:
                shown = [
                    ",".join(f"{what}={show(amounts[what], hard[what])}" for what in over)
                    for amounts in (asked, used, {what: parse(hard[what]) for what in over})
                ]
                why = f"exceeded quota: {name}, requested: {shown[0]}, used: {shown[1]}, limited: {shown[2]}"
                raise _refusal(resource, obj, why)

    def used(self, namespace: str, hard: Values) -> Usage:
        """Return how much of what the quota limits is there."""
        total: Usage = defaultdict(Decimal)
        for resource in self._cluster.resources.stored():
            if resource.namespaced and (resource.key == PODS or set(_names(resource)) & set(hard)):
                for stored in self._cluster.store.items(resource.key, namespace):
                    for what, amount in _asked(resource, stored.obj).items():
                        total[what] += amount
        return {what: total[what] for what in hard}

    def refresh(self, namespace: str) -> None:
        """Bring the status of a namespace's quotas up to date."""
        for stored in self._cluster.store.items(QUOTAS, namespace):
            hard = _hard(stored.obj)
            used = self.used(namespace, hard)
            status = {"hard": dict(hard), "used": {what: show(used[what], hard[what]) for what in hard}}
            if stored.obj.get("status") != status:
                obj: Object = {**json.loads(stored.encoded), "status": status}
                self._cluster.store.put(QUOTAS, obj)
                self._cluster.record("update", CONTROLLER, obj, subresource="status")


def _refusal(resource: ResourceType, obj: Object, why: str) -> ApiError:
    return forbidden(resource.plural, resource.group, obj["metadata"]["name"], why)


def _hard(quota: Object) -> Values:
    spec = quota.get("spec", {})
    found: Values = {} if spec.get("scopes") or spec.get("scopeSelector") else spec.get("hard") or {}
    return found


def _names(resource: ResourceType) -> list[str]:
    """What quotas call the number of objects of a kind."""
    full = f"count/{resource.plural}{'.' * bool(resource.group)}{resource.group}"
    return [full, resource.plural] if not resource.group and resource.plural in _COUNTED else [full]


def _asked(resource: ResourceType, obj: Object) -> Usage:
    found: Usage = dict.fromkeys(_names(resource), Decimal(1))
    if resource.key == PODS and obj.get("status", {}).get("phase") not in _ENDED:
        found["pods"] = Decimal(1)
        for kind in ("requests", "limits"):
            for what, amount in _total(obj["spec"], kind).items():
                found[f"{kind}.{what}"] = amount
                if kind == "requests" and what in _COMPUTE:
                    found[what] = amount
    return found


def _total(spec: Object, kind: str) -> Usage:
    """Add up what the containers ask for; init containers run before them, one after the other."""
    total: Usage = {}
    for container in spec.get("containers") or ():
        for what, amount in ((container.get("resources") or {}).get(kind) or {}).items():
            total[what] = total.get(what, Decimal(0)) + parse(amount)
    for container in spec.get("initContainers") or ():
        for what, amount in ((container.get("resources") or {}).get(kind) or {}).items():
            total[what] = max(total.get(what, Decimal(0)), parse(amount))
    return total


def _silent(spec: Object, hard: Values) -> str:
    """What a quota limits and a container doesn't say."""
    found = []
    for what in sorted(hard):
        kind, _, resource = what.rpartition(".")
        kind = kind or "requests"
        if resource in _COMPUTE and kind in {"requests", "limits"}:
            names = [
                one["name"]
                for one in spec.get("containers") or ()
                if resource not in ((one.get("resources") or {}).get(kind) or {})
            ]
            found += [f"{what} for: {','.join(names)}"] if names else []
    return "; ".join(found)
