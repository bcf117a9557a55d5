"""A model learns on all GPUs of the node, as users launch it: torchrun, DDP, NCCL.

Proves: each GPU's products are right in fp32, tf32, bf16 and fp8, its memory holds what is written, its gradients are
those of the CPU; all-reduce, all-gather and each pair's exchange give the right values, by the transport that the
profile promises; the loss falls; a checkpoint is read back as written; no GPU, link or node is slower than it was.
Needs: a probe Job that takes all GPUs of the node (active: only on nodes without tenants), with torch in its image; of
a parted node all MIG instances, each of which computes by itself and is held against those of its profile.
fail: one of these is measurably wrong (the reason names the rank and its device), a rank aborts or hangs; or a figure
is below minThroughputRatio or minAllReduceRatio of the node's own baseline (0.9: NVIDIA/NVSentinel ADR-049;
NVIDIA/nccl-tests src/util.cu), minPoolRatio of the nodes judged with it, or minTokensPerSecond or minAllReduceGBps of
the profile; a rank by itself is below minRankRatio of the others, a link below minPairRatio (ours).
inconclusive: no answer, another backend than the profile's, an image without torch or too new for the driver, no
memory or shared memory for it; or a figure, or a part of one, that the baseline has was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from knowngood.gate.smoke import judge_smoke
from knowngood.gate.speeds import Figure
from knowngood.model.matrix import Profile

PAYLOAD = "training"
FIGURES = (
    Figure("tokensPerSecond", limit="minTokensPerSecond", ratio="minThroughputRatio", share=0.9),
    Figure("allReduceGBps", limit="minAllReduceGBps", ratio="minAllReduceRatio", share=0.9, several=True),
)


def test_smoke_training(
    probe: Mapping[str, Any],
    limits: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    pool: Sequence[Mapping[str, Any]],
    profile: Profile,
    node: str,
) -> None:
    """See the module."""
    judge_smoke(probe, limits, baseline, pool, FIGURES, nvswitch=profile.nvswitch)
