"""A small model learns on all GPUs of the node at once.

Proves: every GPU computes, the loss falls, and where there are several GPUs NCCL sums rightly between them.
Needs: a probe Job that takes all GPUs of the node (active: only on nodes without tenants).
fail: a GPU is missing, the driver's parts disagree, the loss does not fall, replicas diverge, or throughput is below
minThroughputRatio of the node's own baseline (NVIDIA/NVSentinel ADR-049: 0.9) or a floor of the profile.
inconclusive: no answer from the probe.
On a machine without GPUs the same is computed in plain Python (backend reference): never evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knowngood.gate.smoke import judge_smoke

PAYLOAD = "training"
RATE = "tokensPerSecond"
FLOORS = {"minTokensPerSecond": "tokensPerSecond", "minAllReduceGbPerSecond": "allReduceGBps"}


def test_smoke_training(
    node: str, probe: Mapping[str, Any], limits: Mapping[str, Any], baseline: Mapping[str, Any] | None
) -> None:
    """See the module."""
    judge_smoke(probe, limits, baseline, rate=RATE, floors=FLOORS)
