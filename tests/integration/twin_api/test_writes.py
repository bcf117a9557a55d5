"""How objects are created, replaced and patched."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Object, Twin

JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
PodMaker = Callable[..., Object]


def deployment(name: str) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}}


def test_a_created_object_gets_what_the_server_owns(twin: Twin, namespace: str, pod: PodMaker) -> None:
    sent = pod("a")
    sent["metadata"] |= {"uid": "mine", "creationTimestamp": None, "generation": 7}
    sent["status"] = {"phase": "Running"}
    metadata = (created := twin.create(f"/api/v1/namespaces/{namespace}/pods", sent))["metadata"]
    assert metadata["uid"] != "mine"
    assert metadata["generation"] == 1
    assert metadata["creationTimestamp"].endswith("Z")
    assert int(metadata["resourceVersion"]) > 0
    assert (created["apiVersion"], created["kind"]) == ("v1", "Pod")
    assert created["status"]["phase"] == "Pending", "a creator doesn't set the status"
    assert created["spec"]["restartPolicy"] == "Always", "defaults are filled in"


def test_generated_names_differ(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    names = {twin.create(path, {"metadata": {"generateName": "c-"}})["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("c-") and len(name) == 7 for name in names)


def test_a_new_namespace_has_a_default_account_and_the_clusters_certificate(
    twin: Twin, namespace: str
) -> None:
    space = f"/api/v1/namespaces/{namespace}"
    trusted = base64.b64decode(twin.config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    twin.eventually(lambda: twin.http("GET", f"{space}/configmaps/kube-root-ca.crt").status == 200, "it")
    assert twin.get(f"{space}/configmaps/kube-root-ca.crt")["data"] == {"ca.crt": trusted}
    for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
        before = twin.get(f"{space}/{path}")["metadata"]["uid"]
        twin.http("DELETE", f"{space}/{path}")

        def again(path: str = path, before: str = before) -> bool:
            answer = twin.http("GET", f"{space}/{path}")
            return answer.status == 200 and answer.body["metadata"]["uid"] != before

        twin.eventually(again, f"{path} is made again")


def test_a_node_has_a_spec_and_a_status_whatever_it_was_made_of(twin: Twin) -> None:
    """As Go writes what is no pointer: who reads a node need not ask whether they are there."""
    made = twin.create("/api/v1/nodes", {"metadata": {"name": "bare"}})
    assert (made["spec"], made["status"]) == ({}, {})
    twin.http("DELETE", "/api/v1/nodes/bare")


def test_a_taken_name_is_a_conflict(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    twin.create(path, {"metadata": {"name": "c"}})
    answer = twin.http("POST", path, {"metadata": {"name": "c"}})
    assert (answer.status, answer.body["reason"]) == (409, "AlreadyExists")


def test_nothing_is_created_where_there_is_no_namespace(twin: Twin) -> None:
    answer = twin.http("POST", "/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "c"}})
    assert (answer.status, answer.body["message"]) == (404, 'namespaces "nowhere" not found')


def test_a_stale_resource_version_is_refused(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    old = twin.create(path, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    new = twin.http("PUT", f"{path}/c", {**old, "data": {"a": "2"}}).body
    assert new["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]
    stale = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"a": "3"}}
    for method, body in (("PUT", {**old, "data": {"a": "3"}}), ("PATCH", stale)):
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = twin.http(method, f"{path}/c", body, kind)
        assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert twin.get(f"{path}/c")["data"] == {"a": "2"}


def test_a_lease_cannot_be_replaced_without_saying_which_version(twin: Twin, namespace: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    lease = twin.create(path, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})
    del lease["metadata"]["resourceVersion"]
    assert twin.http("PUT", f"{path}/l", lease).status == 422


LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


@pytest.mark.parametrize("moment", ["2026-11-28T10:00:00Z", "2026-11-28T10:00:00.123Z", "today"])
def test_a_lease_is_renewed_to_the_microsecond(twin: Twin, moment: str) -> None:
    answer = twin.http("POST", LEASES, {"metadata": {"name": "l"}, "spec": {"renewTime": moment}})
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")
    assert "parsing time" in answer.body["message"]


def test_a_lease_does_not_change_hands_less_than_never(twin: Twin) -> None:
    spec = {"renewTime": "2026-11-28T10:00:00.000000Z", "leaseTransitions": -1}
    answer = twin.http("POST", LEASES, {"metadata": {"name": "l"}, "spec": spec})
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "spec.leaseTransitions"


def test_a_write_that_changes_nothing_is_no_write(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    before = twin.create(path, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    assert twin.patch(f"{path}/c", {"data": {"a": "1"}}).body == before


def test_a_dry_run_answers_and_keeps_nothing(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert twin.http("POST", f"{path}?dryRun=All", {"metadata": {"name": "c"}}).status == 201
    assert twin.http("GET", f"{path}/c").status == 404
    twin.create(path, {"metadata": {"name": "c"}})
    assert twin.patch(f"{path}/c?dryRun=All", {"data": {"a": "1"}}).body["data"] == {"a": "1"}
    assert twin.http("DELETE", f"{path}/c?dryRun=All").status == 200
    assert "data" not in twin.get(f"{path}/c")


def test_only_a_changed_spec_counts_as_a_generation(twin: Twin, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    twin.create(path, deployment("d"))

    def generation() -> Any:
        return twin.get(f"{path}/d")["metadata"]["generation"]

    twin.patch(f"{path}/d", {"metadata": {"labels": {"a": "b"}}})
    twin.patch(f"{path}/d/status", {"status": {"replicas": 1}})
    assert generation() == 1
    twin.patch(f"{path}/d", {"spec": {"replicas": 3}})
    assert generation() == 2


def test_status_and_spec_are_written_apart(twin: Twin, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    twin.create(path, deployment("d"))
    twin.patch(f"{path}/d", {"status": {"replicas": 5}, "spec": {"replicas": 2}})
    twin.patch(f"{path}/d/status", {"status": {"observedGeneration": 2}, "spec": {"replicas": 9}})
    found = twin.get(f"{path}/d")
    assert found["spec"]["replicas"] == 2
    assert found["status"] == {"observedGeneration": 2}


def test_a_json_patch_whose_test_fails_changes_nothing(twin: Twin, namespace: str) -> None:
    """How a stale runner is stopped: its claim is tested in the patch itself."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    twin.create(path, {"metadata": {"name": "c", "annotations": {"x.y/claim": "run-1"}}, "data": {"a": "1"}})
    change = {"op": "replace", "path": "/data/a", "value": "2"}
    stale = {"op": "test", "path": "/metadata/annotations/x.y~1claim", "value": "run-2"}
    answer = twin.patch(f"{path}/c", [stale, change], JSON_PATCH)
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert twin.get(f"{path}/c")["data"] == {"a": "1"}
    assert twin.patch(f"{path}/c", [{**stale, "value": "run-1"}, change], JSON_PATCH).status == 200
    assert twin.get(f"{path}/c")["data"] == {"a": "2"}


def test_a_test_of_an_absent_field_fails(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    twin.create(path, {"metadata": {"name": "c"}})
    operations = [{"op": "test", "path": "/metadata/annotations/claim", "value": "mine"}]
    assert twin.patch(f"{path}/c", operations, JSON_PATCH).status == 422


def test_a_strategic_patch_merges_lists_by_key(twin: Twin, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    twin.create(path, deployment("d"))
    containers = [{"name": "main", "image": "app:2"}, {"name": "side", "image": "side:1"}]
    twin.patch(f"{path}/d", {"spec": {"template": {"spec": {"containers": containers}}}}, STRATEGIC)
    twin.patch(
        f"{path}/d",
        {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}},
        STRATEGIC,
    )
    (container,) = twin.get(f"{path}/d")["spec"]["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("main", "app:2")


def test_taints_are_replaced_as_a_whole(twin: Twin) -> None:
    twin.create("/api/v1/nodes", {"metadata": {"name": "tainted"}})
    one, two = ({"key": key, "effect": "NoSchedule"} for key in ("a/b", "c/d"))
    for taint in (one, two):
        assert twin.patch("/api/v1/nodes/tainted", {"spec": {"taints": [taint]}}, STRATEGIC).status == 200
    assert twin.get("/api/v1/nodes/tainted")["spec"]["taints"] == [two]


def test_strict_validation_refuses_unknown_fields_and_the_default_warns(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {"metadata": {"name": "c"}, "dat": {"a": "1"}}
    strict = twin.http("POST", f"{path}?fieldValidation=Strict", body)
    assert (strict.status, strict.body["message"]) == (400, 'strict decoding error: unknown field "dat"')
    warned = twin.http("POST", path, body)
    assert warned.status == 201
    assert "dat" not in warned.body
    assert 'unknown field \\"dat\\"' in (warned.headers["Warning"] or "")


def test_wrong_types_and_missing_fields_are_refused(twin: Twin, namespace: str, pod: PodMaker) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert twin.http("POST", path, pod("p", nodeName=3)).status == 400
    lacking = twin.http("POST", path, pod("p", containers=[{"image": "a:1"}]))
    assert lacking.status == 422
    assert lacking.body["details"]["causes"][0]["field"] == "spec.containers[0].name"
    assert twin.http("POST", path, pod("Not_A_Name")).status == 422


def test_a_pod_keeps_its_spec(twin: Twin, namespace: str, pod: PodMaker) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("p"))
    moved = twin.patch(f"{path}/p", {"spec": {"nodeName": "other"}})
    assert (moved.status, moved.body["reason"]) == (422, "Invalid")
    tolerations = twin.get(f"{path}/p")["spec"]["tolerations"]
    more = {"spec": {"tolerations": [*tolerations, {"key": "a/b", "operator": "Exists"}]}}
    assert twin.patch(f"{path}/p", more).status == 200


def test_a_scheduler_binds_a_pod_once(twin: Twin, namespace: str, pod: PodMaker) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("p"))
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    assert twin.http("POST", f"{path}/p/binding", binding).status == 201
    assert twin.get(f"{path}/p")["spec"]["nodeName"] == "n1"
    assert twin.http("POST", f"{path}/p/binding", binding).status == 409


def test_a_job_selects_its_pods_by_its_uid(twin: Twin, namespace: str, pod: PodMaker) -> None:
    spec = {"template": {"spec": {**pod("x")["spec"], "restartPolicy": "Never"}}}
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    job = twin.create(path, {"metadata": {"name": "j"}, "spec": spec})
    selector = {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
    assert job["spec"]["selector"] == {"matchLabels": selector}
    assert selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()
    changed = twin.patch(f"{path}/j", {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}})
    assert changed.status == 422


def test_a_config_map_has_a_limit_and_can_be_frozen(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert (
        twin.http("POST", path, {"metadata": {"name": "big"}, "data": {"a": "x" * 1_100_000}}).status == 422
    )
    twin.create(path, {"metadata": {"name": "frozen"}, "data": {"a": "1"}, "immutable": True})
    assert twin.patch(f"{path}/frozen", {"data": {"a": "2"}}).status == 422


def test_secrets_take_plain_text(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    secret = twin.create(path, {"metadata": {"name": "s"}, "stringData": {"user": "me"}})
    assert secret["data"] == {"user": "bWU="}
    assert "stringData" not in secret


def test_workloads_scale_through_their_subresource(twin: Twin, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    twin.create(path, deployment("d"))
    scale = twin.patch(f"{path}/d/scale", {"spec": {"replicas": 4}}).body
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 4})
    assert twin.get(f"{path}/d")["spec"]["replicas"] == 4


def test_every_accepted_write_reaches_the_event_log(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    created = twin.create(path, {"metadata": {"name": "logged"}, "data": {"a": "1"}, "dta": {}})
    twin.patch(f"{path}/logged", {"data": {"a": "2"}})
    twin.patch(f"{path}/logged", [{"op": "test", "path": "/data/a", "value": "9"}], JSON_PATCH)
    twin.http("DELETE", f"{path}/logged")
    records = [one for one in twin.log if (one["namespace"], one["name"]) == (namespace, "logged")]
    assert [(one["verb"], one["removed"]) for one in records] == [
        ("create", False),
        ("patch", False),
        ("delete", True),
    ]
    assert {one["uid"] for one in records} == {created["metadata"]["uid"]}
    assert {(one["apiVersion"], one["kind"], one["user"], one["userAgent"]) for one in records} == {
        ("v1", "ConfigMap", "admin", "tests/1")
    }
    assert [one["object"]["data"]["a"] for one in records] == ["1", "2", "2"]
    assert records[1]["request"] == {"data": {"a": "2"}}, "and what was sent"
    assert "dta" in records[0]["request"], "also what the kind does not know"
    assert "dta" not in records[0]["object"]
    assert all(one["time"].endswith("Z") for one in records)
