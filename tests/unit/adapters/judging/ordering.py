"""An order of probes, as a judgement gives it."""

from __future__ import annotations

from typing import Any

from knowngood.adapters.judging.probe_manifest import Order


def order(**changes: Any) -> Order:
    values: dict[str, Any] = {
        "run": "r1",
        "name": "hop-1/ring-0/judge",
        "nodes": ("gpu-1", "gpu-2"),
        "payloads": ("rdma", "training"),
        "params": {"gpus": 8},
        "image": "registry.example.com/probe@sha256:0",
        "gpus": 8,
        "deadline": 0.3,
    }
    return Order(**{**values, **changes})
