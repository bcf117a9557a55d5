"""Work for GPUs and nothing else: each device trains by itself, as long as somebody asks for rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from knowngood.probe.answer import Answer, bad, good
from knowngood.probe.smoke.backend import CUDA
from knowngood.probe.smoke.exchange import wait
from knowngood.probe.smoke.learning import SEED
from knowngood.probe.smoke.network import Size, loss_of, network, sequences

STEPS = 20
SIZE = Size(vocabulary=1024, width=1024, layers=4, heads=16, length=512, batch=4, fused=True)
"""Some 2 GiB: tenants' work on the same GPU (time-slicing) must still find room."""


class Burn:
    """A model on each device. `round` keeps all of them busy at the same time."""

    def __init__(self, torch: Any, devices: Sequence[Any], size: Size = SIZE) -> None:
        self._torch, self._devices = torch, devices
        self._models = [network(torch, size, SEED, device) for device in devices]
        self._optimizers = [torch.optim.AdamW(m.parameters(), lr=1e-4) for m in self._models]
        self._batches = [sequences(torch, size, n).to(device) for n, device in enumerate(devices)]

    def round(self) -> Answer:
        """Train each a little; bad where a loss is not a number."""
        losses: list[Any] = []
        for _ in range(STEPS):
            losses = [self._step(n) for n in range(len(self._devices))]
        for device in self._devices:
            wait(self._torch, device)
        values = [float(loss) for loss in losses]
        wrong = [str(d) for d, v in zip(self._devices, values) if not math.isfinite(v)]  # noqa: B905 (Python 3.9)
        if wrong:
            return bad(CUDA, f"the loss on {', '.join(wrong)} is not a number")
        return good(CUDA, {"gpus": len(values), "lastLoss": round(max(values), 5)})

    def _step(self, number: int) -> Any:
        torch, optimizer = self._torch, self._optimizers[number]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._devices[number].type, dtype=torch.bfloat16):
            loss = loss_of(torch, self._models[number], self._batches[number])
        loss.backward()
        optimizer.step()
        return loss.detach()
