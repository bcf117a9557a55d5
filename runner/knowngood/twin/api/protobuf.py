"""Decodes the protobuf bodies of kubectl's typed commands into plain objects.

protobuf_fields.json lists, for each message that clients send, the JSON name and type of each field
number. It was made from the generated.proto files of k8s.io/api and k8s.io/apimachinery v0.34.1.
Types: s text, i whole number, b boolean, y bytes, d float, else a message; `0` behind: zero means "not
set"; `*` repeated, `{` a map from text, `+` a message whose fields stand beside the others in JSON.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from knowngood.twin.api.errors import bad_request, unsupported_media
from knowngood.twin.values import Object

MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _LENGTH = 0, 1, 2  # wire types
_META = "meta.v1"
# What reading bytes that aren't the message they claim to be can end in.
_DAMAGE = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    OSError,
    RecursionError,
    struct.error,
)

# Where a kind's message is, for the groups whose name isn't the package's.
_PACKAGES = {
    "": "core",
    "rbac.authorization.k8s.io": "rbac",
    "authorization.k8s.io": "authorization",
    "authentication.k8s.io": "authentication",
    "coordination.k8s.io": "coordination",
    "scheduling.k8s.io": "scheduling",
}


@cache
def _messages() -> dict[str, dict[int, tuple[str, str]]]:
    text = Path(__file__).with_name("protobuf_fields.json").read_text(encoding="utf-8")
    messages: dict[str, dict[int, tuple[str, str]]] = {}
    for message, fields in json.loads(text).items():
        messages[message] = {}
        for number, declared in fields.items():
            name, _, kind = declared.partition(":")
            messages[message][int(number)] = (name, kind)
    return messages


def decode(body: bytes) -> Object:
    """Return the object in a Kubernetes protobuf envelope. 415 for a kind that isn't in the table."""
    if not body.startswith(MAGIC):
        raise bad_request("a protobuf body without the Kubernetes envelope")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        kind = {number: value.decode() for number, value in _fields(envelope.get(1, b""))}
        api_version, name = kind.get(1, ""), kind.get(2, "")
        return {
            "apiVersion": api_version,
            "kind": name,
            **_message(_find(api_version, name), envelope.get(2, b"")),
        }
    except _DAMAGE as error:
        raise bad_request(f"a damaged protobuf body: {error}") from None


def _find(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    for name in (f"{_PACKAGES.get(group, group)}.{version}.{kind}", f"{_META}.{kind}"):
        if name in _messages():
            return name
    raise unsupported_media(f"protobuf of {kind} in {api_version or 'v1'} is not understood; send JSON")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (field number, raw value): a number, or the bytes of what has a length."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield field, value
        elif wire == _LENGTH:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise IndexError("a field is cut short")
            yield field, data[position : position + length]
            position += length
        elif wire == _FIXED64:
            yield field, struct.unpack_from("<d", data, position)[0]
            position += 8
        else:
            raise IndexError(f"wire type {wire} is not used by Kubernetes")


def _message(name: str, data: bytes) -> Object:
    """Read a message."""
    declared = _messages()[name]
    result: Object = {}
    for number, raw in _fields(data):
        field, kind = declared.get(number, ("", ""))
        if not field:
            continue
        if kind.startswith("+"):
            result.update(_message(kind[1:], raw))
        elif kind.startswith("*"):
            result.setdefault(field, []).append(_value(kind[1:], raw))
        elif kind.startswith("{"):
            entry = dict(_fields(raw))
            default = 0 if kind[1:] in {"i", "b"} else b""
            result.setdefault(field, {})[entry.get(1, b"").decode()] = _value(kind[1:], entry.get(2, default))
        else:
            value = _value(kind.removesuffix("0"), raw)
            if value is not None and (value or not kind.endswith("0")):
                result[field] = value
    return result


def _value(kind: str, raw: Any) -> Any:
    reader = _READERS.get(kind)
    return _message(kind, raw) if reader is None else reader(raw)


def _signed(raw: int) -> int:
    return raw - (1 << 64) if raw >= 1 << 63 else raw


def _time(raw: bytes, spec: str) -> str | None:
    """Read {seconds, nanos}; the zero time is null in JSON."""
    parts = dict(_fields(raw))
    if not parts:
        return None
    moment = datetime.fromtimestamp(_signed(parts.get(1, 0)), UTC)
    return moment.replace(microsecond=parts.get(2, 0) // 1000).strftime(spec) if moment.year > 1 else None


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_fields(raw))
    return parts.get(3, b"").decode() if parts.get(1) else _signed(parts.get(2, 0))


def _embedded(raw: bytes) -> Any:
    text = dict(_fields(raw)).get(1, b"")
    return json.loads(text) if text else None


_READERS: dict[str, Callable[[Any], Any]] = {
    "s": lambda raw: raw.decode(),
    "i": _signed,
    "b": bool,
    "d": float,
    "y": lambda raw: base64.b64encode(raw).decode(),
    "Quantity": lambda raw: dict(_fields(raw)).get(1, b"").decode(),
    "Time": lambda raw: _time(raw, "%Y-%m-%dT%H:%M:%SZ"),
    "MicroTime": lambda raw: _time(raw, "%Y-%m-%dT%H:%M:%S.%fZ"),
    "IntOrString": _int_or_string,
    "Raw": _embedded,
    "authorization.v1.ExtraValue": lambda raw: [value.decode() for _, value in _fields(raw)],
    "authentication.v1.ExtraValue": lambda raw: [value.decode() for _, value in _fields(raw)],
}
