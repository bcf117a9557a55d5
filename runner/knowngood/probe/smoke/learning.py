"""Data-parallel training on one rank of many, by DDP: a few steps that are verified by value, then a load."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from knowngood.probe.smoke.exchange import wait
from knowngood.probe.smoke.network import Signs, Size, loss_of, network, sequences
from knowngood.probe.values import Object

Torch = Any
Tick = Callable[[str], None]
SEED = 20
RATE = 0.1
"""Of the verified steps: plain gradient descent, so that a step of the weights can be recomputed from sums."""
WINDOWS = 3
SOLO = 3
WARM = 3


def share(rank: int, step: int) -> int:
    """The seed of the data that a rank learns from in a step."""
    return 1000 * (rank + 1) + step


def gradient(torch: Torch, model: Any, batch: Any) -> float:
    """Compute the model's gradients on a batch; returns the loss."""
    loss = loss_of(torch, model, batch)
    loss.backward()
    return float(loss.detach())


def reduce(dist: Any, bucket: Any) -> Any:
    """Average a bucket of gradients over all ranks, as DDP does by itself; returns the future with the result."""
    tensor = bucket.buffer()
    tensor.div_(dist.get_world_size())
    return dist.all_reduce(tensor, async_op=True).get_future().then(lambda done: done.value()[0])


def optimizer_of(torch: Torch, model: Any) -> Any:
    """What moves the weights in the verified steps."""
    return torch.optim.SGD(model.parameters(), lr=RATE)


class Verified:
    """A model under DDP whose every step leaves the sums of its gradients, of their mean and of its weights."""

    def __init__(self, torch: Torch, dist: Any, device: Any, size: Size) -> None:
        self.torch, self.dist, self.device, self.size = torch, dist, device, size
        seeded = network(torch, size, SEED)
        shapes = [p.shape for p in seeded.parameters()]
        self.cpu, self.signs = Signs(torch, shapes, "cpu"), Signs(torch, shapes, device)
        self.seeded = self.cpu.sums(list(seeded.parameters()))
        self.wide = network(torch, size, SEED).double()
        self.model = seeded.to(device)
        self._number = {p: n for n, p in enumerate(self.model.parameters())}
        self._own: list[float] = []
        self._reducing: Callable[[], None] = lambda: None
        self.ddp = torch.nn.parallel.DistributedDataParallel(self.model)
        # DDP reads a hook's annotations and wants its own class, which is not known here.
        self.ddp.register_comm_hook(None, lambda _, bucket: self._before_reduction(bucket))
        self.optimizer = optimizer_of(torch, self.model)

    def _before_reduction(self, bucket: Any) -> Any:
        for parameter, own in zip(bucket.parameters(), bucket.gradients()):  # noqa: B905 (strict= is from 3.10)
            sums = self.signs.sums([own], self._number[parameter])
            self._own = [a + b for a, b in zip(self._own, sums)]  # noqa: B905
        self._reducing()
        return reduce(self.dist, bucket)

    def weights(self) -> list[float]:
        """The sums of the weights as they are."""
        return self.signs.sums(list(self.model.parameters()))

    def wanted(self, rank: int, step: int) -> list[float]:
        """The sums of the gradient that the rank's data give with the weights as they are: by the CPU, in fp64.

        Whose data they are is counted here anew: a rank that learns from another's share is wrong.
        """
        self.wide.load_state_dict({k: v.detach().cpu().double() for k, v in self.model.state_dict().items()})
        self.wide.zero_grad(set_to_none=True)
        loss_of(self.torch, self.wide, sequences(self.torch, self.size, 1000 * (rank + 1) + step)).backward()
        return self.cpu.sums([p.grad for p in self.wide.parameters()])

    def step(self, number: int, tick: Tick) -> Object:
        """One step, with its sums."""
        rank = self.dist.get_rank()
        before, wanted = self.weights(), self.wanted(rank, number)
        self._own = [0.0] * len(before)
        self._reducing = lambda: tick(f"step {number}: reduction")
        self.optimizer.zero_grad(set_to_none=True)
        batch = sequences(self.torch, self.size, share(rank, number)).to(self.device)
        tick(f"step {number}: gradients")
        loss = gradient(self.torch, self.ddp, batch)
        tick(f"step {number}: reduced")
        reduced = self.signs.sums([p.grad for p in self.model.parameters()])
        self.optimizer.step()
        said = {"number": number, "loss": loss, "rate": RATE, "own": self._own, "wanted": wanted}
        said |= {"reduced": reduced, "before": before, "after": self.weights()}
        return said if number else {**said, "seeded": self.seeded}


class Load:
    """A larger model that keeps the device busy: bf16 on GPUs, AdamW, the library's own attention."""

    def __init__(self, torch: Torch, dist: Any, device: Any, size: Size) -> None:
        self.torch, self.dist, self.device, self.size = torch, dist, device, size
        self.model = network(torch, size, SEED, device)  # not by way of the host's memory
        self.ddp = torch.nn.parallel.DistributedDataParallel(self.model)
        fast = {"fused": True} if device.type == "cuda" else {}
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-4 if size.width > 256 else 3e-3, **fast
        )
        rank = dist.get_rank()
        self.batches = [sequences(torch, size, share(rank, n)).to(device) for n in range(4)]

    def _narrow(self) -> AbstractContextManager[Any]:
        if self.device.type != "cuda":
            return nullcontext()
        found: AbstractContextManager[Any] = self.torch.autocast("cuda", dtype=self.torch.bfloat16)
        return found

    def step(self, number: int, tick: Tick) -> Any:
        """One step; the loss, still on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        with self._narrow():
            loss = loss_of(self.torch, self.ddp, self.batches[number % len(self.batches)])
        tick(f"load, step {number}: reduction")
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def run(self, seconds: float, tick: Tick) -> Iterator[Object]:
        """`WINDOWS` windows of training that together take `seconds` or more; tokens a second of all ranks."""
        losses = [self.step(number, tick) for number in range(WARM)]  # they allocate, and choose kernels
        wait(self.torch, self.device)
        started = time.perf_counter()
        losses.append(self.step(WARM, tick))
        wait(self.torch, self.device)
        steps = self._agreed(seconds / WINDOWS / max(time.perf_counter() - started, 1e-4))
        for window in range(WINDOWS):
            self.dist.barrier()
            started = time.perf_counter()
            for number in range(steps):
                tick(f"load, window {window}, step {number}")
                losses.append(self.step(number, tick))
            wait(self.torch, self.device)
            tokens = steps * self.size.batch * self.size.length * self.dist.get_world_size()
            yield {"tokensPerSecond": tokens / (time.perf_counter() - started)}
        values = [float(x) for x in losses]
        finite = all(map(math.isfinite, values))
        # All four batches are in each of these means.
        first, last = sum(values[:4]) / len(values[:4]), sum(values[-4:]) / len(values[-4:])
        yield {"steps": len(values), "firstLoss": first, "lastLoss": last, "finite": finite}

    def _agreed(self, steps: float) -> int:
        """The same number on all ranks: rank 0's, at least as many as show a loss that falls."""
        said = self.torch.tensor([max(8.0, math.ceil(steps * 1.2))], device=self.device)
        self.dist.broadcast(said, 0)
        return int(said)

    def alone(self, tick: Tick) -> Object:
        """This rank by itself, all at the same time and without a word between them: tokens a second, best of `SOLO`.

        Together they are as fast as the slowest; this tells which one that is.
        """
        self.dist.barrier()
        best = 0.0
        for turn in range(SOLO):
            tick(f"alone, turn {turn}")
            started = time.perf_counter()
            for number in range(4):
                self.local(self.batches[number])
            wait(self.torch, self.device)
            best = max(best, 4 * self.size.batch * self.size.length / (time.perf_counter() - started))
        tick("alone done")
        return {"tokensPerSecond": best}

    def local(self, batch: Any) -> None:
        """A gradient that is not reduced."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.ddp.no_sync(), self._narrow():
            loss = loss_of(self.torch, self.ddp, batch)
        loss.backward()

    def common(self) -> Object:
        """The sums of the weights, and of the gradient on a batch that is the same on all ranks: they must agree."""
        signs = Signs(self.torch, [p.shape for p in self.model.parameters()], self.device, most=4096)
        weights = signs.sums(list(self.model.parameters()))
        self.local(sequences(self.torch, self.size, 7).to(self.device))
        return {"weights": weights, "gradient": signs.sums([p.grad for p in self.model.parameters()])}
