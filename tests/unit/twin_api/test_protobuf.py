"""Protobuf bodies, written here by hand as kubectl writes them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowngood.twin.api import protobuf
from knowngood.twin.api.errors import ApiError


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + block(1, block(1, api_version) + block(2, kind)) + block(2, raw)


def test_names_maps_and_empty_text() -> None:
    metadata = block(1, "settings") + block(2, "") + block(11, block(1, "app") + block(2, "x"))
    raw = block(1, metadata) + block(2, block(1, "empty") + block(2, ""))
    assert protobuf.decode(envelope("v1", "ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "labels": {"app": "x"}},
        "data": {"empty": ""},
    }


def test_a_pointer_to_zero_is_kept_and_a_plain_zero_left_out() -> None:
    """`gracePeriodSeconds: 0` ends a pod at once; it must not get lost."""
    raw = number(1, 0) + block(2, block(1, "the-uid")) + block(4, "Background")
    assert protobuf.decode(envelope("v1", "DeleteOptions", raw)) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "the-uid"},
        "propagationPolicy": "Background",
    }
    container = block(1, "main") + number(16, 0)
    template = block(2, block(2, container))
    job = protobuf.decode(envelope("batch/v1", "Job", block(2, block(6, template))))
    assert job["spec"]["template"]["spec"]["containers"] == [{"name": "main"}]


def test_special_types() -> None:
    quantity = block(1, "500m")
    resources = block(8, block(1, block(1, "cpu") + block(2, quantity)))
    volume = block(1, block(1, "cache") + block(2, block(2, block(1, "Memory"))))
    probe = block(11, block(1, block(2, block(2, number(1, 0) + number(2, 8080)))))
    pod = block(2, volume + block(2, block(1, "main") + resources + probe))
    spec = protobuf.decode(envelope("v1", "Pod", pod))["spec"]
    assert spec["volumes"] == [{"name": "cache", "emptyDir": {"medium": "Memory"}}]
    (container,) = spec["containers"]
    assert container["resources"] == {"limits": {"cpu": "500m"}}
    assert container["readinessProbe"] == {"httpGet": {"port": 8080}}


def test_times_and_negative_numbers() -> None:
    renewed = block(4, number(1, 1_767_225_600) + number(2, 5_000_000))
    lease = protobuf.decode(envelope("coordination.k8s.io/v1", "Lease", block(2, renewed + number(2, -1))))
    assert lease["spec"] == {"renewTime": "2026-01-01T00:00:00.005000Z", "leaseDurationSeconds": -1}


def test_a_zero_time_is_not_said() -> None:
    metadata = block(1, block(1, "n") + block(8, b""))
    assert protobuf.decode(envelope("v1", "Namespace", metadata))["metadata"] == {"name": "n"}


def test_a_kind_that_is_not_in_the_table_is_415() -> None:
    with pytest.raises(ApiError) as refused:
        protobuf.decode(envelope("v1", "Unheard", b""))
    assert refused.value.code == 415


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["Pod", "ConfigMap", "Event"]))
def test_damaged_bodies_are_refused_not_survived(raw: bytes, kind: str) -> None:
    for body in (raw, b"k8s\x00" + raw, envelope("v1", kind, raw)):
        assert answer_code(body) in {200, 400, 415}


def answer_code(body: bytes) -> int:
    """Return what a server would answer; any other exception fails the test."""
    try:
        protobuf.decode(body)
    except ApiError as error:
        return error.code
    return 200
