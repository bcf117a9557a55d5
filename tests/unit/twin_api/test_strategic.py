"""Strategic merge on the schemas of built-in kinds."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin.api import schemas
from knowngood.twin.api.errors import ApiError
from knowngood.twin.api.strategic import strategic_merge

Object = dict[str, Any]


def merge(target: Object, patch: Object) -> Object:
    schema = schemas.of_kind("v1", "Pod")
    assert schema is not None
    return strategic_merge(target, patch, schema)


def containers(*names: str) -> list[Object]:
    return [{"name": name, "image": f"{name}:1"} for name in names]


def spec(**fields: Any) -> Object:
    return {"spec": fields}


def test_list_items_merge_by_their_key() -> None:
    patch = spec(containers=[{"name": "b", "image": "b:2"}, {"name": "c"}])
    merged = merge(spec(containers=containers("a", "b")), patch)
    assert merged == spec(containers=[*containers("a"), {"name": "b", "image": "b:2"}, {"name": "c"}])


def test_an_item_can_be_deleted_or_the_list_replaced() -> None:
    present = spec(containers=containers("a", "b"))
    deleted = merge(present, spec(containers=[{"name": "a", "$patch": "delete"}]))
    assert deleted == spec(containers=containers("b"))
    replaced = merge(present, spec(containers=[{"$patch": "replace"}, {"name": "z"}]))
    assert replaced == spec(containers=[{"name": "z"}])


def test_nested_lists_merge_too() -> None:
    one = [{"name": "a", "env": [{"name": "X", "value": "1"}]}]
    patch = spec(containers=[{"name": "a", "env": [{"name": "Y", "value": "2"}]}])
    (container,) = merge(spec(containers=one), patch)["spec"]["containers"]
    assert [variable["name"] for variable in container["env"]] == ["X", "Y"]


def test_lists_without_a_merge_strategy_are_replaced() -> None:
    present = spec(tolerations=[{"key": "a"}])
    assert merge(present, spec(tolerations=[{"key": "b"}])) == spec(tolerations=[{"key": "b"}])


def test_sets_of_plain_values_unite_and_lose_single_values() -> None:
    present = {"metadata": {"finalizers": ["a/b", "c/d"]}}
    patch = {"metadata": {"finalizers": ["e/f"], "$deleteFromPrimitiveList/finalizers": ["a/b"]}}
    assert merge(present, patch)["metadata"]["finalizers"] == ["c/d", "e/f"]


def test_maps_merge_lose_keys_and_can_be_replaced() -> None:
    present = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    assert merge(present, {"metadata": {"labels": {"a": None, "c": "3"}}}) == {
        "metadata": {"labels": {"b": "2", "c": "3"}}
    }
    assert merge(present, {"metadata": {"labels": {"$patch": "replace", "z": "9"}}}) == {
        "metadata": {"labels": {"z": "9"}}
    }


def test_retain_keys_drops_the_other_ones() -> None:
    present = spec(volumes=[{"name": "v", "emptyDir": {}}])
    patch = spec(volumes=[{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}])
    assert merge(present, patch) == spec(volumes=[{"name": "v", "hostPath": {"path": "/x"}}])


def test_the_order_can_be_set() -> None:
    present = spec(containers=containers("a", "b", "c"))
    order = [{"name": "c"}, {"name": "a"}]
    merged = merge(present, {"spec": {"$setElementOrder/containers": order}})
    assert [one["name"] for one in merged["spec"]["containers"]] == ["c", "b", "a"]


def test_an_item_without_its_key_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        merge(spec(containers=containers("a")), spec(containers=[{"image": "x"}]))
    assert refused.value.code == 400
