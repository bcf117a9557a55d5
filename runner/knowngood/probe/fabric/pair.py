"""What two nodes measure between each other once they have met: every rail at once, both ways, then NCCL over all.

One serves and the other measures; then they change. Each says what its own tools said, so both have the whole result,
and what went wrong is told by the side on which it went wrong.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowngood.probe.fabric import nccl, perftest
from knowngood.probe.fabric.meeting import Line
from knowngood.probe.fabric.perftest import DEAD, MEASURED, OWN, REFUSED, UNMEASURED, Reading
from knowngood.probe.fabric.ports import Port
from knowngood.probe.fabric.tools import LOOK, Missing, Tool, ended
from knowngood.probe.smoke.nccl_log import Promise

Read = Callable[[str, int], Reading]
START = 45.0
"""Seconds beyond its own for a tool: eight CUDA contexts at once, and the other side's."""
AFTER = 10.0
"""Seconds that the serving side's tools may run on when the measuring side's have ended."""


@dataclass(frozen=True)
class Work:
    """What is to be measured. `first`: whether we are the pair's first node; sizes in bytes, times in seconds."""

    first: bool
    us: str
    them: str
    address: str  # the first one's and the other's, by which tools find each other
    their_address: str
    base: int  # the first of the pair's TCP ports
    ports: Sequence[Port]
    dma_buf: bool
    size: int
    seconds: float
    gid_index: int | None
    gpus: int
    nccl_bytes: int
    nccl_rounds: int
    nccl_seconds: float
    settings: Mapping[str, str]
    nvswitch: bool
    rdma_mode: str


@dataclass(frozen=True)
class _Phase:
    """One test of all rails. `first_serves`: whether the pair's first node does."""

    key: str
    tool: str
    read: Read
    options: tuple[str, ...]
    first_serves: bool
    offset: int
    seconds: float


def run(line: Line, work: Work, found: dict[str, Any]) -> None:
    """All of it, entered into `found` as it comes: links (a result a rail) and nccl. Lost where the partner is."""
    line.say(kind="ports", parts=[p.part for p in work.ports])
    theirs = [str(part) for part in line.hear("ports", START)["parts"]]
    links = found["links"] = [_link(rail, work, theirs) for rail in range(max(len(theirs), len(work.ports)))]
    rails = min(len(theirs), len(work.ports))
    for phase in _phases(work, rails):
        said = (
            _serve(line, work, phase, rails)
            if phase.first_serves == work.first
            else _measure(line, work, phase, rails)
        )
        for link, one in zip(links, said):  # noqa: B905 (rails that both have)
            _entered(link, phase, one, work)
    found["nccl"] = _reduce(line, work)


def _link(rail: int, work: Work, theirs: Sequence[str]) -> dict[str, Any]:
    parts = {work.us: [p.part for p in work.ports], work.them: theirs}
    ends = {node: own[rail] for node, own in parts.items() if rail < len(own)}
    lacking = [node for node in parts if node not in ends]
    why = f"{lacking[0]} has no port for rail {rail}" if lacking else ""
    return {"rail": rail, "ends": ends, "gbps": {}, "own": {}, "dead": "", "why": why, "plain": []}


def _phases(work: Work, rails: int) -> list[_Phase]:
    size = ("-s", str(work.size), "-D", f"{work.seconds:g}", "--report_gbits")
    write = ("ib_write_bw", perftest.bandwidth, size)
    read = ("ib_read_lat", perftest.latency, ("-s", "8", "-n", "2000"))
    return [
        _Phase("gbps", *write, first_serves=True, offset=0, seconds=work.seconds),
        _Phase("gbps", *write, first_serves=False, offset=rails, seconds=work.seconds),
        _Phase("latencyUs", *read, first_serves=True, offset=2 * rails, seconds=2.0),
    ]


def command(
    phase_tool: str, options: Sequence[str], port: Port, number: int, work: Work, server: str = ""
) -> list[str]:
    """One tool's command on one port; `server`: whom to measure with, "" for the serving side."""
    gid = ("-x", str(work.gid_index)) if work.gid_index is not None else ()
    # The order matters: perftest refuses the second option before the first.
    memory = (f"--use_cuda={port.gpu}", *(("--use_cuda_dmabuf",) if work.dma_buf else ()))
    where = ("-d", port.device, "-i", str(port.number), "-p", str(number))
    return [phase_tool, *where, "-F", *options, *gid, *memory, *((server,) if server else ())]


CUDA = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
Said = dict[str, dict[str, Any]]
"""Node -> what its tool said on one rail."""


def _plain(reading: Reading) -> dict[str, Any]:
    return {"end": reading.end, "value": reading.value, "dmaBuf": reading.dma_buf, "why": reading.why}


def _serve(line: Line, work: Work, phase: _Phase, rails: int) -> list[Said]:
    tools: dict[int, Tool] = {}
    own: dict[int, dict[str, Any]] = {}
    try:
        for rail in range(rails):
            try:
                number = work.base + phase.offset + rail
                tools[rail] = Tool(command(phase.tool, phase.options, work.ports[rail], number, work), CUDA)
            except Missing as error:
                own[rail] = _plain(Reading(UNMEASURED, why=str(error)))
        line.say(kind="serving", rails=sorted(tools))
        theirs = line.hear("measured", phase.seconds + 2 * START)["said"]
        ended([*tools.values()], time.monotonic() + AFTER)
        for rail, tool in tools.items():
            own[rail] = _served(tool, phase)
        line.say(kind="served", said=[own[rail] for rail in range(rails)])
    finally:
        for tool in tools.values():
            tool.end()
    return [{work.us: own[rail], work.them: dict(theirs[rail])} for rail in range(rails)]


def _served(tool: Tool, phase: _Phase) -> dict[str, Any]:
    """What the serving side's tool said: of a measurement it tells no figure, only what went wrong here."""
    text, over = tool.text(), tool.over()
    found = phase.read(text, tool.code if over else 0)
    if found.end in (DEAD, OWN):
        return _plain(found)
    if not over:
        return _plain(
            Reading(
                UNMEASURED, dma_buf=perftest.DMA_BUF in text, why="it still waited when the other had ended"
            )
        )
    end = MEASURED if tool.code == 0 else UNMEASURED
    return _plain(Reading(end, dma_buf=perftest.DMA_BUF in text, why=found.why if tool.code else ""))


def _measure(line: Line, work: Work, phase: _Phase, rails: int) -> list[Said]:
    serving = line.hear("serving", 2 * START)["rails"]
    until = time.monotonic() + phase.seconds + START
    readings = {rail: Reading(UNMEASURED, why="the other node's tool did not start") for rail in range(rails)}
    tools: dict[int, Tool] = {}

    def begin(rail: int) -> None:
        number = work.base + phase.offset + rail
        argv = command(phase.tool, phase.options, work.ports[rail], number, work, work.their_address)
        try:
            tools[rail] = Tool(argv, CUDA)
        except Missing as error:
            readings[rail] = Reading(UNMEASURED, why=str(error))

    try:
        for rail in serving:
            begin(rail)
        while tools:
            for rail, tool in [*tools.items()]:
                late = time.monotonic() > until
                if tool.over() and REFUSED in tool.text() and not late:
                    tools.pop(rail).end()  # the server is on its way
                    begin(rail)
                elif tool.over():
                    readings[rail] = phase.read(tool.text(), tool.code)
                    tools.pop(rail).end()
                elif late:
                    words = f"{phase.tool} did not end within {phase.seconds + START:.0f} s"
                    readings[rail] = Reading(UNMEASURED, why=words)
                    tools.pop(rail).end()
            time.sleep(LOOK)
    finally:
        for tool in tools.values():
            tool.end()
    own = [_plain(readings[rail]) for rail in range(rails)]
    line.say(kind="measured", said=own)
    theirs = line.hear("served", AFTER + START)["said"]
    return [{work.us: own[rail], work.them: dict(theirs[rail])} for rail in range(rails)]


def _entered(link: dict[str, Any], phase: _Phase, said: Said, work: Work) -> None:
    """Enter what both sides said of one rail into its result."""
    measuring = work.them if phase.first_serves == work.first else work.us
    value = said[measuring].get("value")
    for node, one in said.items():
        if one["end"] == OWN:
            link["own"][node] = one["why"]
        elif one["end"] == DEAD:
            link["dead"] = link["dead"] or one["why"]
        if work.dma_buf and one["end"] == MEASURED and not one["dmaBuf"] and node not in link["plain"]:
            link["plain"].append(node)
    if said[measuring]["end"] == MEASURED and value is not None:
        if phase.key == "gbps":
            link["gbps"][measuring] = round(float(value), 2)
        else:
            link[phase.key] = round(float(value), 2)
    elif not (link["own"] or link["dead"] or link["why"]):
        whys = {node: one["why"] for node, one in said.items() if one["why"]}
        link["why"] = f"{phase.tool}: " + "; ".join(f"{node}: {why}" for node, why in sorted(whys.items()))


def _reduce(line: Line, work: Work) -> dict[str, Any]:
    """All-reduce over the GPUs of both, and what NCCL's logs say of the way it took."""
    ranks = range(work.gpus) if work.first else range(work.gpus, 2 * work.gpus)
    names = (work.address, work.their_address) if work.first else (work.their_address, work.address)
    with tempfile.TemporaryDirectory(prefix="knowngood-nccl-") as made:
        folder = Path(made)
        if work.first:
            argv = nccl.arguments(names, work.gpus, work.nccl_bytes, work.nccl_rounds, work.settings)
            report = nccl.lead(line, argv, folder, work.nccl_seconds)
        else:
            report = nccl.follow(line, folder, work.nccl_seconds)
        own = nccl.transports(folder, Promise(2, ranks, work.nvswitch, work.rdma_mode))
    line.say(kind="transports", own=own)
    theirs = line.hear("transports", START).get("own") or {}
    return {**report, "own": {work.us: own, work.them: theirs}}
