"""What the twin passes around."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON has it."""
Values = Mapping[str, Any]
"""The same, only read."""
