"""Pruning, defaults and validation by structural schemas; fields as managedFields count them."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin.api import crds, field_sets, schemas
from knowngood.twin.api.resources import BUILT_IN, version_priority
from knowngood.twin.api.structural import prune, validate

Object = dict[str, Any]


def pod_schema() -> Object:
    schema = schemas.of_kind("v1", "Pod")
    assert schema is not None
    return schema


def custom_schema(spec: Object) -> Object:
    """Return the schema of a custom kind with this spec, as it is served."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    names = {"plural": "things", "kind": "Thing", "singular": "thing"}
    spec_of_crd = {"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]}
    crd = {"metadata": {"name": "things.example.com"}, "spec": spec_of_crd}
    (resource,) = crds.resources_of(crd)
    assert resource.schema is not None
    return resource.schema


def test_every_built_in_kind_has_a_schema() -> None:
    missing = [one.kind for one in BUILT_IN if schemas.of_kind(one.api_version, one.kind) is None]
    assert missing == []


def test_unknown_fields_are_named_with_their_path() -> None:
    pod = {"spec": {"containers": [{"name": "a", "imag": "x"}], "nodeSelector": {"any": "key"}}, "bogus": 1}
    assert prune(pod, pod_schema()) == ["spec.containers[0].imag", "bogus"]
    assert pod == {"spec": {"containers": [{"name": "a"}], "nodeSelector": {"any": "key"}}}


def test_null_means_not_said_in_built_in_kinds() -> None:
    pod: Object = {"metadata": {"creationTimestamp": None, "name": "p"}, "spec": {"tolerations": None}}
    prune(pod, pod_schema())
    assert pod == {"metadata": {"name": "p"}, "spec": {}}


def test_quantities_become_text() -> None:
    pod = {"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": 2}}}]}}
    prune(pod, pod_schema())
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}}


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": "string"}, 1, "FieldValueTypeInvalid"),
        ({"type": "integer"}, True, "FieldValueTypeInvalid"),
        ({"type": "integer"}, 1.5, "FieldValueTypeInvalid"),
        ({"type": "array"}, {}, "FieldValueTypeInvalid"),
        ({"type": "string"}, None, "FieldValueTypeInvalid"),
        ({"x-kubernetes-int-or-string": True}, 1.5, "FieldValueTypeInvalid"),
        ({"type": "string", "enum": ["a"]}, "b", "FieldValueNotSupported"),
        ({"type": "string", "pattern": "^a+$"}, "b", "FieldValueInvalid"),
        ({"type": "string", "maxLength": 1}, "bb", "FieldValueInvalid"),
        ({"type": "string", "minLength": 1}, "", "FieldValueInvalid"),
        ({"type": "string", "format": "date-time"}, "today", "FieldValueInvalid"),
        ({"type": "integer", "minimum": 1}, 0, "FieldValueInvalid"),
        ({"type": "integer", "maximum": 1, "exclusiveMaximum": True}, 1, "FieldValueInvalid"),
        ({"type": "array", "maxItems": 1}, [1, 2], "FieldValueInvalid"),
        ({"type": "object", "minProperties": 1}, {}, "FieldValueInvalid"),
        ({"type": "object", "required": ["a"]}, {}, "FieldValueRequired"),
        ({"type": "array", "x-kubernetes-list-type": "set"}, ["a", "a"], "FieldValueDuplicate"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, [], "FieldValueInvalid"),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, 3, "FieldValueInvalid"),
        ({"not": {"type": "string"}}, "x", "FieldValueInvalid"),
    ],
)
def test_what_a_schema_refuses(schema: Object, value: Any, reason: str) -> None:
    assert [cause["reason"] for cause in validate(value, schema, "f")] == [reason]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 2.0),
        ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "50%"),
        ({}, object),
        ({"type": "string", "format": "date-time"}, "2026-01-01T00:00:00.5Z"),
        ({"allOf": [{"minimum": 1}], "type": "integer"}, 1),
    ],
)
def test_what_a_schema_accepts(schema: Object, value: Any) -> None:
    assert validate(value, schema) == []


def test_custom_defaults_reach_into_what_is_there_only() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "integer", "default": 3}}}
    schema = custom_schema(
        {"type": "object", "properties": {"a": inner, "c": {"type": "string", "default": "x"}}}
    )
    obj: Object = {"spec": {}}
    prune(obj, schema)
    assert obj == {"spec": {"c": "x"}}
    obj = {"spec": {"a": {}}}
    prune(obj, schema)
    assert obj["spec"]["a"] == {"b": 3}


def test_a_custom_null_is_kept_where_the_schema_allows_it() -> None:
    fields = {"a": {"type": "string", "nullable": True}, "b": {"type": "string"}}
    obj: Object = {"spec": {"a": None, "b": None}}
    prune(obj, custom_schema({"type": "object", "properties": fields}))
    assert obj == {"spec": {"a": None}}


def test_an_embedded_object_keeps_its_head() -> None:
    schema = custom_schema({"type": "object", "x-kubernetes-embedded-resource": True, "properties": {}})
    obj = {"spec": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "bogus": 1}, "bogus": 1}}
    assert prune(obj, schema) == ["spec.metadata.bogus", "spec.bogus"]


def test_fields_are_counted_by_key_value_or_as_a_whole() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"a": "b"}, "finalizers": ["x/y"]},
        "spec": {"containers": [{"name": "c", "command": ["run", "it"]}], "nodeSelector": {"k": "v"}},
    }
    fields = field_sets.fields_of(pod, pod_schema())
    assert {field_sets.readable(path) for path in fields} == {
        ".metadata.labels.a",
        '.metadata.finalizers[="x/y"]',
        '.spec.containers[name="c"]',
        '.spec.containers[name="c"].name',
        '.spec.containers[name="c"].command',
        ".spec.nodeSelector",
    }
    assert field_sets.from_fields_v1(field_sets.to_fields_v1(fields)) == fields


def test_versions_are_ordered_as_clients_expect() -> None:
    versions = ["v1alpha1", "v2", "v1", "v1beta2", "v10", "v1beta10", "other"]
    ordered = sorted(versions, key=version_priority, reverse=True)
    assert ordered == ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "other"]


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("^(?i)(abort|warn)?$", "Abort", True),  # as a published definition has it
        ("^(?i)(abort|warn)?$", "aborts", False),
        ("a(?i)b", "aB", True),
        ("a(?i)b", "Ab", False),
        (r"^\(\?i\)$", "(?i)", True),
        (r"^x\z", "x\n", False),
    ],
)
def test_patterns_are_read_as_go_reads_them(pattern: str, value: str, fits: bool) -> None:
    """Python takes no flags in the middle: what such a definition describes could not be written at all."""
    assert (validate(value, {"type": "string", "pattern": pattern}) == []) is fits
