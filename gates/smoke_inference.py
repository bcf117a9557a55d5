"""A model answers rightly and in time on every GPU of the node, by the API that inference servers have.

Proves: each GPU gives the answers that the CPU gives in fp64 (tokens, why they end, how many, and the log-probabilities
of the best five), also when many ask at once; and how long the first token and the next ones take. `server` in the
figures says who served: our own minimal server, or another behind the same port.
Needs: a probe Job that takes all GPUs of the node (active: only on nodes without tenants), with torch in its image; of
a parted node all MIG instances, each of which computes by itself and is held against those of its profile.
fail: an answer is wrong or fails (the reason names the device); or a figure is below minThroughputRatio of the node's
own baseline, above maxLatencyRatio of it, or outside the profile's own limits (the ratios are proposals).
inconclusive: as in smoke_training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from knowngood.gate.smoke import judge_smoke
from knowngood.gate.speeds import Figure
from knowngood.model.matrix import Profile

PAYLOAD = "inference"
FIGURES = (
    Figure("requestsPerSecond", limit="minRequestsPerSecond", ratio="minThroughputRatio", share=0.9),
    Figure("firstTokenP50Ms", limit="maxFirstTokenP50Ms", ratio="maxLatencyRatio", share=1.5, less=True),
    Figure("nextTokenP99Ms", limit="maxNextTokenP99Ms", ratio="maxLatencyRatio", share=1.5, less=True),
)


def test_smoke_inference(
    probe: Mapping[str, Any],
    limits: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    pool: Sequence[Mapping[str, Any]],
    profile: Profile,
    node: str,
) -> None:
    """See the module."""
    judge_smoke(probe, limits, baseline, pool, FIGURES, nvswitch=profile.nvswitch)
