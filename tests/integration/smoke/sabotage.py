"""A worker of the smoke training that is sabotaged, on purpose, as its order says. Only these tests launch it.

Each sabotage changes one function of one rank for one round, as a broken GPU, link or library would; the rounds follow
each other in one launch, each with records of its own. `healthy` changes nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from knowngood.probe.smoke import arithmetic, learning, server, worker
from knowngood.probe.smoke.records import Notes
from knowngood.probe.smoke.worker import Work

BROKEN = 1
Patches = Callable[[Work], list[Any]]


def on_gradients(change: Callable[[Any, Any], Any]) -> Patches:
    """The gradients of the verified steps are changed as they come out of the backward pass."""

    def patches(work: Work) -> list[Any]:
        def gradient(torch: Any, model: Any, batch: Any, original: Any = learning.gradient) -> float:
            held = [p.register_hook(lambda g: change(torch, g)) for p in model.parameters()]
            loss = original(torch, model, batch)
            for hook in held:
                hook.remove()
            return float(loss)

        return [patch.object(learning, "gradient", gradient)] if work.rank == BROKEN else []

    return patches


def reducing(change: Callable[[Any, Any, Any], Any], *, everywhere: bool = False) -> Patches:
    """What comes out of a reduction is changed."""

    def patches(work: Work) -> list[Any]:
        def reduce(dist: Any, bucket: Any, original: Any = learning.reduce) -> Any:
            own = bucket.buffer().clone()
            return original(dist, bucket).then(lambda done: change(dist, own, done.value()))

        return [patch.object(learning, "reduce", reduce)] if everywhere or work.rank == BROKEN else []

    return patches


def broadcast(work: Work) -> list[Any]:
    def reduce(dist: Any, bucket: Any) -> Any:
        buffer = bucket.buffer()
        done = dist.broadcast(buffer, 0, async_op=True).get_future()
        return done.then(lambda _: buffer)

    return [patch.object(learning, "reduce", reduce)]


def replaced(where: Any, name: str, make: Callable[[Work, Any], Any], *, everywhere: bool = False) -> Patches:
    """A function in place of the one of that name; `make` gets the original."""
    return lambda work: (
        [patch.object(where, name, make(work, getattr(where, name)))]
        if everywhere or work.rank == BROKEN
        else []
    )


def still(_work: Work, original: Any) -> Any:
    """An optimizer that never steps."""

    def made(*arguments: Any, **more: Any) -> Any:
        optimizer = original(*arguments, **more)
        optimizer.step = lambda: None
        return optimizer

    return made


def product_of(form: str, change: Callable[[Any, Any], Any]) -> Patches:
    def make(_work: Work, original: Any) -> Any:
        def multiply(torch: Any, which: str, a: Any, b: Any) -> Any:
            result = original(torch, which, a, b)
            return change(torch, result) if which == form else result

        return multiply

    return replaced(arithmetic, "multiply", make)


def off(torch: Any, result: Any) -> Any:
    """An error of 5e-3, the same each time."""
    dice = torch.Generator().manual_seed(3)
    return result * (1 + 5e-3 * torch.randn(result.shape, generator=dice))


def one_element(_torch: Any, result: Any) -> Any:
    result[7, 7] += 1
    return result


def first_word(_work: Work, original: Any) -> Any:
    calls = iter(range(1_000_000))

    def pattern(*arguments: Any) -> Any:
        words = original(*arguments)
        if next(calls) == 0:
            words[3] ^= 1 << 17
        return words

    return pattern


def swapped_places(work: Work) -> list[Any]:
    def all_gather(
        places: list[Any], mine: Any, group: Any = None, original: Any = work.dist.all_gather
    ) -> None:
        original(places, mine, group=group)
        if group is None:
            places[0].copy_(places[1].clone())

    return [patch.object(work.dist, "all_gather", all_gather)] if work.rank == BROKEN else []


def slept(seconds: float) -> Callable[[Work, Any], Any]:
    def make(_work: Work, original: Any) -> Any:
        def slow(*arguments: Any, **more: Any) -> Any:
            time.sleep(seconds)
            return original(*arguments, **more)

        return slow

    return make


def nothing_learned(_work: Work, original: Any) -> Any:
    def step(self: Any, number: int, tick: Any) -> Any:
        weights = [p.detach().clone() for p in self.model.parameters()]
        loss = original(self, number, tick)
        for now, before in zip(self.model.parameters(), weights, strict=True):
            now.data.copy_(before)
        return loss

    return step


def not_a_number(_work: Work, original: Any) -> Any:
    return lambda self, number, tick: original(self, number, tick) * float("nan")


def without(stage: str) -> Patches:
    left = tuple(s for s in worker.STAGES if s.__name__ != stage)
    return replaced(worker, "STAGES", lambda _w, _o: left, everywhere=True)


def altered(original: Any) -> Any:
    def load(*arguments: Any, **more: Any) -> Any:
        found = original(*arguments, **more)
        next(iter(found["weights"].values())).view(-1)[0] += 1
        return found

    return load


def drifted(_work: Work, original: Any) -> Any:
    def common(self: Any) -> Any:
        next(self.model.parameters()).data.mul_(1.01)
        return original(self)

    return common


SABOTAGE: dict[str, tuple[Patches, str]] = {
    "healthy": (lambda _: [], ""),
    "zeroed": (
        on_gradients(lambda _, g: 0 * g),
        "rank 1 (cpu:1): step 0: the gradient before the reduction is zero",
    ),
    "negated": (
        on_gradients(lambda _, g: -g),
        "rank 1 (cpu:1): step 0: the gradient before the reduction is negated",
    ),
    "times-ten": (
        on_gradients(lambda _, g: 10 * g),
        "rank 1 (cpu:1): step 0: the gradient before the reduction is 10 times",
    ),
    "random": (
        on_gradients(lambda torch, g: torch.randn_like(g)),
        "rank 1 (cpu:1): step 0: the gradient before the reduction is wrong by",
    ),
    "off-by-5e-3": (on_gradients(lambda _, g: 1.005 * g), "the gradient before the reduction is 1.005 times"),
    "nan": (
        on_gradients(lambda _, g: g * float("nan")),
        "rank 1 (cpu:1): step 0: the gradient before the reduction is not a number",
    ),
    "swapped-shares": (
        replaced(learning, "share", lambda _, original: lambda r, s: original(1 - r, s), everywhere=True),
        "rank 1 (cpu:1): step 0: the gradient before the reduction is that of rank 0's share",
    ),
    "broadcast": (
        broadcast,
        "every rank holds rank 0's gradient alone: a broadcast in place of the reduction",
    ),
    "sum": (
        reducing(lambda dist, _, x: 2 * x, everywhere=True),
        "the sum in place of the mean on every rank",
    ),
    "not-reduced": (
        reducing(lambda _d, own, _x: own),
        "rank 1 (cpu:1): step 0: the reduced gradient is its own part",
    ),
    "stale": (replaced(learning, "optimizer_of", still), "rank 1 (cpu:1): step 0: the weights are stale"),
    "fp32-product": (
        product_of("fp32", off),
        "rows of a product of whole numbers in fp32 are wrong; one of normal numbers is off by 5",
    ),
    "bf16-product": (
        product_of("bf16", off),
        "rows of a product of whole numbers in bf16 are wrong; one of normal numbers is off by 5",
    ),
    "one-element": (
        product_of("bf16", one_element),
        "rank 1 (cpu:1): 1 rows of a product of whole numbers in bf16 are wrong",
    ),
    "memory": (
        replaced(arithmetic, "_pattern", first_word),
        "rank 1 (cpu:1): memory does not hold what was written, first at byte 12",
    ),
    "swapped-places": (
        swapped_places,
        "rank 1 (cpu:1): place 0 of an all-gather in float32 holds rank 1's part",
    ),
    "checkpoint": (
        lambda work: (
            [patch.object(work.torch, "load", altered(work.torch.load))] if work.rank == BROKEN else []
        ),
        "rank 1 (cpu:1): the checkpoint that was read back is not what was written",
    ),
    "no-learning": (replaced(learning.Load, "step", nothing_learned, everywhere=True), "it did not fall"),
    "nan-under-load": (
        replaced(learning.Load, "step", not_a_number),
        "rank 1 (cpu:1): a loss under load is not a number",
    ),
    "other-weights": (replaced(learning.Load, "common", drifted), "ranks 0 and 1 have another weights"),
    "slow": (replaced(learning.Load, "local", slept(0.2)), ""),
    **{f"without-{stage.__name__}": (without(stage.__name__), "?") for stage in worker.STAGES},
}
"""Name -> what is changed, and what must be said of it ("?": that it was not measured; "": nothing)."""


@contextmanager
def sabotaged(work: Work, name: str) -> Iterator[None]:
    with ExitStack() as stack:
        for change in SABOTAGE[name][0](work):
            stack.enter_context(change)
        yield


def rounds(work: Work) -> None:
    """Each named sabotage in turn, with records of its own in a folder of its name and number."""
    for number, name in enumerate(work.order["rounds_of"]):
        folder = Path(work.order["folder"]) / f"{number}-{name}"
        folder.mkdir(exist_ok=True)
        work.notes.at(f"{number}-{name}")
        with Notes(folder, work.rank) as notes, sabotaged(work, name):
            worker.run(replace(work, notes=notes, order={**work.order, "checkpoint": str(folder)}))


def ends(how: str, torch: Any) -> None:
    """Come to an end."""
    if how == "hang":
        time.sleep(600)
    if how == "abort":
        os.abort()
    if how == "oom":
        torch.empty(1 << 50)


def broken(how: str) -> Callable[[Work], None]:
    """One round in which rank 1 comes to an end at the first gradient."""

    def work_through(work: Work) -> None:
        calls = iter(range(1000))

        def gradient(torch: Any, model: Any, batch: Any, original: Any = learning.gradient) -> float:
            if next(calls) == 0:
                ends(how, torch)
            return float(original(torch, model, batch))

        with patch.object(learning, "gradient", gradient if work.rank == BROKEN else learning.gradient):
            worker.run(work)

    return work_through


def serving(how: str) -> None:
    """A server whose device comes to an end with the third token that it is asked for, if it is the sabotaged one."""
    calls, original = iter(range(1_000_000)), server.Model.scores

    def scores(self: server.Model, tokens: Any) -> list[float]:
        if int(sys.argv[2]) == BROKEN and next(calls) == 2:
            ends(how, self.torch)
        return original(self, tokens)

    with patch.object(server.Model, "scores", scores):
        server.main(sys.argv[1:])


if __name__ == "__main__":
    how = os.environ.get("SABOTAGE_OF_A_TEST", "")
    if len(sys.argv) > 2:
        serving(how)
    else:
        worker.main(sys.argv[1:], broken(how) if how else rounds)
