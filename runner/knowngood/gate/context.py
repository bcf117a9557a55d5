"""`context.json`: what the runner asks this process to judge."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from knowngood.model.context import JudgeRequest
from knowngood.model.hardware import Hardware
from knowngood.model.jsonable import from_json
from knowngood.model.matrix import Cluster, Release
from knowngood.model.values import Object

SCHEMA = 1
SEEN = "seen.json"
"""In the judgement's folder: the nodes as they were looked at, for the runner."""


@dataclass(frozen=True, slots=True)
class Context:
    """One judgement's request, the cluster and the hardware it is about, and how the cluster is reached."""

    request: JudgeRequest
    cluster: Cluster
    hardware: Hardware
    release: Release | None
    kubeconfig: str
    folder: str
    namespace: str
    first_look: str = ""


def load(path: Path) -> Context:
    """Read `context.json`; ValueError where it is not one of ours."""
    data: Object = json.loads(path.read_text(encoding="utf-8"))
    if data.pop("schema", None) != SCHEMA:
        raise ValueError(f"{path}: expected schema {SCHEMA}")
    return from_json(Context, data)
