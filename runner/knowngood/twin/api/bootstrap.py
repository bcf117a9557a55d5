"""The roles that every API server starts with, as far as anybody here asks for them."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.twin.api.rbac import GROUP, MASTERS
from knowngood.twin.values import Object

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_READS = ["get", "list", "watch"]
_WRITES = ["create", "delete", "deletecollection", "patch", "update"]
_HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]
_WORKLOADS = {
    "": ["configmaps", "endpoints", "persistentvolumeclaims", "pods", "replicationcontrollers", "services"],
    "apps": ["daemonsets", "deployments", "replicasets", "statefulsets"],
    "batch": ["cronjobs", "jobs"],
    "policy": ["poddisruptionbudgets"],
    "networking.k8s.io": ["networkpolicies"],
}
_VIEWED = {
    "": [
        "events",
        "limitranges",
        "namespaces",
        "pods/log",
        "pods/status",
        "resourcequotas",
        "serviceaccounts",
    ],
    "apps": ["controllerrevisions"],
}
_EDITED = {"": ["pods/eviction", "pods/exec", "secrets", "serviceaccounts"]}


def roles() -> Iterator[Object]:
    """Yield the ClusterRoles and their bindings."""
    yield _role("cluster-admin", _rule(["*"], "*", ["*"]), {"verbs": ["*"], "nonResourceURLs": ["*"]})
    yield _binding("cluster-admin", MASTERS)
    yield _role("system:discovery", _paths([*_HEALTH, *_DISCOVERY]))
    yield _binding("system:discovery", AUTHENTICATED)
    yield _role("system:public-info-viewer", _paths(_HEALTH))
    yield _binding("system:public-info-viewer", AUTHENTICATED, UNAUTHENTICATED)
    yield _role(
        "system:basic-user",
        _rule(["create"], "authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        _rule(["create"], "authentication.k8s.io", ["selfsubjectreviews"]),
    )
    yield _binding("system:basic-user", AUTHENTICATED)
    viewed = [_rule(_READS, group, names) for group, names in (*_WORKLOADS.items(), *_VIEWED.items())]
    edited = [_rule(_WRITES, group, names) for group, names in _WORKLOADS.items()]
    edited += [_rule([*_READS, *_WRITES], group, names) for group, names in _EDITED.items()]
    owned = _rule([*_READS, *_WRITES], GROUP, ["roles", "rolebindings"])
    yield _aggregated("view", viewed)
    yield _aggregated("edit", viewed + edited)
    yield _aggregated("admin", [*viewed, *edited, owned])


def _rule(verbs: list[str], group: str, resources: list[str]) -> Object:
    return {"verbs": verbs, "apiGroups": [group], "resources": resources}


def _paths(paths: list[str]) -> Object:
    return {"verbs": ["get"], "nonResourceURLs": paths}


def _role(name: str, *rules: Object) -> Object:
    metadata = {"name": name, "labels": dict(_LABELS)}
    return {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": list(rules)}


def _aggregated(name: str, rules: list[Object]) -> Object:
    """A role for people, which takes in what operators label for it."""
    label = {f"{GROUP}/aggregate-to-{name}": "true"}
    return {**_role(name, *rules), "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]}}


def _binding(role: str, *groups: str) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": role, "labels": dict(_LABELS)},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
    }
