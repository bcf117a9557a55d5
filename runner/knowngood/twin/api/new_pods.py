"""What a pod must pass to come into being, beyond its own schema: its namespace's level, its account."""

from __future__ import annotations

from knowngood.twin.api.cluster import Cluster
from knowngood.twin.api.errors import forbidden
from knowngood.twin.api.pod_security import ENFORCE, violations
from knowngood.twin.values import Object

PODS = "/pods"


def check(cluster: Cluster, pod: Object) -> None:
    """Refuse a pod that its namespace's PodSecurity level forbids, or whose service account isn't there: 403."""
    metadata = pod["metadata"]
    namespace = metadata["namespace"]
    holder = cluster.store.get("/namespaces", "", namespace)
    labels = (holder.obj["metadata"].get("labels") or {}) if holder else {}
    level = labels.get(ENFORCE, "")
    if found := violations(level, pod["spec"]):
        version = labels.get(f"{ENFORCE}-version", "latest")
        why = f'violates PodSecurity "{level}:{version}": {", ".join(found)}'
        raise forbidden("pods", "", metadata["name"], why)
    account = pod["spec"]["serviceAccountName"]
    if cluster.store.get("/serviceaccounts", namespace, account) is None:
        why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        raise forbidden("pods", "", metadata["name"], why)
