"""Collectives whose results are known beforehand, and how fast they are: all ranks together, then each pair."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from knowngood.probe.smoke.network import Signs
from knowngood.probe.values import Object

Torch = Any
Tensor = Any
REPEATS = 3
FEW = 4096
"""Elements of a wrong result that go into its sums, which tell what was done instead."""


def part(torch: Torch, rank: int, count: int, kind: str, device: Any) -> Tensor:
    """What a rank brings: whole numbers of its own, small enough that their sums are exact in the format."""
    spread = 17 if kind == "bfloat16" else 251
    index = torch.arange(count, device=device, dtype=torch.int64)
    whole = (index * (2 * rank + 3) + rank) % spread - spread // 2
    return whole.to(getattr(torch, kind))


def by_value(
    torch: Torch, dist: Any, device: Any, sizes: list[int], tick: Callable[[str], None]
) -> Iterator[Object]:
    """All-reduce and all-gather of `sizes` elements; each says how many elements are wrong, and of a wrong one the sums
    of what was got and of what each rank brought.
    """
    rank, world = dist.get_rank(), dist.get_world_size()
    for kind in ("float32", "bfloat16"):
        for count in sizes:
            parts = [part(torch, k, count, kind, device) for k in range(world)]
            got = parts[rank].clone()
            tick(f"all-reduce of {count} {kind}")
            dist.all_reduce(got)
            tick(f"all-reduce of {count} {kind} done")
            wanted = torch.stack(parts).double().sum(dim=0)
            yield _compared(torch, "all-reduce", got, wanted, parts, {"elements": count, "form": kind})
            places = [torch.empty_like(got) for _ in range(world)]
            tick(f"all-gather of {count} {kind}")
            dist.all_gather(places, parts[rank])
            tick(f"all-gather of {count} {kind} done")
            for k, place in enumerate(places):
                more = {"elements": count, "form": kind, "place": k}
                yield _compared(torch, "all-gather", place, parts[k].double(), parts, more)


def _compared(
    torch: Torch, what: str, got: Tensor, wanted: Tensor, parts: list[Tensor], more: Object
) -> Object:
    wrong = got.double() != wanted
    said = {"what": what, "wrong": int(wrong.sum()), **more}
    if said["wrong"]:
        signs = Signs(torch, [(min(FEW, got.numel()),)], got.device)
        said |= {"got": signs.sums([got[:FEW]]), "parts": [signs.sums([p[:FEW]]) for p in parts]}
    return said


def all_reduce(
    torch: Torch, dist: Any, device: Any, size: int, rounds: int, tick: Callable[[str], None]
) -> list[float]:
    """Bus bandwidth in GB/s of an all-reduce of `size` bytes, `REPEATS` times. As nccl-tests count it: 2(n-1)/n times
    the size (nccl-tests doc/PERFORMANCE.md).
    """
    world = dist.get_world_size()
    data = torch.zeros(size // 4, device=device)  # however often they are added
    dist.all_reduce(data)
    found = []
    for _ in range(REPEATS):
        tick("all-reduce for time")
        dist.barrier()
        wait(torch, device)
        started = time.perf_counter()
        for _ in range(rounds):
            dist.all_reduce(data)
        wait(torch, device)
        seconds = (time.perf_counter() - started) / rounds
        found.append(size * 2 * (world - 1) / world / max(seconds, 1e-9) / 1e9)
    return found


def rounds_of(world: int) -> list[list[tuple[int, int]]]:
    """Rounds in which each rank has at most one partner, until each pair has met once (the circle method)."""
    seats = [*range(world), *([-1] if world % 2 else [])]
    found = []
    for _ in range(len(seats) - 1):
        half = len(seats) // 2
        pairs = [(seats[i], seats[-1 - i]) for i in range(half)]
        found.append(sorted((min(p), max(p)) for p in pairs if -1 not in p))
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return found


def pairs(torch: Torch, dist: Any, device: Any, size: int, tick: Callable[[str], None]) -> Iterator[Object]:
    """Each pair of ranks sends `size` bytes both ways at once; GB/s one way, the best of `REPEATS`, and the wrong
    elements of what came.
    """
    rank, count = dist.get_rank(), size // 4
    mine = part(torch, rank, count, "float32", device)
    came = torch.empty_like(mine)
    for number, round_ in enumerate(rounds_of(dist.get_world_size())):
        partner = next((a + b - rank for a, b in round_ if rank in (a, b)), None)
        tick(f"pairs, round {number}")
        if partner is not None:
            best = 0.0
            for turn in range(REPEATS + 1):
                wait(torch, device)
                started = time.perf_counter()
                swap(dist, mine, came, partner)
                wait(torch, device)
                seconds = time.perf_counter() - started
                best = (
                    max(best, size / max(seconds, 1e-9) / 1e9) if turn else 0.0
                )  # the first makes the connection
            wrong = int((came != part(torch, partner, count, "float32", device)).sum())
            yield {"partner": partner, "GBps": best, "wrong": wrong}
        tick(f"pairs, round {number} done")
        dist.barrier()


def swap(dist: Any, mine: Tensor, came: Tensor, partner: int) -> None:
    """Send and receive at once."""
    both = [dist.P2POp(dist.isend, mine, partner), dist.P2POp(dist.irecv, came, partner)]
    for work in dist.batch_isend_irecv(both):
        work.wait()


def wait(torch: Torch, device: Any) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
