"""Server-side apply: ownership, conflicts, fields that go again."""

from __future__ import annotations

from .conftest import Answer, Object, Twin

APPLY = "application/apply-patch+yaml"


def apply(twin: Twin, path: str, body: Object, manager: str, *, force: bool = False) -> Answer:
    query = f"fieldManager={manager}" + ("&force=true" if force else "")
    return twin.patch(f"{path}?{query}", body, APPLY)


def config(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_applying_what_is_not_there_creates_it(twin: Twin, namespace: str) -> None:
    answer = apply(twin, f"/api/v1/namespaces/{namespace}/configmaps/c", config("c", a="1"), "argo")
    assert answer.status == 201
    (entry,) = answer.body["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("argo", "Apply")
    assert entry["fieldsV1"] == {"f:data": {"f:a": {}}}


def test_a_field_of_another_manager_is_a_conflict_unless_forced(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    apply(twin, path, config("c", a="1", b="1"), "one")
    refused = apply(twin, path, config("c", a="2"), "two")
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    assert refused.body["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one" using v1', "field": ".data.a"}
    ]
    assert apply(twin, path, config("c", a="2"), "two", force=True).body["data"] == {"a": "2", "b": "1"}
    assert apply(twin, path, config("c", b="1"), "one").body["data"] == {"a": "2", "b": "1"}


def test_the_same_value_can_be_owned_together(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    apply(twin, path, config("c", a="1"), "one")
    assert apply(twin, path, config("c", a="1"), "two").status == 200
    assert apply(twin, path, config("c"), "one").body["data"] == {"a": "1"}, "two still wants it"


def test_a_field_no_longer_applied_goes(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    apply(twin, path, config("c", a="1", b="1"), "one")
    assert apply(twin, path, config("c", a="1"), "one").body["data"] == {"a": "1"}


def test_an_update_takes_ownership_of_what_it_changes(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    apply(twin, path, config("c", a="1"), "one")
    twin.patch(f"{path}?fieldManager=hand", {"data": {"a": "2"}})
    refused = apply(twin, path, config("c", a="1"), "one")
    assert refused.status == 409
    assert 'conflict with "hand"' in refused.body["message"]


def test_items_of_a_keyed_list_are_owned_one_by_one(twin: Twin) -> None:
    path = "/api/v1/namespaces/default/services/s"
    service: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}

    def ports(*numbers: int) -> Object:
        return {**service, "spec": {"ports": [{"name": f"p{one}", "port": one} for one in numbers]}}

    apply(twin, path, ports(80), "one")
    both = apply(twin, path, ports(443), "two")
    assert [port["port"] for port in both.body["spec"]["ports"]] == [80, 443]
    left = apply(twin, path, {**service, "spec": {"type": "ClusterIP"}}, "one")
    assert [port["port"] for port in left.body["spec"]["ports"]] == [443]
