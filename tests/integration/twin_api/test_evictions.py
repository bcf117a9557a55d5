"""Evictions, and the PodDisruptionBudgets that refuse them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Answer, Object, Twin

PodMaker = Callable[..., Object]


@pytest.fixture
def pods(twin: Twin, namespace: str, pod: PodMaker) -> str:
    """The path of two running, ready pods a and b of the application `web`."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    for name in ("a", "b"):
        body = pod(name, nodeName="n1")
        body["metadata"]["labels"] = {"app": "web"}
        twin.create(path, body)
        ready = {"type": "Ready", "status": "True"}
        twin.patch(f"{path}/{name}/status", {"status": {"phase": "Running", "conditions": [ready]}})
    return path


def budget(twin: Twin, namespace: str, **spec: object) -> str:
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    selector = {"matchLabels": {"app": "web"}}
    twin.create(path, {"metadata": {"name": "web"}, "spec": {"selector": selector, **spec}})
    return f"{path}/web"


def owned(twin: Twin, namespace: str, pods: str, pod: PodMaker, replicas: int) -> None:
    """Give both pods a ReplicaSet that wants so many."""
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    uid = twin.create(sets, {"metadata": {"name": "web"}, "spec": spec})["metadata"]["uid"]
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "controller": True, "uid": uid}
    for name in ("a", "b"):
        twin.patch(f"{pods}/{name}", {"metadata": {"ownerReferences": [reference]}})


def settled(twin: Twin, path: str) -> None:
    """Wait until the disruption controller has seen the budget as it is."""

    def seen() -> bool:
        found = twin.get(path)
        return bool(found["status"].get("observedGeneration") == found["metadata"]["generation"])

    twin.eventually(seen, "the budget's status")


def evict(twin: Twin, pods: str, name: str, **options: object) -> Answer:
    body: Object = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    if options:
        body["deleteOptions"] = options
    return twin.http("POST", f"{pods}/{name}/eviction", body)


def test_an_eviction_is_a_deletion_with_grace(twin: Twin, pods: str) -> None:
    assert evict(twin, pods, "a").status == 201
    assert "deletionTimestamp" in twin.get(f"{pods}/a")["metadata"]


def test_an_eviction_honours_the_pods_uid(twin: Twin, pods: str) -> None:
    answer = evict(twin, pods, "a", preconditions={"uid": "another"})
    assert answer.status == 409
    assert "deletionTimestamp" not in twin.get(f"{pods}/a")["metadata"]


@pytest.mark.parametrize("spec", [{"minAvailable": 1}, {"minAvailable": "50%"}, {"maxUnavailable": 1}])
def test_a_budget_lets_one_go_and_refuses_the_next(
    twin: Twin, namespace: str, pods: str, pod: PodMaker, spec: dict[str, object]
) -> None:
    owned(twin, namespace, pods, pod, replicas=2)
    settled(twin, budget(twin, namespace, **spec))
    assert evict(twin, pods, "a").status == 201
    refused = evict(twin, pods, "b")
    assert (refused.status, refused.body["reason"]) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"] is None, "a plain refusal names no time, as upstream"
    assert refused.body["details"]["causes"][0]["reason"] == "DisruptionBudget"
    assert "deletionTimestamp" not in twin.get(f"{pods}/b")["metadata"]


def test_a_refused_eviction_passes_once_a_replacement_is_ready(
    twin: Twin, namespace: str, pods: str, pod: PodMaker
) -> None:
    settled(twin, budget(twin, namespace, minAvailable=2))
    assert evict(twin, pods, "a").status == 429
    body = pod("c", nodeName="n2")
    body["metadata"]["labels"] = {"app": "web"}
    twin.create(pods, body)
    assert evict(twin, pods, "a").status == 429, "there, but not ready"
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    twin.patch(f"{pods}/c/status", {"status": ready})
    assert evict(twin, pods, "a").status == 201


def test_pending_pods_are_no_budgets_business(twin: Twin, namespace: str, pods: str, pod: PodMaker) -> None:
    budget(twin, namespace, minAvailable="100%")
    body = pod("new")
    body["metadata"]["labels"] = {"app": "web"}
    twin.create(pods, body)
    assert evict(twin, pods, "new").status == 201


def test_unhealthy_pods_may_go_where_the_budget_says_so(twin: Twin, namespace: str, pods: str) -> None:
    not_ready = {"conditions": [{"type": "Ready", "status": "False"}]}
    for name in ("a", "b"):
        twin.patch(f"{pods}/{name}/status", {"status": not_ready})
    path = budget(twin, namespace, minAvailable=1)
    settled(twin, path)
    assert evict(twin, pods, "a").status == 429
    twin.patch(path, {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}})
    settled(twin, path)
    assert evict(twin, pods, "a").status == 201


def test_a_budgets_status_follows_its_pods(twin: Twin, namespace: str, pods: str) -> None:
    path = budget(twin, namespace, minAvailable=1)

    def shows(healthy: int, allowed: int) -> bool:
        status = twin.get(path)["status"]
        return (status["currentHealthy"], status["disruptionsAllowed"]) == (healthy, allowed)

    twin.eventually(lambda: shows(2, 1), "two healthy, one may go")
    twin.http("DELETE", f"{pods}/a", {"gracePeriodSeconds": 0})
    twin.eventually(lambda: shows(1, 0), "one healthy, none may go")
    status = twin.get(path)["status"]
    assert status["conditions"][0]["reason"] == "InsufficientPods"
    assert (status["desiredHealthy"], status["observedGeneration"]) == (1, 1)


def test_percentages_count_what_the_controller_wants(
    twin: Twin, namespace: str, pods: str, pod: PodMaker
) -> None:
    owned(twin, namespace, pods, pod, replicas=4)
    path = budget(twin, namespace, maxUnavailable="50%")
    twin.eventually(lambda: twin.get(path)["status"]["expectedPods"] == 4, "expected as the set wants")
    assert evict(twin, pods, "a").status == 429, "two of four are out already"


def test_a_pod_of_two_budgets_cannot_be_evicted(twin: Twin, namespace: str, pods: str) -> None:
    budget(twin, namespace, minAvailable=0)
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    twin.create(path, {"metadata": {"name": "second"}, "spec": {"minAvailable": 0, "selector": {}}})
    answer = evict(twin, pods, "a")
    assert (answer.status, answer.body.get("reason")) == (500, None)
    assert "more than one PodDisruptionBudget" in answer.body["message"]


@pytest.mark.parametrize("spec", [{"minAvailable": "50%"}, {"maxUnavailable": 1}, {"maxUnavailable": "50%"}])
@pytest.mark.parametrize("owner", ["", "a Job"])
def test_a_budget_that_needs_a_scale_lets_no_pod_without_one_go(
    twin: Twin, namespace: str, pods: str, pod: PodMaker, spec: Object, owner: str
) -> None:
    """Bare pods and those of controllers without a scale subresource: 429 for ever."""
    if owner:
        template = {"spec": {**pod("x")["spec"], "restartPolicy": "Never"}}
        job = {"metadata": {"name": "j"}, "spec": {"template": template}}
        uid = twin.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", job)["metadata"]["uid"]
        reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": uid, "controller": True}
        for name in ("a", "b"):
            twin.patch(f"{pods}/{name}", {"metadata": {"ownerReferences": [reference]}})
    path = budget(twin, namespace, **spec)
    twin.eventually(lambda: bool(twin.get(path)["status"].get("conditions")), "the controller has looked")
    answer = evict(twin, pods, "a")
    assert (answer.status, answer.body["reason"]) == (429, "TooManyRequests")
    assert twin.get(path)["status"]["disruptionsAllowed"] == 0
