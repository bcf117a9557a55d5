"""Who may do what: RBAC over the roles that are there, impersonation, and those whom nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import Answer, Object, Twin

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PODS: Object = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]}


@dataclass(frozen=True)
class Account:
    """A service account of one test's own, and its token."""

    twin: Twin
    namespace: str
    token: str

    def http(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request as this account."""
        return self.twin.http(method, path, body, Authorization=f"Bearer {self.token}", **headers)

    def may(self, verb: str, resource: str, namespace: str = "", **more: str) -> bool:
        """What a review says, which must be what a request meets."""
        attributes = {"verb": verb, "resource": resource, "namespace": namespace, **more}
        review = self.http("POST", REVIEWS, {"spec": {"resourceAttributes": attributes}})
        assert review.status == 201
        return bool(review.body["status"]["allowed"])

    def grant(self, *rules: Object, clusterwide: bool = False) -> None:
        """Bind a role of these rules to the account."""
        where = RBAC if clusterwide else f"{RBAC}/namespaces/{self.namespace}"
        role, binding = ("ClusterRole", "clusterrolebindings") if clusterwide else ("Role", "rolebindings")
        name = f"{self.namespace}-role"
        self.twin.create(f"{where}/{role.lower()}s", {"metadata": {"name": name}, "rules": list(rules)})
        reference = {"kind": role, "name": name, "apiGroup": "rbac.authorization.k8s.io"}
        subject = {"kind": "ServiceAccount", "name": "gate", "namespace": self.namespace}
        self.twin.create(
            f"{where}/{binding}", {"metadata": {"name": name}, "subjects": [subject], "roleRef": reference}
        )


@pytest.fixture
def account(twin: Twin, namespace: str) -> Account:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    twin.create(accounts, {"metadata": {"name": "gate"}})
    token = twin.create(f"{accounts}/gate/token", {"spec": {}})["status"]["token"]
    return Account(twin, namespace, token)


def test_what_no_role_grants_is_403_as_the_review_says(account: Account, namespace: str) -> None:
    account.grant(PODS)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    assert account.http("GET", pods).status == 200
    assert account.may("list", "pods", namespace)
    refused = account.http("DELETE", f"{pods}/p")
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"] == (
        f'pods "p" is forbidden: User "system:serviceaccount:{namespace}:gate" cannot delete resource "pods" '
        f'in API group "" in the namespace "{namespace}"'
    )
    assert not account.may("delete", "pods", namespace)
    assert account.http("GET", "/api/v1/pods").status == 403, "a Role ends at its namespace"
    assert account.http("GET", "/api/v1/namespaces/default/pods").status == 403


def test_nobody_grants_what_they_do_not_hold(account: Account, namespace: str) -> None:
    writes: Object = {
        "verbs": ["create", "update", "patch", "get"],
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"],
    }
    account.grant(PODS, writes)
    roles = f"{RBAC}/namespaces/{namespace}/roles"
    secrets = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}
    refused = account.http("POST", roles, {"metadata": {"name": "more"}, "rules": [PODS, secrets]})
    assert refused.status == 403
    assert (
        "is attempting to grant RBAC permissions not currently held: get secrets" in refused.body["message"]
    )
    assert account.http("POST", roles, {"metadata": {"name": "same"}, "rules": [PODS]}).status == 201
    admin = {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "up"}, "subjects": [], "roleRef": admin}
    bindings = f"{RBAC}/namespaces/{namespace}/rolebindings"
    assert account.http("POST", bindings, binding).status == 403
    own = {**binding, "roleRef": {**admin, "kind": "Role", "name": "same"}}
    assert account.http("POST", bindings, own).status == 201


def test_a_right_that_is_taken_away_is_gone_at_once(account: Account, twin: Twin, namespace: str) -> None:
    account.grant(PODS)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    assert account.http("GET", pods).status == 200
    twin.http("DELETE", f"{RBAC}/namespaces/{namespace}/rolebindings/{namespace}-role")
    assert account.http("GET", pods).status == 403


def test_people_have_the_rights_that_are_bound_to_them_and_no_more(twin: Twin, namespace: str) -> None:
    config = twin.in_loop(lambda: twin.server.kubeconfig("eve", groups=("on-call",)))
    eve = f"Bearer {config['users'][0]['user']['token']}"
    assert twin.http("GET", "/api/v1/nodes", Authorization=eve).status == 403
    binding = {
        "metadata": {"name": namespace},
        "subjects": [{"kind": "Group", "name": "on-call", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"},
    }
    twin.create(f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
    assert twin.http("GET", f"/api/v1/namespaces/{namespace}/pods", Authorization=eve).status == 200
    assert twin.http("GET", f"/api/v1/namespaces/{namespace}/secrets", Authorization=eve).status == 403
    assert twin.http("GET", "/api/v1/nodes", Authorization=eve).status == 403


def test_an_aggregated_role_takes_in_what_is_labelled_for_it(
    account: Account, twin: Twin, namespace: str
) -> None:
    label = {f"example.com/{namespace}": "true"}
    twin.create(
        f"{RBAC}/clusterroles",
        {
            "metadata": {"name": f"{namespace}-sum"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]},
        },
    )
    rule = {"verbs": ["list"], "apiGroups": [""], "resources": ["nodes"]}
    twin.create(
        f"{RBAC}/clusterroles", {"metadata": {"name": f"{namespace}-part", "labels": label}, "rules": [rule]}
    )
    subject = {"kind": "ServiceAccount", "name": "gate", "namespace": namespace}
    reference = {"kind": "ClusterRole", "name": f"{namespace}-sum", "apiGroup": "rbac.authorization.k8s.io"}
    twin.create(
        f"{RBAC}/clusterrolebindings",
        {"metadata": {"name": namespace}, "subjects": [subject], "roleRef": reference},
    )
    assert account.http("GET", "/api/v1/nodes").status == 200


def test_a_rule_names_objects_subresources_and_wildcards(account: Account, namespace: str) -> None:
    account.grant(
        {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"]},
        {"verbs": ["get"], "apiGroups": ["*"], "resources": ["*/scale"]},
    )
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    assert account.http("GET", f"{maps}/mine").status == 404, "allowed, and not there"
    assert account.http("GET", f"{maps}/other").status == 403
    assert account.may("list", "configmaps", namespace, name="mine") is False
    scale = f"/apis/apps/v1/namespaces/{namespace}/deployments/none/scale"
    assert account.http("GET", scale).status == 404
    assert account.http("GET", scale.removesuffix("/scale")).status == 403


def test_who_may_not_ask_is_not_told_what_is_served(account: Account) -> None:
    """So a kind that is missing is a 404 to those with the right to it, and a 403 to all others."""
    missing = "/apis/maintenance.nvidia.com/v1alpha1/nodemaintenances"
    assert account.http("GET", missing).status == 403
    rule = {"verbs": ["list"], "apiGroups": ["maintenance.nvidia.com"], "resources": ["nodemaintenances"]}
    account.grant(rule, clusterwide=True)
    assert account.http("GET", missing).status == 404


def test_no_token_is_a_403_as_anonymous_and_a_wrong_one_is_a_401(twin: Twin) -> None:
    anonymous = twin.http("GET", "/api/v1/nodes", Authorization="")
    assert (anonymous.status, anonymous.body["reason"]) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot list resource "nodes"' in anonymous.body["message"]
    assert twin.http("GET", "/api", Authorization="").body["message"] == (
        'forbidden: User "system:anonymous" cannot get path "/api"'
    )
    assert twin.http("GET", "/api/v1/nodes", Authorization="Bearer wrong").status == 401


def test_a_token_ends_with_its_account(account: Account, twin: Twin, namespace: str) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    twin.http("DELETE", f"{accounts}/gate")
    assert account.http("GET", "/api").status == 401
    twin.create(accounts, {"metadata": {"name": "gate"}})
    assert account.http("GET", "/api").status == 401, "another account of that name"


def test_impersonation_gives_the_rights_of_whom_one_acts_as(
    account: Account, twin: Twin, namespace: str
) -> None:
    account.grant(PODS)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    user = f"system:serviceaccount:{namespace}:gate"
    assert twin.http("GET", pods, **{"Impersonate-User": user}).status == 200
    assert twin.http("DELETE", f"{pods}/p", **{"Impersonate-User": user}).status == 403
    review = twin.http(
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {},
        **{"Impersonate-User": "eve", "Impersonate-Group": "on-call"},
    )
    assert review.body["status"]["userInfo"] == {
        "username": "eve",
        "groups": ["on-call", "system:authenticated"],
    }


def test_impersonation_needs_the_right_to_it(account: Account, twin: Twin, namespace: str) -> None:
    refused = account.http("GET", "/api/v1/nodes", **{"Impersonate-User": "admin"})
    assert refused.status == 403
    assert (
        f'User "system:serviceaccount:{namespace}:gate" cannot impersonate resource "users"'
        in (refused.body["message"])
    )
    rule = {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["eve"]}
    account.grant(rule, clusterwide=True)
    assert (
        'User "eve" cannot list'
        in (account.http("GET", "/api/v1/nodes", **{"Impersonate-User": "eve"}).body["message"])
    )
    masters = {"Impersonate-User": "eve", "Impersonate-Group": "system:masters"}
    assert (
        'cannot impersonate resource "groups"'
        in (account.http("GET", "/api/v1/nodes", **masters).body["message"])
    )
