"""Who somebody is, by bearer token and impersonation, and the reviews that tell them that and what they may do."""

from __future__ import annotations

import secrets
from dataclasses import replace

from aiohttp import web

from knowngood.twin.api import meta
from knowngood.twin.api.attributes import Attributes
from knowngood.twin.api.bootstrap import AUTHENTICATED, UNAUTHENTICATED
from knowngood.twin.api.cluster import Actor, Cluster
from knowngood.twin.api.errors import internal, unauthorized
from knowngood.twin.api.rbac import SERVICE_ACCOUNT, Authorizer
from knowngood.twin.values import Object

ADMIN = "admin"
ANONYMOUS = Actor("system:anonymous", groups=(UNAUTHENTICATED,))
ACCOUNTS = "/serviceaccounts"
_TOKEN_LIFETIME_S = 3600
_EXTRA = "impersonate-extra-"


class Tokens:
    """Who holds which token. All tokens are made here and end with the process, an account's with the account."""

    def __init__(self, cluster: Cluster) -> None:
        self._store = cluster.store
        self._users: dict[str, Actor] = {}
        self._accounts: dict[str, tuple[str, str, str]] = {}  # token -> namespace, name, uid

    def issue(self, user: str, groups: tuple[str, ...] = ()) -> str:
        """Return a new token for a user of some groups."""
        token = secrets.token_urlsafe(32)
        self._users[token] = Actor(user, groups=(*groups, AUTHENTICATED))
        return token

    def identify(self, header: str) -> Actor:
        """Return whose Authorization header this is: nobody's where there is none, 401 where nobody knows it."""
        if not header:
            return ANONYMOUS
        scheme, _, token = header.partition(" ")
        actor = self.review(token.strip()) if scheme.lower() == "bearer" else None
        if actor is None:
            raise unauthorized()
        return actor

    def review(self, token: str) -> Actor | None:
        """Return whose token this is, or None."""
        if token in self._accounts:
            namespace, name, uid = self._accounts[token]
            found = self._store.get(ACCOUNTS, namespace, name)
            if found is None or found.obj["metadata"]["uid"] != uid:
                return None
        return self._users.get(token)

    def request(self, account: Object, body: Object) -> Object:
        """Answer a TokenRequest for a service account."""
        spec = body["spec"] = body.get("spec") or {}
        seconds = spec["expirationSeconds"] = spec.get("expirationSeconds") or _TOKEN_LIFETIME_S
        metadata = account["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        token = self.issue(f"{SERVICE_ACCOUNT}{namespace}:{name}", _account_groups(namespace))
        self._accounts[token] = (namespace, name, metadata["uid"])
        body["status"] = {"token": token, "expirationTimestamp": meta.later(seconds)}
        return body


def _account_groups(namespace: str) -> tuple[str, ...]:
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


def impersonated(actor: Actor, request: web.BaseRequest, authorizer: Authorizer) -> Actor:
    """Return who the request acts as, which the asker needs the right to `impersonate` for: 403 without it."""
    headers = request.headers
    user = headers.get("Impersonate-User", "")
    groups = tuple(headers.getall("Impersonate-Group", ()))
    extras = [(k.lower().removeprefix(_EXTRA), v) for k, v in headers.items() if k.lower().startswith(_EXTRA)]
    if not user:
        if groups or extras:
            raise internal("groups or extras are impersonated without a user")
        return actor
    account = user.removeprefix(SERVICE_ACCOUNT).split(":") if user.startswith(SERVICE_ACCOUNT) else []
    if len(account) == 2:
        named = Attributes("impersonate", "", "serviceaccounts", namespace=account[0], name=account[1])
    else:
        named = Attributes("impersonate", "", "users", name=user)
    authorizer.check(actor, named)
    for group in groups:
        authorizer.check(actor, Attributes("impersonate", "", "groups", name=group))
    for key, value in extras:
        extra = Attributes("impersonate", "authentication.k8s.io", "userextras", key, name=value)
        authorizer.check(actor, extra)
    if len(account) == 2 and not groups:
        groups = _account_groups(account[0])
    everybody = UNAUTHENTICATED if user == ANONYMOUS.user else AUTHENTICATED
    return replace(actor, user=user, groups=tuple(dict.fromkeys((*groups, everybody))))


def answer_review(authorizer: Authorizer, tokens: Tokens, body: Object, actor: Actor) -> Object:
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
            rules = authorizer.rules(actor, spec.get("namespace", ""))
            body["status"] = {
                "resourceRules": [one for one in rules if "resources" in one],
                "nonResourceRules": [one for one in rules if "nonResourceURLs" in one],
                "incomplete": False,
            }
        case "SubjectAccessReview":
            asked = Actor(spec.get("user", ""), groups=tuple(spec.get("groups") or ()))
            body["status"] = _access(authorizer, asked, spec)
        case _:
            body["status"] = _access(authorizer, actor, spec)
    return body


def _user_info(actor: Actor) -> Object:
    return {"username": actor.user, "groups": list(actor.groups)}


def _access(authorizer: Authorizer, actor: Actor, spec: Object) -> Object:
    asked = spec.get("resourceAttributes")
    if asked is None:
        path = spec.get("nonResourceAttributes") or {}
        wanted = Attributes(path.get("verb", ""), path=path.get("path", "") or "/")
    else:
        fields = ("verb", "group", "resource", "subresource", "namespace", "name")
        wanted = Attributes(**{name: asked.get(name, "") for name in fields})
    if authorizer.allows(actor, wanted):
        return {"allowed": True}
    return {"allowed": False, "reason": f"no RBAC rule allows {actor.user} to do that"}
