"""Decodes the protobuf bodies of kubectl's typed commands into plain objects."""

from __future__ import annotations

from typing import Any

from knowngood.twin.api.errors import unsupported_media


def decode(body: bytes) -> Any:
    """Return the object."""
    raise unsupported_media("protobuf is not understood yet")
