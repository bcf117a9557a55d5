"""What perftest prints, read: a bandwidth, a latency, or why there is none. Pure.

The formats are those of linux-rdma/perftest at 8a1d3d7 (the image's): REPORT_FMT and REPORT_FMT_LAT in
src/perftest_parameters.h, the errors of src/perftest_resources.{c,h}, src/perftest_communication.c and
src/cuda_memory.c. A tool that prints a figure ends with 0; one that ends otherwise has measured nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MEASURED, DEAD, OWN, UNMEASURED = "measured", "dead", "own", "unmeasured"
"""What a tool's end says: a figure; a link that does not carry what was sent; a fault of this node itself; nothing."""
DMA_BUF = "using DMA-BUF for GPU buffer address"
REFUSED = "Couldn't connect to"
"""The client found no server yet."""
LONGEST = 200

_BANDWIDTH = re.compile(r"^ *#bytes +#iterations +BW peak\[(\S+?)\] +BW average\[(\S+?)\]", re.M)
_LATENCY = re.compile(r"^ *#bytes +#iterations +t_min\[usec\] +t_max\[usec\] +t_typical\[usec\]", re.M)
_NUMBERS = re.compile(r"^ *\d+(?:[ \t]+[\d.]+)+[ \t]*$", re.M)
_UNITS = {"Gb/sec": 1.0, "MiB/sec": 8 * 1048576 / 1e9, "MB/sec": 8 * 1048576 / 1e9}
"""Gb/s of one. perftest before 4.5 wrote MB for 1048576 bytes."""
_DEAD = re.compile(r"Completion with error at (?:client|server)")
_STATUS = re.compile(r"Failed status[- ].*")
_OWN = (
    "DMA-BUF is not supported on this GPU",
    "OFED stack does not support DMA-BUF",
)
"""This node can't do what the profile promises."""
_NO_REGION = re.compile(r"Couldn't allocate MR with error=(\d+)")
_OF_THE_POD = {"1": "EPERM", "11": "EAGAIN", "12": "ENOMEM", "13": "EACCES"}
"""errno of a registration that the pod's own limits forbid (memlock, IPC_LOCK), which says nothing of the node."""


@dataclass(frozen=True)
class Reading:
    """What one run of a tool says. `value`: Gb/s or microseconds. `dma_buf`: it said that it uses DMA-BUF."""

    end: str
    value: float | None = None
    dma_buf: bool = False
    why: str = ""


def bandwidth(text: str, code: int) -> Reading:
    """The average of the last row of a bandwidth test (ib_write_bw), in Gb/s."""
    head = _last(_BANDWIDTH, text)
    unit = _UNITS.get(head.group(2)) if head else None
    return _reading(text, code, head, 3, unit)


def latency(text: str, code: int) -> Reading:
    """The typical time (the median) of the last row of a latency test (ib_read_lat), in microseconds."""
    return _reading(text, code, _last(_LATENCY, text), 4, 1.0)


def _reading(text: str, code: int, head: re.Match[str] | None, column: int, unit: float | None) -> Reading:
    dma_buf = DMA_BUF in text
    if trouble := _trouble(text):
        return Reading(trouble[0], dma_buf=dma_buf, why=trouble[1])
    row = _last(_NUMBERS, text[head.end() :]) if head else None
    words = row.group().split() if row else []
    value = _number(words[column]) if len(words) > column else None
    if code or value is None or unit is None:
        return Reading(UNMEASURED, dma_buf=dma_buf, why=_last_words(text, code))
    return Reading(MEASURED, value * unit, dma_buf)


def _trouble(text: str) -> tuple[str, str] | None:
    """What the tool says of the link or of this node; None where it complains of neither."""
    if _DEAD.search(text):
        status = _STATUS.search(text)
        return DEAD, (status.group() if status else "completion with error").strip()[:LONGEST]
    for words in _OWN:
        if words in text:
            return OWN, words
    if region := _NO_REGION.search(text):
        number = region.group(1)
        if number in _OF_THE_POD:
            return UNMEASURED, f"the pod may not pin GPU memory ({_OF_THE_POD[number]}): IPC_LOCK, memlock?"
        return OWN, f"GPU memory can't be registered with the NIC (errno {number})"
    return None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007 (the last one is wanted)
        pass
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e9 else None


def _last_words(text: str, code: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip(" -*")]
    said = f": {lines[-1][:LONGEST]}" if lines else ""
    return f"it ended with {code} and no figure{said}"
