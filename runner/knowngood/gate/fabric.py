"""What nodes measured between each other, judged: which links are good, whose fault the others are. Pure.

Every node tells of every round that it was in; both ends of a pair tell the same, so one of them is enough. A rate
is held against the profile's floor, the two ports' own baseline and the median of all links of this judgement; NCCL's
bandwidth likewise, as if it were a rail of its own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowngood.gate.fabric_blame import Blame, Kind, Link
from knowngood.model.values import Values

NCCL = -1
"""The rail that stands for NCCL over all of them."""
OTHERS = 3
"""Links that make a median."""
FAR = 3.0
"""The most that a link's latency may be of the median. Ours: a way over one more switch is some tenths longer."""
RATIO, POOL, LATENCY, REDUCED = 0.95, 0.9, 1.5, 0.9
"""Shares unless the profile says otherwise: of the own baseline a rate must reach (5 % below it at most: a proposal,
scitix/sichek and Azure keep floors of 90 %), of the median (ours), the most that a latency may be of its baseline
(ours), of NCCL's own baseline (NVIDIA/NVSentinel ADR-049)."""


@dataclass(frozen=True, slots=True)
class Met:
    """One pair's meeting, as either of them told it. `untold`: node -> what NCCL's output and that node's own log did
    not tell of a meeting that is good as far as they do.
    """

    nodes: tuple[str, str]
    links: tuple[Link, ...]
    rates: Mapping[int, float]  # rail -> Gb/s, the slower way; NCCL: GB/s
    latencies: Mapping[int, float]  # microseconds
    parts: Mapping[str, Mapping[int, str]]  # node -> rail -> part
    own: Mapping[str, tuple[str, ...]]  # measured bad of one node
    unsure: Mapping[str, tuple[str, ...]]
    untold: Mapping[str, tuple[str, ...]]


def pairs_told(documents: Mapping[str, Values]) -> dict[frozenset[str], Values]:
    """Every pair's round, as the end told it that got further."""
    found: dict[frozenset[str], Values] = {}
    for node, measured in documents.items():
        for told in measured.get("rounds", ()):
            pair = frozenset((node, str(told.get("with"))))
            if len(pair) == 2 and _weight(told) > _weight(found.get(pair, {})):
                found[pair] = told
    return found


def _weight(told: Values) -> tuple[bool, int, bool]:
    """How far it got: NCCL comes after the links."""
    measured = sum(len(one.get("gbps", ())) for one in told.get("links", ()))
    return bool(told.get("nccl")), measured, "why" in told


class Judged:
    """All meetings of one judgement against the limits. `baselines`: node -> what it measured before the change."""

    def __init__(
        self,
        documents: Mapping[str, Values],
        limits: Values,
        baselines: Mapping[str, Values],
        *,
        dma_buf: bool,
        gpus: int,
    ) -> None:
        """`gpus`: of a node, each of which is a rank; 0: not known."""
        self._limits, self._baselines, self._dma_buf, self._gpus = limits, baselines, dma_buf, gpus
        told = {tuple(sorted(pair)): one for pair, one in pairs_told(documents).items()}
        self.rates = {pair: rates_of(one, gpus) for pair, one in told.items()}
        medians = [rate for rates in self.rates.values() for rail, rate in rates.items() if rail != NCCL]
        reduced = [rates[NCCL] for rates in self.rates.values() if NCCL in rates]
        self._median = {False: _median(medians), True: _median(reduced)}
        links = (link for one in told.values() for link in one.get("links", ()))
        self._usual = _median([us for link in links if (us := _figure(link.get("latencyUs"))) is not None])
        self.met = {pair: self._met((pair[0], pair[1]), one) for pair, one in told.items()}

    @property
    def links(self) -> list[Link]:
        """Of all pairs."""
        return [link for met in self.met.values() for link in met.links]

    def own(self, node: str) -> list[str]:
        """What is measured bad of this node by itself."""
        return _once(w for met in self.met.values() for w in met.own.get(node, ()))

    def unsure(self, node: str) -> list[str]:
        """What could not be told of this node."""
        return _once(w for met in self.met.values() for w in met.unsure.get(node, ()))

    def untold(self, node: str) -> list[str]:
        """What nobody told of this node's part in NCCL's all-reduces: nothing where one good meeting told it all."""
        good = (m for m in self.met.values() if any(one.rail == NCCL and one.good for one in m.links))
        met = [m for m in good if node in m.nodes]
        words = [m.untold.get(node, ()) for m in met]
        return [] if () in words else _once(w for one in words for w in one)

    def partners(self, node: str) -> list[str]:
        """Whom it met, or should have met."""
        return sorted({n for pair in self.met for n in pair if node in pair} - {node})

    def best(self, node: str) -> dict[str, dict[str, float]]:
        """What a baseline keeps of the node: part -> the best rate and latency with anybody; "nccl" for all of them."""
        found: dict[str, dict[str, float]] = {}
        for met in self.met.values():
            if node not in met.nodes:
                continue
            for rail, rate in met.rates.items():
                key = "nccl" if rail == NCCL else met.parts.get(node, {}).get(rail, f"rail {rail}")
                kept = found.setdefault(key, {})
                kept["rate"] = max(kept.get("rate", rate), rate)
                if rail in met.latencies:
                    kept["us"] = min(kept.get("us", math.inf), met.latencies[rail])
        return found

    def _met(self, nodes: tuple[str, str], told: Values) -> Met:
        rates, links = self.rates[nodes], []
        parts: dict[str, dict[int, str]] = {node: {} for node in nodes}
        own: dict[str, list[str]] = {node: [] for node in nodes}
        unsure: dict[str, list[str]] = {node: [] for node in nodes}
        latencies = {}
        for one in told.get("links", ()):
            rail = int(one["rail"])
            for node, part in one.get("ends", {}).items():
                parts.setdefault(node, {})[rail] = str(part)
            for node, why in one.get("own", {}).items():
                own.setdefault(node, []).append(f"{_port(parts, node, rail)}: {why}")
            if self._dma_buf:
                for node in one.get("plain", ()):
                    words = "perftest does not use DMA-BUF, which the profile promises"
                    own.setdefault(node, []).append(f"{_port(parts, node, rail)}: {words}")
            if (latency := _figure(one.get("latencyUs"))) is not None:
                latencies[rail] = latency
            links.append(self._link(nodes, rail, one, parts, rates.get(rail), latencies.get(rail)))
        nccl = told.get("nccl") or {}
        untold = {node: tuple(_not_told(nccl, node)) for node in nodes if NCCL in rates}
        links += self._reduced(nodes, nccl, rates.get(NCCL), own, unsure)
        if why := str(told.get("why") or ""):
            for node in nodes:
                other = nodes[1] if node == nodes[0] else nodes[0]
                unsure[node].append(f"with {other}: {why}")
        bad, vague = ({n: tuple(w) for n, w in every.items() if w} for every in (own, unsure))
        return Met(nodes, tuple(links), rates, latencies, parts, bad, vague, untold)

    def _link(
        self,
        nodes: tuple[str, str],
        rail: int,
        one: Values,
        parts: Mapping[str, Mapping[int, str]],
        rate: float | None,
        latency: float | None,
    ) -> Link:
        dead = str(one.get("dead") or "")
        if dead:
            return Link(*nodes, rail, good=False, why=f"carries nothing: {dead}")
        if rate is None or len(one.get("gbps", ())) < 2 or latency is None:
            return Link(*nodes, rail, good=None, why=str(one.get("why") or "was not measured"))
        before = [self._before(node, parts.get(node, {}).get(rail)) for node in nodes]
        words = self._slow(rate, [b.get("rate") for b in before], "minGbPerSecond", "Gb/s", RATIO, nccl=False)
        words = words or self._late(latency, [b.get("us") for b in before])
        return Link(*nodes, rail, good=not words, why=words)

    def _before(self, node: str, part: str | None) -> Values:
        ports = (self._baselines.get(node) or {}).get("ports") or {}
        found = ports.get(part) or {} if part else {}
        return found if isinstance(found, Mapping) else {}

    def _slow(
        self, value: float, before: Iterable[Any], limit: str, unit: str, share: float, *, nccl: bool
    ) -> str:
        """Why a rate is too low; "" where it is not."""
        floor = self._bound(limit)
        if floor is not None and value < floor:
            return f"gives {value:g} {unit}, the profile's floor is {floor:g}"
        own = [b for x in before if (b := _figure(x)) is not None]
        ratio = float(self._limits.get("minAllReduceRatio" if nccl else "minBaselineRatio", share))
        if own and value < ratio * min(own):
            return f"gives {value:g} {unit}, before the change {min(own):g}"
        median, pool = self._median[nccl], float(self._limits.get("minPoolRatio", POOL))
        if median and value < pool * median:
            return f"gives {value:g} {unit}, the median of all links is {median:g}"
        return ""

    def _bound(self, name: str) -> float | None:
        """What the profile says; None: nothing. ValueError where that is no number: then nothing is judged."""
        said = self._limits.get(name)
        return None if said is None else float(said)

    def _late(self, value: float, before: Iterable[Any]) -> str:
        ceiling = self._bound("maxReadLatencyUs")
        if ceiling is not None and value > ceiling:
            return f"takes {value:g} us, the profile's ceiling is {ceiling:g}"
        own = [b for x in before if (b := _figure(x)) is not None]
        if own and value > float(self._limits.get("maxLatencyRatio", LATENCY)) * max(own):
            return f"takes {value:g} us, before the change {max(own):g}"
        if self._usual and value > FAR * self._usual:
            return f"takes {value:g} us, the median of all links is {self._usual:g}"
        return ""

    def _reduced(
        self,
        nodes: tuple[str, str],
        nccl: Values,
        rate: float | None,
        own: dict[str, list[str]],
        unsure: dict[str, list[str]],
    ) -> Iterator[Link]:
        """NCCL's own link, and what its logs say against either node."""
        for node, said in (nccl.get("own") or {}).items():
            own.setdefault(str(node), []).extend(_of_log(said, against=True))
        for node in nodes:
            unsure[node].extend(_not_told(nccl, node) if rate is not None else ())
        if nccl.get("wrong"):
            yield Link(*nodes, NCCL, good=False, why=f"gives {nccl['wrong']} wrong values of an all-reduce")
            return
        if rate is None:
            why = str(nccl.get("why") or elsewhere(nccl, self._gpus) or "NCCL was not measured")
            for node in nodes:
                unsure[node].append(f"with {nodes[1] if node == nodes[0] else nodes[0]}: {why}")
            yield Link(*nodes, NCCL, good=None, why=why)
            return
        before = [self._before(node, "nccl").get("rate") for node in nodes]
        words = self._slow(rate, before, "minAllReduceGBps", "GB/s", REDUCED, nccl=True)
        yield Link(*nodes, NCCL, good=not words, why=words)


def elsewhere(nccl: Values, gpus: int) -> str:
    """Why an all-reduce was not one over two nodes' GPUs, whatever it gave; "" where it was, as far as is told.

    Ranks on one host reach each other by NVLink: a figure of theirs says nothing of the fabric.
    """
    ranks, hosts = (nccl.get(key) for key in ("ranks", "hosts"))
    if (hosts and hosts != 2) or (ranks and gpus and ranks != 2 * gpus):
        return f"the all-reduce ran as {ranks} ranks on {hosts} hosts, not as {2 * gpus or 'all'} on 2"
    return ""


def _not_told(nccl: Values, node: str) -> Iterator[str]:
    """What an all-reduce that gave a figure did not tell, of all its ranks or of this node's."""
    if type(nccl.get("wrong")) is not int:
        yield "the all-reduce's values were not checked"
    if not nccl.get("ranks") or not nccl.get("hosts"):
        yield "where the all-reduce's ranks ran is not told"
    said = (nccl.get("own") or {}).get(node)
    if not said or not isinstance(said.get("found"), Sequence):
        yield "what NCCL's log says is not told"
    else:
        yield from _of_log(said, against=False)


def _of_log(said: Values, *, against: bool) -> Iterator[str]:
    """What NCCL's log on a node says against it, or does not say."""
    for one in said.get("found", ()):
        if (one.get("ok") is False) is against:
            whose = f"rank {one['rank']} (GPU {one['bus']}): " if one.get("bus") else ""
            yield f"{whose}{one['words']}"


def rates_of(told: Values, gpus: int) -> dict[int, float]:
    """Rail -> the slower way's Gb/s, where both were measured; NCCL -> GB/s. `gpus`: of a node, 0: not known."""
    found = {}
    for one in told.get("links", ()):
        ways = [value for x in one.get("gbps", {}).values() if (value := _figure(x)) is not None]
        if len(ways) == 2:
            found[int(one["rail"])] = min(ways)
    nccl = told.get("nccl") or {}
    if (reduced := _figure(nccl.get("busGBps"))) is not None and not elsewhere(nccl, gpus):
        found[NCCL] = reduced
    return found


def described(one: Blame, met: Mapping[tuple[str, ...], Met]) -> str:
    """A blame in words that name parts and figures."""
    worst = one.links[0]
    rails = "every rail" if one.rail is None else _rail(one.rail)
    between = " and ".join(worst.ends)
    shown = f"the link between {between} on {_rail(worst.rail)} {worst.why}"
    partners = sorted({end for link in one.links for end in link.ends} - {*one.nodes})
    if one.kind is Kind.PORT:
        port = _named(one.nodes[0], worst, met)
        told = f"its {port} is bad" if len(one.links) > 1 else f"its {port} or the way to it is bad"
        return f"{told} with {', '.join(partners)}: {shown}"
    if one.kind is Kind.NODE:
        return f"all its ports are bad with {', '.join(partners)}: {shown}"
    if one.kind is Kind.RAIL:
        return f"{rails} is bad between all nodes (a switch?): {shown}"
    if one.kind is Kind.FABRIC:
        return f"no link at all is good: {shown}"
    if one.kind is Kind.WAY:
        return f"{shown}; both ends are good with others, so it is what lies between them"
    ends = " or ".join(f"{node}'s {_named(node, worst, met)}" for node in one.nodes)
    return f"{shown}; it is {ends}, or what lies between: neither met anybody else on {rails}"


def _named(node: str, link: Link, met: Mapping[tuple[str, ...], Met]) -> str:
    if link.rail == NCCL:
        return "part in NCCL's all-reduce"
    parts = met[tuple(sorted(link.ends))].parts.get(node, {})
    return f"port {parts.get(link.rail, '?')}"


def _port(parts: Mapping[str, Mapping[int, str]], node: str, rail: int) -> str:
    return parts.get(node, {}).get(rail, f"rail {rail}")


def _rail(rail: int) -> str:
    return "NCCL" if rail == NCCL else f"rail {rail}"


def _figure(value: Any) -> float | None:
    """A positive number; None for anything else."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value <= 0
    ):
        return None
    return float(value)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if len(values) >= OTHERS else 0.0


def _once(words: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(words)]
