"""Argo CD's three-way comparison, and what it refuses to read."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowngood.twin.behaviours.argo_git import Commit
from knowngood.twin.behaviours.argo_manifest import ManifestError, parse, three_way

APP: dict[str, Any] = {"spec": {"destination": {"namespace": "there"}}}
VALUES = st.recursive(
    st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("stuv"), VALUES, min_size=1, max_size=3)


def merged(live: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(OBJECTS, OBJECTS, OBJECTS)
def test_one_application_is_enough(
    before: dict[str, Any], wanted: dict[str, Any], extra: dict[str, Any]
) -> None:
    """After the patch nothing is left to do, whatever was applied before and whatever others added."""
    live = {**copy.deepcopy(before), **{f"others-{key}": value for key, value in extra.items()}}
    after = merged(live, three_way(json.dumps(before), wanted, live))
    assert three_way(json.dumps(wanted), wanted, after) == {}
    assert {key: value for key, value in after.items() if key.startswith("others-")} == {
        key: value for key, value in live.items() if key.startswith("others-")
    }


def test_what_git_no_longer_holds_goes_and_what_others_set_stays() -> None:
    live = {"spec": {"version": "1", "ours": "x", "theirs": "y"}}
    assert three_way('{"spec":{"version":"1","ours":"x"}}', {"spec": {"version": "2"}}, live) == {
        "spec": {"version": "2", "ours": None}
    }


def test_objects_get_the_destinations_namespace_unless_they_are_cluster_scoped() -> None:
    text = (
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n"
        b"apiVersion: nvidia.com/v1\nkind: ClusterPolicy\nmetadata: {name: b}\n"
    )
    first, second = parse({"a.yaml": text}, APP)
    assert first["metadata"]["namespace"] == "there"
    assert "namespace" not in second["metadata"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: [", "a.yaml"),
        (b"just text", "a.yaml"),
        (b"apiVersion: v1\nkind: Node\nmetadata: {name: gpu-1}\n", "Node is not permitted"),
    ],
)
def test_what_is_no_manifest_is_refused_by_file(text: bytes, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        parse({"a.yaml": text}, APP)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('Revert "ring-0 to 2"', True),
        ("Back to 1\n\nThis reverts commit abc.", True),
        ("Back to 1\n\nExample-Undoes: abc", True),
        ("ring-0 to 2", False),
    ],
)
def test_a_revert_is_known_by_its_words(message: str, expected: bool) -> None:
    assert Commit("sha", message).is_revert is expected
