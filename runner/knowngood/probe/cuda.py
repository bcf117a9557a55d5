"""The smoke payloads on real GPUs, with torch: a small transformer on every visible GPU, and NCCL between them.

The functions take torch and the devices as arguments, so that they can be tried on a machine without GPUs.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

Torch = Any
VOCABULARY, WIDTH, LENGTH, BATCH = 64, 128, 64, 32
LEARNED = 0.9
"""The last loss must be below this share of the first; 20 steps reach about 0.7 on one device."""
REDUCE_BYTES = 256 * 1024 * 1024
_TOLERANCE = 1e-3


def devices(torch: Torch) -> list[Any]:
    """All visible GPUs."""
    return [torch.device("cuda", i) for i in range(torch.cuda.device_count())]


def train(torch: Torch, gpus: int, steps: int) -> dict[str, Any]:
    """Data-parallel training on all GPUs, then an all-reduce between them."""
    places = devices(torch)
    if len(places) != gpus:
        return _result(f"torch sees {len(places)} GPUs, expected {gpus}", {"gpus": len(places)})
    measured, reason = learn(torch, places, steps)
    if not reason and len(places) > 1:
        reduced, reason = all_reduce(torch, places, REDUCE_BYTES)
        measured.update(reduced)
    return _result(reason, measured)


def infer(torch: Torch, gpus: int, requests: int) -> dict[str, Any]:
    """Requests on each GPU in turn, checked against the CPU's answer."""
    places = devices(torch)
    if len(places) != gpus:
        return _result(f"torch sees {len(places)} GPUs, expected {gpus}", {"gpus": len(places)})
    measured, reason = answer(torch, places, requests)
    return _result(reason, measured)


def learn(torch: Torch, places: Sequence[Any], steps: int) -> tuple[dict[str, Any], str]:
    """Train one replica a device on shares of the same task; gradients are averaged by NCCL at each step."""
    torch.manual_seed(1)
    model = _model(torch)
    replicas = [copy.deepcopy(model).to(place) for place in places]
    optimizers = [torch.optim.AdamW(r.parameters(), lr=3e-3) for r in replicas]
    tokens = [_tokens(torch, index).to(place) for index, place in enumerate(places)]
    losses, seconds = [], 0.0
    for step in range(steps + 1):
        _wait(torch, places)
        started = time.perf_counter()
        here = []
        for replica, batch in zip(replicas, tokens):  # noqa: B905 (strict= is from Python 3.10)
            replica.zero_grad(set_to_none=True)
            scores = replica(batch[:, :-1])
            loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch[:, 1:].flatten())
            loss.backward()
            here.append(loss.detach())
        _average(torch, replicas)
        for optimizer in optimizers:
            optimizer.step()
        _wait(torch, places)
        losses.append(sum(float(x) for x in here) / len(here))
        seconds += time.perf_counter() - started if step else 0.0  # the first step compiles and allocates
    measured = {
        "gpus": len(places),
        "steps": steps,
        "firstLoss": round(losses[0], 5),
        "lastLoss": round(losses[-1], 5),
        "tokensPerSecond": round(steps * len(places) * BATCH * (LENGTH - 1) / max(seconds, 1e-9)),
    }
    if not losses[-1] < LEARNED * losses[0]:  # also for NaN
        return measured, f"the loss went from {losses[0]:.4f} to {losses[-1]:.4f}: it did not fall"
    return measured, _replicas_differ(replicas)


def all_reduce(torch: Torch, places: Sequence[Any], size: int) -> tuple[dict[str, Any], str]:
    """An all-reduce of `size` bytes a GPU; bus bandwidth as nccl-tests count it: 2(n-1)/n times the size."""
    nccl = torch.cuda.nccl
    tensors = [torch.full((size // 4,), float(i + 1), device=p) for i, p in enumerate(places)]
    nccl.all_reduce(tensors)
    _wait(torch, places)
    wanted = float(sum(range(1, len(places) + 1)))
    wrong = [i for i, t in enumerate(tensors) if not bool((t == wanted).all())]
    if wrong:
        return {}, f"the all-reduce gave wrong sums on GPU {wrong[0]}"
    rounds = 10
    started = time.perf_counter()
    for _ in range(rounds):
        nccl.all_reduce(tensors)
    _wait(torch, places)
    seconds = (time.perf_counter() - started) / rounds
    share = 2 * (len(places) - 1) / len(places)
    return {"allReduceGBps": round(size * share / seconds / 1e9, 1)}, ""


def answer(torch: Torch, places: Sequence[Any], requests: int) -> tuple[dict[str, Any], str]:
    """Latency over all GPUs, the first call of each not counted; every answer must equal the CPU's."""
    torch.manual_seed(2)
    torch.backends.cuda.matmul.allow_tf32 = False
    model = _model(torch).eval()
    prompt = _tokens(torch, 0)[:1]
    latencies = []
    with torch.inference_mode():
        wanted = model(prompt)
        for index, place in enumerate(places):
            local, question = copy.deepcopy(model).to(place), prompt.to(place)
            for number in range(requests + 1):
                started = time.perf_counter()
                given = local(question).cpu()
                elapsed = (time.perf_counter() - started) * 1000
                if not torch.allclose(given, wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
                    return {"gpus": len(places)}, f"GPU {index} answered otherwise than the CPU"
                if number:
                    latencies.append(elapsed)
    latencies.sort()
    measured = {
        "gpus": len(places),
        "requests": requests,
        "p50Ms": round(latencies[len(latencies) // 2], 3),
        "p99Ms": round(latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))], 3),
        "requestsPerSecond": round(1000 * len(latencies) / sum(latencies), 1),
    }
    return measured, ""


def _model(torch: Torch) -> Any:
    layer = torch.nn.TransformerEncoderLayer(
        WIDTH, nhead=4, dim_feedforward=4 * WIDTH, dropout=0.0, batch_first=True
    )
    return torch.nn.Sequential(
        torch.nn.Embedding(VOCABULARY, WIDTH),
        torch.nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False),
        torch.nn.Linear(WIDTH, VOCABULARY),
    )


def _tokens(torch: Torch, share: int) -> Any:
    """Sequences that count upwards by a step of their own: the next token follows from the last two."""
    starts = torch.arange(BATCH).unsqueeze(1) + share * BATCH
    steps = starts % 3 + 1
    return (starts + steps * torch.arange(LENGTH).unsqueeze(0)) % VOCABULARY


def _average(torch: Torch, replicas: Sequence[Any]) -> None:
    if len(replicas) == 1:
        return
    for gradients in zip(*([p.grad for p in r.parameters()] for r in replicas)):  # noqa: B905
        torch.cuda.nccl.all_reduce(list(gradients))
        for gradient in gradients:
            gradient.div_(len(replicas))


def _replicas_differ(replicas: Sequence[Any]) -> str:
    first = [p.detach().cpu() for p in replicas[0].parameters()]
    for index, replica in enumerate(replicas[1:], start=1):
        for mine, other in zip(first, replica.parameters()):  # noqa: B905
            if not bool(((mine - other.detach().cpu()).abs() <= _TOLERANCE).all()):
                return f"GPU {index} ended with other weights than GPU 0 after the same averaged steps"
    return ""


def _wait(torch: Torch, places: Sequence[Any]) -> None:
    for place in places:
        if place.type == "cuda":
            torch.cuda.synchronize(place)


def _result(reason: str, measured: dict[str, Any]) -> dict[str, Any]:
    return {"ok": not reason, "backend": "cuda", "reason": reason, "measured": measured}
