"""JSON values that cross a border, as `knowngood.model.values` has them; the probe stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
"""A JSON object that may be built upon."""
Values = Mapping[str, Any]
"""A JSON object that is only read."""
