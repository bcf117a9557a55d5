"""A small model answers rightly and in time on every GPU of the node.

Proves: every GPU gives the answers that the CPU gives, time after time.
Needs: a probe Job that takes all GPUs of the node (active: only on nodes without tenants).
fail: a GPU is missing, the driver's parts disagree, an answer is wrong, or throughput is below minThroughputRatio of
the node's own baseline (a proposal, after smoke_training) or a floor of the profile.
inconclusive: no answer from the probe.
On a machine without GPUs the same is computed in plain Python (backend reference): never evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knowngood.gate.smoke import judge_smoke

PAYLOAD = "inference"
RATE = "requestsPerSecond"
FLOORS = {"minRequestsPerSecond": "requestsPerSecond"}


def test_smoke_inference(
    node: str, probe: Mapping[str, Any], limits: Mapping[str, Any], baseline: Mapping[str, Any] | None
) -> None:
    """See the module."""
    judge_smoke(probe, limits, baseline, rate=RATE, floors=FLOORS)
