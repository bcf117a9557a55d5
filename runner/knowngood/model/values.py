"""JSON values that cross a border: what the API server, a file or a child process says. Named once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
"""A JSON object that may be built upon: a Kubernetes object, a document to write."""
Values = Mapping[str, Any]
"""A JSON object that is only read."""
