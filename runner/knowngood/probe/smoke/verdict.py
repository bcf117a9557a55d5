"""What the ranks of a smoke training measured, judged: the payload's answer. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from knowngood.probe.answer import Answer, bad, good, unmeasured
from knowngood.probe.smoke import by_value
from knowngood.probe.smoke.arithmetic import TOLERANCE
from knowngood.probe.smoke.by_value import Finding, apart, explained, length, reduction
from knowngood.probe.smoke.ends import ended, hung
from knowngood.probe.smoke.launch import Ending
from knowngood.probe.smoke.records import Rank
from knowngood.probe.values import Object, Values

LEARNED = 0.9
"""The last loss must be below this share of the first."""
EXACT = 1e-9
AGREED = {"weights": 1e-4, "gradient": 2e-2}
"""Share of their length by which ranks may differ on what they all must have: the same weights after the same steps,
and their gradient on the same batch, where bf16 and the library's attention round each run a little otherwise."""
MOST_FINDINGS = 6
ONCE = ("identity", "memory", "load", "alone", "common", "checkpoint", "done")
TOGETHER = ("collective", "allReduce", "pair")


def answer(
    backend: str,
    ranks: Sequence[Rank],
    ending: Ending,
    more: Sequence[Finding],
    verified: int,
    ours: Collection[int] | None = None,
) -> Answer:
    """The answer: bad as soon as one thing is, else unmeasured as soon as one thing is.

    `verified`: steps that must have been verified; `more`: findings of others (the transport); `ours`: the ranks
    on this node, None: all are.
    """
    found = [
        *ended(ranks, ending),
        *hung(ranks, ending, ours),
        *(f for r in ranks for f in _alone(r)),
        *_together(ranks),
        *more,
    ]
    wrong = [f for f in found if f.ok is False]
    if not found:  # else what is missing follows from that
        found += _missing(ranks, ending, verified)
    measured = figures(ranks)
    if wrong:
        return bad(backend, _words(ranks, wrong), measured)
    if found:
        return unmeasured(backend, _words(ranks, found), measured)
    return good(backend, measured)


def _words(ranks: Sequence[Rank], found: Sequence[Finding]) -> str:
    names = {r.number: r.name for r in ranks}
    said = [f.words if f.rank is None else f"{names.get(f.rank, f'rank {f.rank}')}: {f.words}" for f in found]
    more = f"; and {len(said) - MOST_FINDINGS} more" if len(said) > MOST_FINDINGS else ""
    return "; ".join(dict.fromkeys(said[:MOST_FINDINGS])) + more


def _alone(rank: Rank) -> Iterator[Finding]:
    """What is wrong on one rank by itself."""
    for product in rank.of("product"):
        if words := _product(product):
            yield Finding(words, rank.number)
    for memory in rank.of("memory"):
        if memory["wrongWord"] >= 0:
            yield Finding(
                f"memory does not hold what was written, first at byte {4 * memory['wrongWord']}", rank.number
            )
    for load in rank.of("load"):
        if "steps" in load and not load["finite"]:
            yield Finding("a loss under load is not a number", rank.number)
        elif "steps" in load and not load["lastLoss"] < LEARNED * load["firstLoss"]:
            yield Finding(
                f"the loss went from {load['firstLoss']:.4f} to {load['lastLoss']:.4f}: it did not fall",
                rank.number,
            )


def _product(product: Values) -> str:
    form, error, most = product["form"], product["error"], TOLERANCE[product["form"]]
    off = "" if error <= most else f"off by {error:.1e}, {most:g} at most"
    if product["wrong"]:
        return f"{product['wrong']} rows of a product of whole numbers in {form} are wrong" + (
            off and f"; one of normal numbers is {off}"
        )
    if off:
        return f"a product in {form} is {off}"
    return "" if product["steady"] else f"the same product in {form} gives other bits each time"


def _together(ranks: Sequence[Rank]) -> Iterator[Finding]:
    """What is wrong between ranks."""
    yield from _collectives(ranks)
    for rank in ranks:
        for pair in rank.of("pair"):
            if pair["wrong"]:
                yield Finding(
                    f"{pair['wrong']} elements that came from rank {pair['partner']} are wrong", rank.number
                )
    count = min((len(r.of("step")) for r in ranks), default=0)
    steps = list(by_value.faults([[r.of("step")[number] for r in ranks] for number in range(count)]))
    yield from steps
    yield from _agreement(ranks)
    if steps:
        return  # the ranks have other weights than each other, so the checkpoint is not everybody's
    for rank in ranks:
        if not all(checkpoint["same"] for checkpoint in rank.of("checkpoint")):
            yield Finding("the checkpoint that was read back is not what was written", rank.number)
    digests = {r.number: r.last("checkpoint").get("digest") for r in ranks if r.of("checkpoint")}
    if len({*digests.values()}) > 1:
        yield Finding("ranks read different checkpoints")


def _collectives(ranks: Sequence[Rank]) -> Iterator[Finding]:
    said: dict[str, set[int]] = {}
    for rank in ranks:
        for one in rank.of("collective"):
            if one["wrong"]:
                said.setdefault(_collective(one, rank.number), set()).add(rank.number)
    for words, whose in said.items():
        if len(whose) == len(ranks):
            yield Finding(f"{words}, on every rank")
            continue
        for number in sorted(whose):
            yield Finding(words, number)


def _collective(one: Values, rank: int) -> str:
    parts = one["parts"]
    if one["what"] == "all-gather":
        others = {f"rank {k}'s part": part for k, part in enumerate(parts) if k != one["place"]}
        words = explained(one["got"], parts[one["place"]], others, EXACT)
        return f"place {one['place']} of an all-gather in {one['form']} holds {words or 'wrong elements'}"
    words = reduction(one["got"], parts, rank, EXACT, total=True)
    return f"an all-reduce in {one['form']} gives {words or 'wrong elements'}"


def _agreement(ranks: Sequence[Rank]) -> Iterator[Finding]:
    said = [r.last("common") for r in ranks]
    if len(ranks) < 2 or not all(said):
        return
    for what, tolerance in AGREED.items():
        sums = [one[what] for one in said]
        middle = [sorted(column)[len(sums) // 2] for column in zip(*sums)]  # noqa: B905 (strict= is from Python 3.10)
        off = [r.number for r, s in zip(ranks, sums) if not apart(s, middle) <= tolerance * length(middle)]  # noqa: B905
        meant = "weights after the same steps" if what == "weights" else "gradient on the same batch"
        if off and len(ranks) == 2:
            yield Finding(f"ranks 0 and 1 have another {meant} than each other")
        elif off:
            yield from (Finding(f"it has another {meant} than the others", number) for number in off)


def _missing(ranks: Sequence[Rank], ending: Ending, verified: int) -> Iterator[Finding]:
    """What a rank should have measured and has not."""
    several = len(ranks) > 1
    for rank in ranks:
        lacks = [kind for kind in (*ONCE, *(TOGETHER if several else ())) if not rank.of(kind)]
        forms = {p["form"] for p in rank.of("product")}
        if forms != {p["form"] for p in ranks[0].of("product")} or "fp32" not in forms:
            lacks.append("product")
        if rank.of("memory") and rank.last("memory").get("bytes", 0) <= 0:
            lacks.append("memory")
        if len(rank.of("step")) < max(verified, 1):
            lacks.append("step")
        if several and len(rank.of("pair")) < len(ranks) - 1:
            lacks.append("pair")
        if lacks:
            at = f"; it stands at {rank.stage}" if rank.stage else "; it never began"
            yield Finding(
                f"nothing was measured of: {', '.join(dict.fromkeys(lacks))}{at}", rank.number, ok=None
            )
    if ending.code and not ending.stalled and not ending.late:
        last = ending.words.strip().splitlines()[-1:] or ["no word"]
        yield Finding(f"torchrun ended with {ending.code}: {last[0][:200]}", ok=None)


def figures(ranks: Sequence[Rank]) -> Object:
    """The figures of all ranks, as a gate compares them; what was not measured is left out. GB/s, tokens/s, bytes."""
    found: Object = {"ranks": len(ranks), "devices": [r.device for r in ranks]}
    first = ranks[0].last("identity") if ranks else {}
    found |= {key: first[key] for key in ("torch", "cuda", "nccl", "name") if first.get(key)}
    windows = [w["tokensPerSecond"] for w in ranks[0].of("load") if "tokensPerSecond" in w] if ranks else []
    if windows:
        found |= {"tokensPerSecond": round(max(windows)), "tokensSpread": _spread(windows)}
    found |= _column("rankTokensPerSecond", [r.last("alone").get("tokensPerSecond") for r in ranks], 0)
    bandwidth = [_best(r.last("allReduce").get("GBps", ())) for r in ranks]
    if all(bandwidth) and bandwidth:
        slowest = min(range(len(ranks)), key=lambda n: bandwidth[n])
        found["allReduceGBps"] = round(bandwidth[slowest], 3)
        found["allReduceSpread"] = _spread(ranks[slowest].last("allReduce")["GBps"])
    found |= {"pairGBps": pairs} if (pairs := _pairs(ranks)) else {}
    for form in dict.fromkeys(p["form"] for r in ranks for p in r.of("product")):
        worst = max(p["error"] for r in ranks for p in r.of("product") if p["form"] == form)
        found.setdefault("productError", {})[form] = float(f"{worst:.2e}") if math.isfinite(worst) else None
    steps = next((x for x in ranks[0].of("load") if "steps" in x), {}) if ranks else {}
    found |= {key: _plain(steps[key]) for key in ("steps", "firstLoss", "lastLoss") if key in steps}
    found["verifiedSteps"] = min((len(r.of("step")) for r in ranks), default=0)
    found["memoryBytes"] = sum(r.last("memory").get("bytes", 0) for r in ranks)
    found |= _column("checkpointSeconds", [r.last("checkpoint").get("seconds") for r in ranks][:1], 3)
    return found


def _plain(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


def _best(values: Sequence[float]) -> float:
    return max(values, default=0.0)


def _spread(values: Sequence[float]) -> float:
    """The share of the best by which the worst lies below it."""
    return round(1 - min(values) / max(*values, 1e-30), 4)


def _column(name: str, values: Sequence[Any], digits: int) -> Object:
    if not values or any(v is None for v in values):
        return {}
    return {name: [round(float(v), digits) for v in values]}


def _pairs(ranks: Sequence[Rank]) -> dict[str, float]:
    """Pair of ranks, "0-1" -> GB/s: the slower of what both saw."""
    found: dict[str, float] = {}
    for rank in ranks:
        for pair in rank.of("pair"):
            key = "-".join(str(n) for n in sorted((rank.number, int(pair["partner"]))))
            found[key] = min(found.get(key, math.inf), round(float(pair["GBps"]), 3))
    return found
