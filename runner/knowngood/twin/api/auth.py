"""Bearer tokens, the reviews that say who one is and what one may do, and RBAC for service accounts."""

from __future__ import annotations

import secrets
from typing import Any

from knowngood.twin.api import meta
from knowngood.twin.api.cluster import Actor, Cluster
from knowngood.twin.api.errors import forbidden, unauthorized
from knowngood.twin.api.requests import Target

Object = dict[str, Any]

ADMIN = "admin"
_MASTERS, _AUTHENTICATED = "system:masters", "system:authenticated"
_TOKEN_LIFETIME_S = 3600
_SERVICE_ACCOUNT = "system:serviceaccount:"
_OWN_REVIEWS = frozenset({"SelfSubjectReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview"})
"""What everybody may ask about themselves (system:basic-user)."""


class Tokens:
    """Who holds which token. All tokens are made here and end with the process."""

    def __init__(self) -> None:
        self._users: dict[str, Actor] = {}

    def issue(self, user: str) -> str:
        """Return a new token for a user; `admin` may do everything."""
        token = secrets.token_urlsafe(32)
        self._users[token] = Actor(user, groups=_groups(user))
        return token

    def identify(self, header: str) -> Actor:
        """Return whose Authorization header this is. 401 for any other."""
        scheme, _, token = header.partition(" ")
        actor = self._users.get(token.strip()) if scheme.lower() == "bearer" else None
        if actor is None:
            raise unauthorized()
        return actor

    def review(self, token: str) -> Actor | None:
        """Return whose token this is, or None."""
        return self._users.get(token)

    def request(self, namespace: str, account: str, body: Object) -> Object:
        """Answer a TokenRequest for a service account."""
        spec = body["spec"] = body.get("spec") or {}
        seconds = spec["expirationSeconds"] = spec.get("expirationSeconds") or _TOKEN_LIFETIME_S
        token = self.issue(f"{_SERVICE_ACCOUNT}{namespace}:{account}")
        body["status"] = {"token": token, "expirationTimestamp": meta.later(seconds)}
        return body


def _groups(user: str) -> tuple[str, ...]:
    """The groups that a real API server puts a user in."""
    if user == ADMIN:
        return _MASTERS, _AUTHENTICATED
    if user.startswith(_SERVICE_ACCOUNT):
        namespace = user.removeprefix(_SERVICE_ACCOUNT).partition(":")[0]
        return "system:serviceaccounts", f"system:serviceaccounts:{namespace}", _AUTHENTICATED
    return (_AUTHENTICATED,)


def answer_review(cluster: Cluster, tokens: Tokens, body: Object, actor: Actor) -> Object:
    """Fill the status of a review: who is asking, and whether they may. Reviews are never kept."""
    spec = body.get("spec") or {}
    body.setdefault("metadata", {})
    match body["kind"]:
        case "SelfSubjectReview":
            body["status"] = {"userInfo": _user_info(actor)}
        case "TokenReview":
            found = tokens.review(spec.get("token", ""))
            status: Object = {"authenticated": found is not None}
            body["status"] = status | ({"user": _user_info(found)} if found else {})
        case "SelfSubjectRulesReview":
            body["status"] = {
                "resourceRules": _rules(cluster, actor, spec.get("namespace", "")),
                "nonResourceRules": [],
                "incomplete": False,
            }
        case "SubjectAccessReview":
            asked = Actor(spec.get("user", ""), groups=tuple(spec.get("groups") or ()))
            body["status"] = _access(cluster, asked, spec)
        case _:
            body["status"] = _access(cluster, actor, spec)
    return body


def allow(cluster: Cluster, actor: Actor, verb: str, target: Target) -> None:
    """Refuse what no role grants a service account, as RBAC does. People may do everything here, as they say."""
    if not actor.user.startswith(_SERVICE_ACCOUNT) or target.resource.kind in _OWN_REVIEWS:
        return
    resource = target.resource
    wanted = {"verb": verb, "group": resource.group, "resource": resource.plural, "name": target.name}
    wanted |= {"subresource": target.subresource, "namespace": target.namespace}
    if not _access(cluster, actor, {"resourceAttributes": wanted})["allowed"]:
        where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
        what = f"{resource.plural}{'/' * bool(target.subresource)}{target.subresource}"
        why = f'User "{actor.user}" cannot {verb} resource "{what}" in API group "{resource.group}" {where}'
        raise forbidden(resource.plural, resource.group, target.name, why)


def _user_info(actor: Actor) -> Object:
    return {"username": actor.user, "groups": list(actor.groups)}


def _access(cluster: Cluster, actor: Actor, spec: Object) -> Object:
    wanted = spec.get("resourceAttributes")
    if wanted is None:
        path = (spec.get("nonResourceAttributes") or {}).get("path", "")
        return {"allowed": _MASTERS in actor.groups or path.startswith(("/healthz", "/readyz", "/version"))}
    rules = _rules(cluster, actor, wanted.get("namespace", ""))
    if any(_covers(rule, wanted) for rule in rules):
        return {"allowed": True}
    return {"allowed": False, "reason": f"no RBAC rule allows {actor.user} to do that"}


def _rules(cluster: Cluster, actor: Actor, namespace: str) -> list[Object]:
    """Return the rules that hold for somebody in a namespace: from cluster-wide and from its own bindings."""
    if _MASTERS in actor.groups:
        return [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    bindings = cluster.store.items("rbac.authorization.k8s.io/clusterrolebindings")
    if namespace:
        bindings = bindings + cluster.store.items("rbac.authorization.k8s.io/rolebindings", namespace)
    rules: list[Object] = []
    for binding in bindings:
        if any(_is_subject(one, actor) for one in binding.obj.get("subjects") or ()):
            reference = binding.obj["roleRef"]
            clusterwide = reference["kind"] == "ClusterRole"
            key = "rbac.authorization.k8s.io/" + ("clusterroles" if clusterwide else "roles")
            role = cluster.store.get(key, "" if clusterwide else namespace, reference["name"])
            rules += (role.obj.get("rules") or []) if role else []
    return rules


def _is_subject(subject: Object, actor: Actor) -> bool:
    match subject["kind"]:
        case "User":
            return bool(subject["name"] == actor.user)
        case "Group":
            return subject["name"] in actor.groups
    return bool(f"{_SERVICE_ACCOUNT}{subject.get('namespace', '')}:{subject['name']}" == actor.user)


def _covers(rule: Object, wanted: Object) -> bool:
    resource = wanted.get("resource", "")
    if wanted.get("subresource"):
        resource += f"/{wanted['subresource']}"
    names = rule.get("resourceNames") or ()
    return (
        _has(rule.get("verbs"), wanted.get("verb", ""))
        and _has(rule.get("apiGroups"), wanted.get("group", ""))
        and _has(rule.get("resources"), resource)
        and (not names or wanted.get("name", "") in names)
    )


def _has(listed: list[str] | None, value: str) -> bool:
    return "*" in (listed or ()) or value in (listed or ())
