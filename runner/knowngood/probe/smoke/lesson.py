"""What a server is asked: a task that is trained here, prompts whose answers leave no doubt, and these answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from knowngood.probe.smoke.backend import CPU
from knowngood.probe.smoke.completions import TOP, Expected
from knowngood.probe.smoke.learning import SEED
from knowngood.probe.smoke.network import Size, loss_of, network, sequences
from knowngood.probe.smoke.server import Model, answer, best

PROMPTS, PROMPT, MOST = 6, 12, 24
"""How many prompts, of how many tokens, and the most tokens of an answer."""
MARGIN = 0.5
"""By how much (in log-probability) the best token must be likelier than the next for a prompt to be asked: where two
are alike, another server may well take the other one."""
LEARNED, STEPS = 0.2, 600
"""The mean loss at which the task is learned well enough to ask, and the most steps until then (34 to 93 on CPUs)."""


def size_of(backend: str) -> Size:
    """The model's: on GPUs large enough that a token is more than the launch of its kernels."""
    length = PROMPT + MOST
    return (
        Size(length=length) if backend == CPU else Size(width=256, layers=4, heads=8, length=length, batch=32)
    )


def trained(torch: Any, path: Path, backend: str) -> None:
    """Train the task until it is learned, on the first device, and write the checkpoint."""
    device = torch.device("cpu" if backend == CPU else "cuda:0")
    size = size_of(backend)
    model = network(torch, size, SEED).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3 if size.width <= 64 else 1e-3)
    for number in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(torch, model, sequences(torch, size, number).to(device))
        loss.backward()
        optimizer.step()
        if float(loss.detach()) < LEARNED:
            break
    weights = {k: v.detach().cpu() for k, v in model.state_dict().items()}
    torch.save({"size": size.plain(), "weights": weights}, path)


def expected(torch: Any, path: Path) -> list[Expected]:
    """Prompts whose answers leave no doubt, and the answers by the CPU in fp64; half of them end by `stop`."""
    model = Model(torch, path, torch.device("cpu"), wide=True)
    found: list[Expected] = []
    for seed in range(5000, 5040):
        for row in sequences(torch, model.size, seed).tolist():
            one = known(model, tuple(row[:PROMPT]))
            finishes = [e.finish for e in found]
            if one is not None and finishes.count(one.finish) < PROMPTS // 2:
                found.append(one)
            if len(found) == PROMPTS:
                return found
    return found


def known(model: Model, prompt: tuple[int, ...]) -> Expected | None:
    """The answer to a prompt; None where some token of it is in doubt."""
    tokens, top, finish = [], [], ""
    for token, scores, last in answer(model, prompt, MOST):
        first, second = list(best(scores, 2).values())
        if first - second < MARGIN:
            return None
        tokens.append(token)
        top.append(best(scores, TOP))
        finish = last
    return Expected(prompt, tuple(tokens), finish, tuple(top), MOST)
