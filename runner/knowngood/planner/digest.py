"""Digests that bind a plan to the data it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster


def digest(value: Any) -> str:
    """sha256 (hex) of JSON values or a dataclass, the same for the same values in any order of keys."""
    text = json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def cluster_digest(cluster: Cluster) -> str:
    """The digest of what a cluster file says, whatever its comments and layout."""
    return digest(cluster.raw)


def files_digest(files: Mapping[str, bytes]) -> str:
    """One digest over files by name, the same wherever they lie; "" for none at all."""
    return digest({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}) if files else ""
