"""The authorizer: what Roles, ClusterRoles and their bindings allow whom. Nothing is allowed but by a rule.

Rules are kept for each (user, groups, namespace) until a role or a binding changes, so that a request costs a walk
over a handful of rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from knowngood.twin.api import selectors
from knowngood.twin.api.attributes import Attributes, of_request
from knowngood.twin.api.cluster import Actor, Cluster
from knowngood.twin.api.errors import ApiError, forbidden, forbidden_path
from knowngood.twin.api.store import Change
from knowngood.twin.values import Object

Subject = tuple[str, str]  # "User" or "Group", and its name
Reference = tuple[str, Object]  # the binding's namespace ("" is everywhere) and its roleRef

GROUP = "rbac.authorization.k8s.io"
ROLES, CLUSTER_ROLES = f"{GROUP}/roles", f"{GROUP}/clusterroles"
BINDINGS, CLUSTER_BINDINGS = f"{GROUP}/rolebindings", f"{GROUP}/clusterrolebindings"
MASTERS = "system:masters"
SERVICE_ACCOUNT = "system:serviceaccount:"
_EVERYTHING: Object = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
_EVERY_PATH: Object = {"verbs": ["*"], "nonResourceURLs": ["*"]}


class Authorizer:
    """Says yes or no to acts on one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._store = cluster.store
        self._bindings: dict[Subject, list[Reference]] | None = None
        self._rules: dict[tuple[str, tuple[str, ...], str], list[Object]] = {}
        for key in (ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS):
            cluster.store.subscribe(self._forget, key)

    def check(self, actor: Actor, wanted: Attributes) -> None:
        """Return where a rule allows it; 403 where none does."""
        if not self.allows(actor, wanted):
            raise refusal(actor, wanted)

    def check_request(self, actor: Actor, method: str, path: str, query: Mapping[str, str]) -> None:
        """The same for what a request asks."""
        if MASTERS not in actor.groups:
            self.check(actor, of_request(method, path, query))

    def allows(self, actor: Actor, wanted: Attributes) -> bool:
        """Whether a rule allows it."""
        if MASTERS in actor.groups:
            return True
        return any(covers(rule, wanted) for rule in self.rules(actor, wanted.namespace))

    def rules(self, actor: Actor, namespace: str) -> list[Object]:
        """Return the rules that hold for somebody in a namespace: from cluster-wide and from its own bindings."""
        if MASTERS in actor.groups:
            return [_EVERYTHING, _EVERY_PATH]
        key = (actor.user, actor.groups, namespace)
        if key not in self._rules:
            self._rules[key] = list(self._gather(actor, namespace))
        return self._rules[key]

    def role(self, namespace: str, reference: Object) -> list[Object] | None:
        """Return the rules of the role that a binding in the namespace names; None where there is no such role."""
        clusterwide = reference["kind"] == "ClusterRole"
        key, space = (CLUSTER_ROLES, "") if clusterwide else (ROLES, namespace)
        found = self._store.get(key, space, reference["name"])
        if found is None:
            return None
        rules: list[Object] = found.obj.get("rules") or []
        for selector in (found.obj.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            matches = selectors.from_object(selector)
            for one in self._store.items(CLUSTER_ROLES):
                if matches(one.obj["metadata"].get("labels") or {}):
                    rules = rules + (one.obj.get("rules") or [])
        return rules

    def _gather(self, actor: Actor, namespace: str) -> Iterator[Object]:
        if self._bindings is None:
            self._bindings = self._index()
        for subject in (("User", actor.user), *(("Group", group) for group in actor.groups)):
            for space, reference in self._bindings.get(subject, ()):
                if space in {"", namespace}:
                    yield from self.role(space, reference) or ()

    def _index(self) -> dict[Subject, list[Reference]]:
        found: dict[Subject, list[Reference]] = {}
        for key in (CLUSTER_BINDINGS, BINDINGS):
            for binding in self._store.items(key):
                space = binding.obj["metadata"].get("namespace", "")
                for subject in binding.obj.get("subjects") or ():
                    found.setdefault(_subject(subject), []).append((space, binding.obj["roleRef"]))
        return found

    def _forget(self, _change: Change) -> None:
        self._bindings = None
        self._rules.clear()


def refusal(actor: Actor, wanted: Attributes) -> ApiError:
    """No rule allows this."""
    why = f'User "{actor.user}" {wanted.sentence()}'
    if wanted.path:
        return forbidden_path(why)
    return forbidden(wanted.resource, wanted.group, wanted.name, why)


def covers(rule: Object, wanted: Attributes) -> bool:
    """Whether one rule allows one act."""
    if not _has(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(_is_path(one, wanted.path) for one in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _has(rule.get("apiGroups"), wanted.group)
        and _has_resource(rule.get("resources") or (), wanted)
        and (not names or wanted.name in names)
    )


def _has(listed: Iterable[str] | None, value: str) -> bool:
    return any(one in {"*", value} for one in listed or ())


def _has_resource(listed: Iterable[str], wanted: Attributes) -> bool:
    """`*` is every resource and subresource, `*/scale` that subresource of each."""
    accepted = {"*", wanted.what}
    if wanted.subresource:
        accepted.add(f"*/{wanted.subresource}")
    return any(one in accepted for one in listed)


def _is_path(rule: str, path: str) -> bool:
    return rule in {"*", path} or (rule.endswith("*") and path.startswith(rule[:-1]))


def _subject(subject: Object) -> Subject:
    if subject["kind"] == "ServiceAccount":
        return "User", f"{SERVICE_ACCOUNT}{subject.get('namespace', '')}:{subject['name']}"
    return subject["kind"], subject["name"]
