"""An order of probes, as a judgement gives it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from knowngood.adapters.judging.probe_manifest import Order, Share

SHARE = ("params", "gpus", "needs", "storage")
"""What is each node's own; here all have the same."""


def order(**changes: Any) -> Order:
    values: dict[str, Any] = {
        "run": "r1",
        "name": "hop-1/ring-0/judge",
        "nodes": ("gpu-1", "gpu-2"),
        "payloads": ("rdma", "training"),
        "image": "registry.example.com/probe@sha256:0",
        "deadline": 0.3,
    }
    share: dict[str, Any] = {"params": {"gpus": 8}, "gpus": 8} | {
        k: changes.pop(k) for k in SHARE if k in changes
    }
    made = Order(**{**values, **changes})
    return replace(made, own=dict.fromkeys(made.nodes, Share(**share)))
