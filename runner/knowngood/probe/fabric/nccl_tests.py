"""What nccl-tests print, read: bus bandwidth by size, wrong values, whose ranks took part. Pure.

The formats are those of NVIDIA/nccl-tests at a0b82b2 (the image's): src/util.cu, writeDeviceReport,
writeBenchmarkLineBody and writeResultFooter; older ones differ in the heading only. A test that was cut off has no
footer, and what it printed before is no measurement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_RANK = re.compile(
    r"^# +Rank +(\d+) +(?:Group +\d+ +)?Pid +\d+ on +(\S+) device +\d+ \[([0-9a-fA-F:x]+)\] (.+?) *$", re.M
)
_FIGURE = r"[\d.]+(?:e[+-]?\d+)?"
_HALF = rf"\s+{_FIGURE}\s+{_FIGURE}\s+({_FIGURE})\s+(\S+)"
_ROW = re.compile(rf"^ *(\d+)\s+\d+\s+\w+\s+\w+\s+(?:-?\d+)?{_HALF}{_HALF}\s*$", re.M)
_WRONG = re.compile(r"^# Out of bounds values +: (\d+) (OK|FAILED)", re.M)
_AVERAGE = re.compile(rf"^# Avg bus bandwidth +: ({_FIGURE})", re.M)
_FAILURE = re.compile(r"^.*Test (?:NCCL|CUDA) failure.*$", re.M)


@dataclass(frozen=True)
class Report:
    """`ranks`: host by rank. `busGBps`: the better half (out of place, in place) by size in bytes. `wrong`: values
    that are not what they should be, None where nothing was checked. `whole`: it ran to its end.
    """

    ranks: dict[int, str] = field(default_factory=dict)
    bus_gbps: dict[int, float] = field(default_factory=dict)
    wrong: int | None = None
    average: float | None = None
    whole: bool = False
    failure: str = ""

    @property
    def best(self) -> float | None:
        """Bus bandwidth in GB/s at the largest size; None where nothing was measured."""
        return self.bus_gbps[max(self.bus_gbps)] if self.whole and self.bus_gbps else None


def read(text: str) -> Report:
    """What the output of one test says."""
    rows = {}
    checked = True
    for size, first, errors, second, more in _ROW.findall(text):
        rows[int(size)] = max(float(first), float(second))
        checked = checked and "N/A" not in (errors, more)
    wrong, average, failure = _WRONG.search(text), _AVERAGE.search(text), _FAILURE.search(text)
    return Report(
        ranks={int(rank): host for rank, host, _, _ in _RANK.findall(text)},
        bus_gbps=rows,
        wrong=int(wrong.group(1)) if wrong and checked else None,
        average=float(average.group(1)) if average else None,
        whole=wrong is not None and average is not None and failure is None,
        failure=failure.group().strip()[:300] if failure else "",
    )
