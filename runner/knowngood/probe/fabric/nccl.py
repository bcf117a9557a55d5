"""nccl-tests across two nodes: MPICH's Hydra asks us to start its proxies, so no remote shell and no key is needed.

`mpiexec -launcher manual` (Hydra, MPICH's process manager) prints the command of each host's proxy and waits until
somebody has started them; the proxies then start the ranks. Of the partner's command only where to report and which
proxy it is are told: each node puts its own together. All ranks get what `-genv` names and else this pod's own
environment, so NCCL says in a file of each node what it chose.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from knowngood.probe.fabric import nccl_tests
from knowngood.probe.fabric.meeting import Line
from knowngood.probe.fabric.tools import LOOK, Missing, Tool, ended
from knowngood.probe.smoke import nccl_log
from knowngood.probe.smoke.nccl_log import Promise

PROXY, END = "HYDRA_LAUNCH:", "HYDRA_LAUNCH_END"
_REPORT = re.compile(r"--control-port ([A-Za-z0-9.:_-]+:\d{1,5})\b")
PROXY_FLAGS = ("--rmk", "user", "--launcher", "manual", "--demux", "poll", "--pgid", "0", "--retries", "10")
"""What mpiexec prints for every host alike (MPICH 5.0.2, seen running)."""
MORE_FLAGS = ("--usize", "-1", "--pmi-port", "0", "--gpus-per-proc", "-2", "--gpu-subdevs-per-proc", "-2")
SAID_WITHIN = 30.0
"""Seconds in which mpiexec prints its proxies."""
LONGEST_LOG = 8 << 20
TRANSPORT = {"FI_PROVIDER": "tcp"}
"""MPI itself only starts the ranks and gathers times: it goes by the pods' network, NCCL by its own."""


class Unstarted(Exception):
    """The ranks could not be started; the message says why."""


def arguments(
    names: Sequence[str], gpus: int, size: int, rounds: int, settings: Mapping[str, str]
) -> list[str]:
    """mpiexec's: a rank a GPU on both nodes, one size, every value checked."""
    said = {**TRANSPORT, "NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET,GRAPH,ENV", **settings}
    return [
        *("mpiexec", "-launcher", "manual", "-hosts", ",".join(names), "-localhost", names[0]),
        *("-ppn", str(gpus), "-n", str(gpus * len(names)), "-genvnone"),
        *(word for name, value in sorted(said.items()) for word in ("-genv", name, value)),
        *(
            "all_reduce_perf",
            "-b",
            str(size),
            "-e",
            str(size),
            "-g",
            "1",
            "-n",
            str(rounds),
            "-w",
            "5",
            "-c",
            "1",
        ),
    ]


def reports_at(text: str, proxies: int) -> str:
    """host:port of mpiexec, once it has named all its proxies; "" before that. Unstarted where they are not told."""
    lines = [line for line in text.splitlines() if line.startswith(PROXY)]
    if END not in text:
        return ""
    places = {m.group(1) for line in lines if (m := _REPORT.search(line))}
    if len(lines) != proxies or len(places) != 1:
        raise Unstarted(f"mpiexec names {len(lines)} proxies at {len(places)} places")
    return places.pop()


def proxy(place: str, number: int) -> list[str]:
    """The command of one node's proxy. Unstarted where the place is none."""
    if not _REPORT.fullmatch(f"--control-port {place}"):
        raise Unstarted(f"{place[:60]!a} is no place to report at")
    return ["hydra_pmi_proxy", "--control-port", place, *PROXY_FLAGS, *MORE_FLAGS, "--proxy-id", str(number)]


def logging(folder: Path) -> dict[str, str]:
    """What a node's own ranks get of its proxy: where NCCL's log goes, and GPUs in the order of their addresses."""
    return {"NCCL_DEBUG_FILE": str(folder / "nccl.%h.%p.log"), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def lead(line: Line, argv: Sequence[str], folder: Path, seconds: float) -> dict[str, Any]:
    """Run the test from the first node; what it gave: busGBps, wrong, ranks, or why there is none."""
    until = time.monotonic() + seconds
    tools: list[Tool] = []
    try:
        try:
            tools.append(Tool(argv))
            place = _place(tools[0], min(until, time.monotonic() + SAID_WITHIN))
            tools.append(Tool(proxy(place, 0), logging(folder)))
        except (Missing, Unstarted) as error:
            line.say(kind="proxy", place="")
            return _said(line, {"why": str(error)})
        line.say(kind="proxy", place=place)
        if why := line.hear("started", SAID_WITHIN).get("why"):
            return _said(line, {"why": f"on the other node {why}"})
        whole = ended(tools[:1], until)
        return _said(line, _told(tools[0], whole=whole, seconds=seconds))
    finally:
        for tool in reversed(tools):
            tool.end()


def _said(line: Line, report: dict[str, Any]) -> dict[str, Any]:
    line.say(kind="reduced", report=report)
    return report


def _place(tool: Tool, until: float) -> str:
    while True:
        over = tool.over()
        if place := reports_at(tool.text(), 2):
            return place
        if over or time.monotonic() > until:
            said = tool.text().strip().splitlines()[-1:] or ["no word"]
            raise Unstarted(f"mpiexec names no proxies: {said[0][:200]}")
        time.sleep(LOOK)


def _told(tool: Tool, *, whole: bool, seconds: float) -> dict[str, Any]:
    """What the test gave. Where values are wrong it prints all that it found, and then ends with an error."""
    report = nccl_tests.read(tool.text())
    if not whole:
        return {"why": f"all_reduce_perf did not end within {seconds:.0f} s", "hung": True}
    found: dict[str, Any] = {"ranks": len(report.ranks), "hosts": len({*report.ranks.values()})}
    if (report.best is None or tool.code) and not (report.whole and report.wrong):
        last = report.failure or (tool.text().strip().splitlines()[-1:] or ["no word"])[0]
        return {**found, "why": f"all_reduce_perf ended with {tool.code}: {last[:300]}"}
    return {**found, "busGBps": report.best, "wrong": report.wrong}


def follow(line: Line, folder: Path, seconds: float) -> dict[str, Any]:
    """Start this node's proxy where the first one says, and take what the test gave from it."""
    place = str(line.hear("proxy", 2 * SAID_WITHIN).get("place") or "")
    tool = None
    try:
        if place:
            why = ""
            try:
                tool = Tool(proxy(place, 1), logging(folder))
            except (Missing, Unstarted) as error:
                why = str(error)
            line.say(kind="started", why=why)
        return dict(line.hear("reduced", seconds + SAID_WITHIN).get("report") or {})
    finally:
        if tool is not None:
            tool.end()


def transports(folder: Path, promise: Promise) -> dict[str, Any]:
    """What NCCL's logs on this node say: transports, and what of them breaks the promise."""
    seen = nccl_log.read(text for log in sorted(folder.glob("nccl.*.log")) for text in _lines(log))
    own = [one for one in seen if one.rank in promise.ranks]
    buses = {one.rank: one.bus for one in own}
    return {
        "via": nccl_log.named(own),
        "dmaBuf": sum(one.dma_buf for one in own),
        "nccl": next((one.version for one in own if one.version), ""),
        "found": [
            {
                "words": f.words,
                "ok": f.ok,
                "rank": f.rank,
                "bus": buses.get(f.rank, "") if f.rank is not None else "",
            }
            for f in nccl_log.faults(own, promise)
        ],
        "warned": next((w for one in seen for w in one.warnings), ""),
    }


def _lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        return file.read(LONGEST_LOG).decode("utf-8", "replace").splitlines()
