"""CustomResourceDefinitions that arrive at run time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.published import DEFINITIONS, needs_definitions

from knowngood.twin.api.cluster import Options
from knowngood.twin.api.server import SEED, ApiServer

from .conftest import Answer, Object, Twin

GROUP = "example.com"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
STRATEGIC = "application/strategic-merge-patch+json"
SCHEMA: Object = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["version"],
            "properties": {
                "version": {"type": "string", "pattern": "^[0-9.]+$"},
                "mode": {"type": "string", "enum": ["auto", "manual"], "default": "manual"},
                "count": {"type": "integer", "minimum": 1},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "closed": {"type": "object"},
            },
        },
        "status": {"type": "object", "properties": {"state": {"type": "string"}}},
    },
}
COLUMNS = [
    {"name": "Version", "type": "string", "jsonPath": ".spec.version"},
    {"name": "State", "type": "string", "jsonPath": ".status.state", "priority": 1},
]


def definition(plural: str, kind: str, scope: str = "Namespaced") -> Object:
    versions = [
        {
            "name": name,
            "served": True,
            "storage": storage,
            "schema": {"openAPIV3Schema": SCHEMA},
            "subresources": {"status": {}},
            "additionalPrinterColumns": COLUMNS,
        }
        for name, storage in (("v1", True), ("v1beta1", False))
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"plural": plural, "kind": kind, "shortNames": [plural[:3]]},
            "versions": versions,
        },
    }


def defined(twin: Twin, crd: Object) -> None:
    """Create a definition and wait until its kind is served."""
    twin.create(CRDS, crd)
    path = f"{CRDS}/{crd['metadata']['name']}"
    twin.eventually(lambda: "Established" in conditions(twin.get(path)), "Established")


def conditions(obj: Object) -> dict[str, str]:
    return {one["type"]: one["status"] for one in obj["status"].get("conditions") or ()}


@pytest.fixture
def things(twin: Twin) -> Iterator[str]:
    """The path of a fresh cluster-scoped kind's objects."""
    defined(twin, definition("things", "Thing", "Cluster"))
    yield f"/apis/{GROUP}/v1/things"
    twin.http("DELETE", f"{CRDS}/things.{GROUP}")
    twin.gone(f"{CRDS}/things.{GROUP}")


def thing(name: str = "t", kind: str = "Thing", **spec: Any) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"version": "1.0", **spec},
    }


def test_a_definition_is_served_once_it_is_established_not_before(twin: Twin) -> None:
    late = definition("latecomers", "Latecomer", "Cluster")

    def create() -> tuple[Object, bool]:
        """In the server's own thread, so that nothing can happen in between."""
        resource = twin.server._cluster.resources.of_kind(late["apiVersion"], late["kind"])
        assert resource is not None
        made = twin.server._handler.writes.create(resource, "", late, SEED, Options()).stored.obj
        return made, twin.server._cluster.resources.at(GROUP, "v1", "latecomers") is None

    made, absent = twin.in_loop(create)
    assert conditions(made) == {}
    assert absent
    path = f"{CRDS}/latecomers.{GROUP}"
    twin.eventually(lambda: conditions(twin.get(path)).get("Established") == "True", "Established")
    assert twin.http("GET", f"/apis/{GROUP}/v1/latecomers").status == 200
    twin.http("DELETE", path)


def test_a_served_definition_says_so(twin: Twin, things: str) -> None:
    found = conditions(twin.get(f"{CRDS}/things.{GROUP}"))
    assert found == {"NamesAccepted": "True", "Established": "True"}
    served = twin.get(f"/apis/{GROUP}/v1")["resources"]
    assert [one["name"] for one in served] == ["things", "things/status"]
    created = twin.create(things, thing())
    assert (created["apiVersion"], created["metadata"]["generation"]) == (f"{GROUP}/v1", 1)


def test_defaults_are_filled_and_unknown_fields_dropped(twin: Twin, things: str) -> None:
    body = thing(extra=1, free={"any": {"thing": 1}}, closed={"gone": 1}, port="80")
    spec = twin.create(things, body)["spec"]
    assert spec == {
        "version": "1.0",
        "mode": "manual",
        "free": {"any": {"thing": 1}},
        "closed": {},
        "port": "80",
    }
    strict = twin.http("POST", f"{things}?fieldValidation=Strict", thing("strict", extra=1))
    assert (strict.status, strict.body["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"version": 1}, "spec.version"),
        ({"version": "x"}, "spec.version"),
        ({"mode": "wild"}, "spec.mode"),
        ({"count": 0}, "spec.count"),
        ({"port": []}, "spec.port"),
        ({"version": None}, "spec.version"),
    ],
)
def test_what_breaks_the_schema_is_refused_with_its_field(
    twin: Twin, things: str, spec: Object, field: str
) -> None:
    answer = twin.http("POST", things, thing(**spec))
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert [one["field"] for one in answer.body["details"]["causes"]] == [field]


def test_the_status_has_its_own_door(twin: Twin, things: str) -> None:
    created = twin.create(things, {**thing(), "status": {"state": "ready"}})
    assert "status" not in created
    patched = twin.patch(f"{things}/t/status", {"status": {"state": "ready"}, "spec": {"version": "9"}})
    assert (patched.body["status"], patched.body["spec"]["version"]) == ({"state": "ready"}, "1.0")
    assert patched.body["metadata"]["generation"] == 1
    changed = twin.patch(f"{things}/t", {"spec": {"version": "2.0"}, "status": {"state": "lost"}}).body
    assert (changed["status"], changed["metadata"]["generation"]) == ({"state": "ready"}, 2)


def test_a_strategic_patch_is_not_for_custom_kinds(twin: Twin, things: str) -> None:
    twin.create(things, thing())
    answer = twin.patch(f"{things}/t", {"spec": {"version": "2.0"}}, STRATEGIC)
    assert (answer.status, answer.body["reason"]) == (415, "UnsupportedMediaType")


def test_custom_kinds_are_replaced_with_their_version_only(twin: Twin, things: str) -> None:
    created = twin.create(things, thing())
    assert twin.http("PUT", f"{things}/t", {**thing(version="2.0")}).status == 422
    assert twin.http("PUT", f"{things}/t", {**created, "spec": {"version": "2.0"}}).status == 200


def test_every_served_version_shows_the_same_objects(twin: Twin, things: str) -> None:
    older = {**thing(), "apiVersion": f"{GROUP}/v1beta1"}
    twin.create(things.replace("/v1/", "/v1beta1/"), older)
    assert twin.get(f"{things}/t")["apiVersion"] == f"{GROUP}/v1"
    old = twin.get(things.replace("/v1/", "/v1beta1/"))["items"]
    assert [one["apiVersion"] for one in old] == [f"{GROUP}/v1beta1"]


def test_printer_columns_make_the_table(twin: Twin, things: str) -> None:
    twin.create(things, thing())
    table = twin.http("GET", things, Accept="application/json;as=Table;v=v1;g=meta.k8s.io").body
    assert [(one["name"], one["priority"]) for one in table["columnDefinitions"]] == [
        ("Name", 0),
        ("Version", 0),
        ("State", 1),
    ]
    assert table["rows"][0]["cells"] == ["t", "1.0", None]


def test_a_definition_is_replaced_but_keeps_every_version_that_objects_were_stored_in(
    twin: Twin, things: str
) -> None:
    path = f"{CRDS}/things.{GROUP}"
    live = twin.get(path)
    first, second = live["spec"]["versions"]
    moved = [{**first, "storage": False}, {**second, "storage": True}]
    live["spec"]["versions"] = moved
    assert twin.http("PUT", path, live).body["status"]["storedVersions"] == ["v1", "v1beta1"]
    live = twin.get(path)
    live["spec"]["versions"] = moved[1:]
    answer = twin.http("PUT", path, live)
    assert (answer.status, answer.body["details"]["causes"][0]["field"]) == (422, "status.storedVersions[0]")


def test_a_kind_goes_with_its_definition(twin: Twin, namespace: str) -> None:
    defined(twin, definition("gadgets", "Gadget"))
    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/gadgets"
    held = thing(kind="Gadget")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    twin.create(path, held)
    twin.http("DELETE", f"{CRDS}/gadgets.{GROUP}")
    twin.eventually(lambda: "deletionTimestamp" in twin.get(f"{path}/t")["metadata"], "the object marked")
    assert twin.http("GET", f"{CRDS}/gadgets.{GROUP}").status == 200, "an object is still there"
    twin.patch(f"{path}/t", {"metadata": {"finalizers": None}})
    twin.gone(f"{CRDS}/gadgets.{GROUP}")
    assert twin.http("GET", path).status == 404


@pytest.mark.parametrize("missing", ["apiVersion", "kind"])
def test_a_custom_resource_says_what_it_is(twin: Twin, things: str, missing: str) -> None:
    """Real servers read it without a type to read it into; built-in kinds may leave both out."""
    body = {name: value for name, value in thing().items() if name != missing}
    answer = twin.http("POST", things, body)
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")
    assert missing.capitalize().replace("Apiv", "apiV") in answer.body["message"]


def test_the_namespace_of_a_cluster_scoped_object_is_cleared(twin: Twin, things: str) -> None:
    body = thing()
    body["metadata"]["namespace"] = "default"
    assert "namespace" not in twin.create(things, body)["metadata"]
    node = {"metadata": {"name": "cleared", "namespace": "default"}}
    assert "namespace" not in twin.create("/api/v1/nodes", node)["metadata"]
    twin.http("DELETE", "/api/v1/nodes/cleared")


def test_a_definition_without_a_schema_is_refused(twin: Twin) -> None:
    crd = definition("widgets", "Widget")
    del crd["spec"]["versions"][0]["schema"]
    answer: Answer = twin.http("POST", CRDS, crd)
    assert answer.status == 422


LARGE = 150_000  # bytes; reading the largest as YAML takes longer than all tests here


@needs_definitions
def test_real_definitions_are_understood(tmp_path: Path) -> None:
    server = ApiServer(tmp_path)
    files = [file for file in sorted(DEFINITIONS.glob("*.yaml")) if file.stat().st_size < LARGE]
    assert len(files) > 10
    for file in files:
        for crd in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader):
            if crd and crd.get("kind") == "CustomResourceDefinition":
                server.install_crd(crd)
