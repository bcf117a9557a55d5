"""Reads request bodies: JSON, YAML where apply allows it, and the protobuf that kubectl sends."""

from __future__ import annotations

import json
from typing import Any

import yaml

from knowngood.twin.api import protobuf
from knowngood.twin.api.errors import ApiError, bad_request, unsupported_media

PROTOBUF = "application/vnd.kubernetes.protobuf"
MAX_BODY = 3 * 1024 * 1024  # bytes; as upstream's request limit


def decode(body: bytes, content_type: str) -> Any:
    """Return the body's data; None where there is no body. Server-side apply sends JSON and says YAML."""
    if not body:
        return None
    if len(body) > MAX_BODY:
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MAX_BODY}")
    kind = content_type.partition(";")[0].strip()
    if kind == PROTOBUF:
        return protobuf.decode(body)
    if kind and "json" not in kind and "yaml" not in kind and kind != "*/*":
        raise unsupported_media(
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json, application/yaml, application/vnd.kubernetes.protobuf"
        )
    try:
        return json.loads(body)
    except ValueError as error:
        if "yaml" not in kind:
            raise bad_request(f"invalid JSON: {error}") from None
    try:
        return yaml.safe_load(body)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise bad_request(f"invalid YAML: {error}") from None
