"""Deletion: grace, preconditions, finalizers, owners, namespaces."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Object, Twin
from .test_watches import told, watching

PodMaker = Callable[..., Object]


def owned_by(owner: Object, *, blocking: bool = False) -> list[Object]:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return [reference | ({"blockOwnerDeletion": True} if blocking else {})]


def config_map(name: str, owner: Object | None = None, *, blocking: bool = False) -> Object:
    metadata: Object = {"name": name}
    if owner is not None:
        metadata["ownerReferences"] = owned_by(owner, blocking=blocking)
    return {"metadata": metadata}


@pytest.fixture
def maps(namespace: str) -> str:
    """The path of the test's config maps."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


def test_a_pod_on_a_node_stays_until_its_kubelet_confirms(twin: Twin, namespace: str, pod: PodMaker) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("p", nodeName="n1", terminationGracePeriodSeconds=45))
    marked = twin.http("DELETE", f"{path}/p").body
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 45
    assert marked["metadata"]["deletionTimestamp"] > marked["metadata"]["creationTimestamp"]
    assert twin.http("DELETE", f"{path}/p").body == marked, "asking again changes nothing"
    sooner = twin.http("DELETE", f"{path}/p?gracePeriodSeconds=5").body
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 5
    confirmed = twin.http("DELETE", f"{path}/p", {"gracePeriodSeconds": 0})
    assert confirmed.status == 200
    assert twin.http("GET", f"{path}/p").status == 404


@pytest.mark.parametrize("case", ["no node", "ended"])
def test_a_pod_that_nobody_runs_goes_at_once(twin: Twin, namespace: str, pod: PodMaker, case: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("p") if case == "no node" else pod("p", nodeName="n1"))
    if case == "ended":
        twin.patch(f"{path}/p/status", {"status": {"phase": "Succeeded"}})
    version = twin.get(path)["metadata"]["resourceVersion"]
    twin.http("DELETE", f"{path}/p")
    assert twin.http("GET", f"{path}/p").status == 404
    with watching(twin, f"{path}?resourceVersion={version}&timeoutSeconds=1") as events:
        assert told(events, 2) == [("MODIFIED", "p"), ("DELETED", "p")], "marked first, then gone"


def test_preconditions_must_hold(twin: Twin, maps: str) -> None:
    """The drain names the pod it means; its successor of the same name is left alone."""
    created = twin.create(maps, config_map("c"))["metadata"]
    for name, value in (("uid", "another"), ("resourceVersion", "1")):
        answer = twin.http("DELETE", f"{maps}/c", {"preconditions": {name: value}})
        assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    right = {"uid": created["uid"], "resourceVersion": created["resourceVersion"]}
    assert twin.http("DELETE", f"{maps}/c", {"preconditions": right}).status == 200


def test_a_finalizer_holds_an_object_until_it_is_taken_off(twin: Twin, maps: str) -> None:
    body = config_map("c")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    twin.create(maps, body)
    assert "deletionTimestamp" in twin.http("DELETE", f"{maps}/c").body["metadata"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    assert twin.patch(f"{maps}/c", more).status == 422, "no new finalizer on the way out"
    assert twin.patch(f"{maps}/c", {"metadata": {"finalizers": None}}).status == 200
    assert twin.http("GET", f"{maps}/c").status == 404


def test_dependents_go_after_their_owner(twin: Twin, maps: str) -> None:
    owner = twin.create(maps, config_map("owner"))
    child = twin.create(maps, config_map("child", owner))
    twin.create(maps, config_map("grandchild", child))
    twin.http("DELETE", f"{maps}/owner", {"propagationPolicy": "Background"})
    twin.gone(f"{maps}/child")
    twin.gone(f"{maps}/grandchild")


def test_a_dependent_with_another_owner_stays(twin: Twin, maps: str) -> None:
    first, second = (twin.create(maps, config_map(name)) for name in ("first", "second"))
    body = config_map("shared", first)
    body["metadata"]["ownerReferences"] += owned_by(second)
    twin.create(maps, body)
    twin.http("DELETE", f"{maps}/first")

    def owners() -> list[str]:
        references = twin.get(f"{maps}/shared")["metadata"]["ownerReferences"]
        return [one["name"] for one in references]

    twin.eventually(lambda: owners() == ["second"], "the reference to the first owner dropped")


def test_an_object_whose_owner_is_not_there_is_collected(twin: Twin, maps: str) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "no-such-uid"}}
    twin.create(maps, config_map("child", ghost))
    twin.gone(f"{maps}/child")


def test_a_foreground_deletion_waits_for_blocking_dependents(
    twin: Twin, namespace: str, maps: str, pod: PodMaker
) -> None:
    owner = twin.create(maps, config_map("owner"))
    body = pod("p", nodeName="n1")
    body["metadata"]["ownerReferences"] = owned_by(owner, blocking=True)
    path = f"/api/v1/namespaces/{namespace}/pods/p"
    twin.create(f"/api/v1/namespaces/{namespace}/pods", body)
    marked = twin.http("DELETE", f"{maps}/owner", {"propagationPolicy": "Foreground"}).body
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    twin.eventually(lambda: "deletionTimestamp" in twin.get(path)["metadata"], "the pod marked")
    assert twin.http("GET", f"{maps}/owner").status == 200, "the pod's kubelet has not confirmed"
    twin.http("DELETE", path, {"gracePeriodSeconds": 0})
    twin.gone(f"{maps}/owner")


def test_orphans_lose_their_reference_and_stay(twin: Twin, maps: str) -> None:
    owner = twin.create(maps, config_map("owner"))
    twin.create(maps, config_map("child", owner))
    twin.http("DELETE", f"{maps}/owner", {"propagationPolicy": "Orphan"})
    twin.gone(f"{maps}/owner")
    assert not twin.get(f"{maps}/child")["metadata"].get("ownerReferences")


def test_a_job_leaves_its_pods_behind_unless_told_otherwise(
    twin: Twin, namespace: str, pod: PodMaker
) -> None:
    """The default that surprises: kubectl asks for Background, a bare DELETE does not."""
    jobs, pods = f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/pods"
    template = {"spec": {**pod("x")["spec"], "restartPolicy": "Never"}}
    for name, options in (("kept", None), ("collected", {"propagationPolicy": "Background"})):
        job = twin.create(jobs, {"metadata": {"name": name}, "spec": {"template": template}})
        body = pod(name)
        body["metadata"]["ownerReferences"] = owned_by(job)
        twin.create(pods, body)
        twin.http("DELETE", f"{jobs}/{name}", options)
        twin.gone(f"{jobs}/{name}")
    twin.gone(f"{pods}/collected")
    assert twin.http("GET", f"{pods}/kept").status == 200


def test_a_namespace_goes_with_all_that_is_in_it(twin: Twin, namespace: str, pod: PodMaker) -> None:
    pods, maps = (f"/api/v1/namespaces/{namespace}/{plural}" for plural in ("pods", "configmaps"))
    twin.create(maps, config_map("c"))
    twin.create(pods, pod("p", nodeName="n1"))
    answer = twin.http("DELETE", f"/api/v1/namespaces/{namespace}").body
    assert answer["status"]["phase"] == "Terminating"
    refused = twin.http("POST", maps, config_map("late"))
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    twin.eventually(lambda: "deletionTimestamp" in twin.get(f"{pods}/p")["metadata"], "the pod is to go")
    assert "deletionTimestamp" not in twin.get(f"{maps}/c")["metadata"], "all else waits for the pods"
    twin.http("DELETE", f"{pods}/p", {"gracePeriodSeconds": 0})
    twin.gone(f"/api/v1/namespaces/{namespace}")


def test_a_collection_is_deleted_by_selector(twin: Twin, maps: str) -> None:
    for name in ("a", "b"):
        twin.create(maps, {"metadata": {"name": name, "labels": {"app": name}}})
    twin.http("DELETE", f"{maps}?labelSelector=app%3Da")
    assert twin.http("GET", f"{maps}/a").status == 404
    assert twin.http("GET", f"{maps}/b").status == 200
