"""How fast is fast enough: figures against the profile's floors, the node's own baseline and the nodes beside it. Pure.

Published floors for the same machine lie between 100 and 470 GB/s (facts in the profiles' sources), so what decides is
the node's own baseline; a floor guards the baseline itself, and the median of the pool guards it where there is one.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from knowngood.model.values import Values

OTHERS = 3
"""Nodes that make a median, the judged one among them."""
POOL = 0.8
"""Share of the pool's median that a node must reach. Ours: nodes differ by cooling and by where their NICs sit."""
RANK = 0.8
"""Share of the ranks' median that one rank by itself must reach. Ours, as for the pool."""
PAIR = 0.8
"""Share that a pair of GPUs must reach of its own baseline; on an NVSwitch, where all are equal, of the median."""

Number = Callable[[Values, str], float]
"""A figure's value by its name; it raises where there is none."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is judged. `limit`: the profile's key for a floor, of one where less is better a ceiling; `ratio`:
    the profile's key for the share of the baseline that must be reached; `share`: the default. It must be there where
    the machine has several GPUs (always, if not `several`).
    """

    name: str
    limit: str
    ratio: str
    share: float
    less: bool = False
    several: bool = False


def slow(
    figures: Sequence[Figure],
    now: Values,
    limits: Values,
    before: Values | None,
    pool: Sequence[Values],
    number: Number,
    what: str = "nodes",
) -> Iterator[str]:
    """What is too slow, in words; `pool`: the figures of all `what` of the judgement, this one's too."""
    for figure in figures:
        if figure.several and number(now, "ranks") < 2:
            continue
        value = number(now, figure.name)
        if figure.limit in limits and _worse(figure, value, float(limits[figure.limit])):
            word = "ceiling" if figure.less else "floor"
            yield f"{figure.name} is {value:g}, the profile's {word} is {limits[figure.limit]}"
        if before is not None:
            own = number(before, figure.name)
            bound = own * float(limits.get(figure.ratio, figure.share))
            if _worse(figure, value, bound):
                yield f"{figure.name} is {value:g}, before the change {own:g}: {_side(figure)} {bound:g}"
        beside = [p[figure.name] for p in pool if is_number(p.get(figure.name))]
        yield from _beside(figure, value, limits, beside, what)


def _beside(figure: Figure, value: float, limits: Values, pool: Sequence[float], what: str) -> Iterator[str]:
    if len(pool) < OTHERS:
        return
    median, share = statistics.median(pool), float(limits.get("minPoolRatio", POOL))
    bound = median / share if figure.less else median * share
    if _worse(figure, value, bound):
        yield f"{figure.name} is {value:g}, the median of {len(pool)} {what} is {median:g}: {_side(figure)} {bound:g}"


def _worse(figure: Figure, value: float, bound: float) -> bool:
    return not value <= bound if figure.less else not value >= bound


def _side(figure: Figure) -> str:
    return "above" if figure.less else "below"


def lagging(now: Values, limits: Values) -> Iterator[str]:
    """Ranks that are slower than the others when each works by itself, by device."""
    said = now.get("rankTokensPerSecond") or ()
    alone = {rank: float(value) for rank, value in enumerate(said) if is_number(value)}
    if len(alone) < 2:
        return
    # Of two, the faster one is what the other is compared with.
    usual = statistics.median(alone.values()) if len(alone) > 2 else max(alone.values())
    for rank, value in alone.items():
        if value < usual * float(limits.get("minRankRatio", RANK)):
            yield f"rank {rank} ({_device(now, rank)}) computes {value:g} tokens/s by itself, the others {usual:g}"


def links(now: Values, limits: Values, before: Values | None, *, equal: bool) -> Iterator[str]:
    """Pairs of GPUs that are slower than before or, where all must be `equal`, than the others; if all of a GPU's
    are slow, it is the GPU.
    """
    share = float(limits.get("minPairRatio", PAIR))
    pairs = _pairs(now)
    usual = statistics.median(pairs.values()) if pairs and equal else 0.0
    old = _pairs(before) if before is not None else {}
    should = {pair: max(usual, old.get(pair, usual)) for pair in pairs}
    bad = {pair: value for pair, value in pairs.items() if value < share * should[pair]}
    devices = sorted({device for pair in pairs for device in pair})
    for device in devices:
        own = [pair for pair in pairs if device in pair]
        if all(pair in bad for pair in own) and any(pair not in bad for pair in pairs if device not in pair):
            worst = min(bad[pair] for pair in own)
            yield f"every link of {device} is slow: {worst:g} GB/s at worst"
            for pair in own:
                bad.pop(pair, None)
    for pair, value in sorted(bad.items(), key=lambda item: sorted(item[0])):
        yield f"the link between {' and '.join(sorted(pair))} gives {value:g} GB/s, it should be {should[pair]:g}"


def rerouted(now: Values, before: Values | None) -> str:
    """What is said where NCCL takes another transport than before; "" where it takes the same, or nobody can tell."""
    here, there = (_transports(x) for x in (now, before or {}))
    if not there or not here or here == there:
        return ""
    return f"NCCL goes by {', '.join(sorted(here))}, before the change by {', '.join(sorted(there))}"


def vanished(now: Values, before: Values | None) -> Iterator[str]:
    """Figures that the baseline has and this judgement has not, or less of: what is not compared is not as it was."""
    for name, was in (before or {}).items():
        if name == "backend":  # it is said beside the figures
            continue
        here, there = (Counter(map(is_number, _leaves(value))) for value in (now.get(name), was))
        if name == "transports":  # which they are is judged, not how many
            here, there = Counter({True: bool(here)}), Counter({True: bool(there)})
        if lost := there - here:
            number, of = lost.total(), there.total()
            yield name if of == 1 else f"{number} of {of} of {name}"


def unmeasured(now: Values) -> Iterator[str]:
    """Ranks and pairs of which there is no figure above zero: whoever is compared with the others must have one.

    A payload's NaN comes as a text: JSON has no other way.
    """
    ranks = now.get("rankTokensPerSecond")
    yield from (
        f"rank {rank} ({_device(now, rank)})"
        for rank, value in enumerate(ranks if isinstance(ranks, Sequence) else ())
        if not (is_number(value) and value > 0)
    )
    pairs = now.get("pairGBps")
    yield from (
        f"the link {pair}"
        for pair, value in (pairs.items() if isinstance(pairs, Mapping) else ())
        if not is_number(value)
    )


def _leaves(value: Any) -> Iterator[Any]:
    """The figures and words that a value holds; what is nothing, or NaN, is none."""
    if isinstance(value, (Mapping, Sequence)) and not isinstance(value, str):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(one)
    elif value not in ("", None) and value == value:  # noqa: PLR0124 (not NaN)
        yield value


def _transports(figures: Values) -> set[str]:
    found = figures.get("transports")
    return set(found) if isinstance(found, Mapping) else set()


def _pairs(figures: Values) -> dict[frozenset[str], float]:
    """Pair of devices -> GB/s. Devices are known by their UUID: an index may be another GPU after a reboot."""
    found: dict[frozenset[str], float] = {}
    said = figures.get("pairGBps")
    for key, value in said.items() if isinstance(said, Mapping) else ():
        ends = str(key).split("-")
        if len(ends) == 2 and all(e.isdigit() for e in ends) and is_number(value):
            found[frozenset(_device(figures, int(e)) for e in ends)] = float(value)
    return found


def _device(figures: Values, rank: int) -> str:
    devices = figures.get("devices")
    return str(devices[rank]) if isinstance(devices, Sequence) and rank < len(devices) else f"rank {rank}"


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a figure, and not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124 (not NaN)
