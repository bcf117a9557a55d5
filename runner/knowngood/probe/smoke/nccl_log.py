"""What NCCL's own log says about how ranks reach each other, per rank; and what of it may not be. Pure.

A wrong transport still prints a bandwidth (3 GB/s in place of 489: NVIDIA/aicr ADR-025), so the transport is asserted
by its name. The lines are those of `NCCL_DEBUG=INFO` with the subsystems INIT, NET and GRAPH, from NCCL 2.4 on
(transport/p2p.cc, shm.cc, net.cc, net_ib.cc, nvls.cc, init.cc): `Channel 00/0 : 7[7] -> 8[0] via NET/IB/0/GDRDMA`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from knowngood.probe.smoke.by_value import Finding

NVLS = "NVLS"
_LINE = re.compile(r"(?:(\S+):(\d+):\d+ )?\[(\d+)\] (?:\S+:\d+ )?NCCL (INFO|WARN) (.*)")
_CHANNEL = re.compile(
    r"(?:Channel|Ring) \d+(?:/\d+)? : \d+(?:\[\w+\])? -> \d+(?:\[\w+\])?(?: \[(?:send|receive)\])? via (.+)"
)
_COMM = re.compile(r"comm 0x\w+ rank (\d+) n[rR]anks (\d+) cudaDev \d+ (?:nvmlDev \d+ )?busId (\w+)")
_NVLS = re.compile(r"(\d+) nvls channels")
_NETWORK = re.compile(r"Using network (.+)")
_DMA_BUF = re.compile(r"DMA-BUF is available on GPU device \d+")
_VERSION = re.compile(r"NCCL version (\d+\.\d+\.\d+)")


@dataclass
class Seen:
    """What one process said of one of its devices. `via`: transports in short, with how many channels go by each."""

    rank: int = -1
    ranks: int = 0
    bus: str = ""
    via: dict[str, int] = field(default_factory=dict)
    network: str = ""
    dma_buf: bool = False
    version: str = ""
    warnings: list[str] = field(default_factory=list)


def read(lines: Iterable[str]) -> list[Seen]:
    """What the lines say, by rank.

    A process belongs to the rank that it has in its largest communicator; one that names none is left out.
    """
    found: dict[tuple[str, str, str], Seen] = {}
    version = ""
    for line in lines:
        if match := _VERSION.search(line):
            version = match.group(1)
        if match := _LINE.search(line):
            host, pid, device, level, words = match.groups()
            seen = found.setdefault((host or "", pid or "", device), Seen())
            if level == "WARN":
                seen.warnings.append(words.strip()[:300])
            else:
                _take(seen, words.strip())
    named = [seen for seen in found.values() if seen.rank >= 0]
    for seen in named:
        seen.version = version
    return sorted(named, key=lambda seen: seen.rank)


def _take(seen: Seen, words: str) -> None:
    if match := _CHANNEL.match(words):
        via = short(match.group(1))
        seen.via[via] = seen.via.get(via, 0) + 1
    elif (match := _COMM.search(words)) and int(match.group(2)) >= seen.ranks:
        seen.rank, seen.ranks, seen.bus = int(match.group(1)), int(match.group(2)), match.group(3)
    elif (match := _NVLS.search(words)) and int(match.group(1)):
        seen.via[NVLS] = int(match.group(1))
    elif match := _NETWORK.match(words):
        seen.network = match.group(1).strip()
    elif _DMA_BUF.match(words):
        seen.dma_buf = True


def short(via: str) -> str:
    """A transport without its numbers: P2P/CUMEM, SHM, NET/IB/GDRDMA, NET/IB, NET/Socket, NET/AWS Libfabric/GDRDMA."""
    via = via.strip()
    if via.startswith("NET/"):
        plugin = via.split("/")[1].strip()
        return f"NET/{plugin}" + ("/GDRDMA" if "/GDRDMA" in via else "")
    if via.startswith("SHM") or "shared memory" in via:
        return "SHM"
    return "/".join(via.split("/")[:2])


@dataclass(frozen=True)
class Promise:
    """What the machines promise: how many nodes; of `ranks`, which are on this one; NVSwitch between a node's GPUs; the
    profile's rdmaMode.
    """

    nodes: int
    ranks: Sequence[int]
    nvswitch: bool
    rdma_mode: str

    @property
    def rdma(self) -> bool:
        """Whether GPUs of different nodes must reach each other by RDMA."""
        return self.nodes > 1 and self.rdma_mode in {"dma-buf", "nvidia-peermem"}


def faults(seen: Sequence[Seen], promise: Promise) -> Iterator[Finding]:
    """What of the transports breaks the promise; not measured where a rank's log tells of none."""
    if promise.nodes * len(promise.ranks) < 2:
        return
    told = {one.rank: one for one in seen if one.via}
    for rank in promise.ranks:
        if rank not in told:
            yield Finding("NCCL's log names no transport", rank, ok=None)
            continue
        yield from _wrong(told[rank], promise)
    if promise.rdma and told and not any(via.startswith("NET/") for one in told.values() for via in one.via):
        yield Finding("NCCL's log names no way between the nodes", ok=None)


def _wrong(one: Seen, promise: Promise) -> Iterator[Finding]:
    by = ", ".join(sorted(one.via))
    if "NET/Socket" in one.via and (promise.rdma or promise.nodes == 1):
        yield Finding(f"NCCL goes by sockets ({by})", one.rank)
        return
    bare = sorted(via for via in one.via if via.startswith("NET/") and not via.endswith("/GDRDMA"))
    if promise.rdma and bare:
        yield Finding(f"NCCL goes by {', '.join(bare)} without GPUDirect RDMA", one.rank)
    elif promise.rdma and promise.rdma_mode == "dma-buf" and not one.dma_buf and len(bare) < len(_nets(one)):
        yield Finding("NCCL reaches the NIC without DMA-BUF, which the profile promises", one.rank)
    if promise.nvswitch and (
        slow := sorted(v for v in one.via if v == "SHM" or (promise.nodes == 1 and v.startswith("NET/")))
    ):
        yield Finding(f"NCCL goes by {', '.join(slow)} between GPUs on one NVSwitch", one.rank)


def _nets(one: Seen) -> list[str]:
    return [via for via in one.via if via.startswith("NET/")]


def named(seen: Sequence[Seen]) -> dict[str, int]:
    """Transport -> how many ranks use it: what a gate compares with the baseline."""
    found: dict[str, int] = {}
    for one in seen:
        for via in one.via:
            found[via] = found.get(via, 0) + 1
    return dict(sorted(found.items()))
