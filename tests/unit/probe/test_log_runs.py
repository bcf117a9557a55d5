"""A flood that is counted without reading each line tells what reading each would have told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowngood.probe.kernel_log import lines as lines_of
from knowngood.probe.kernel_log import reading
from knowngood.probe.kernel_log.lines import Line
from knowngood.probe.kernel_log.records import records

XID = "NVRM: Xid (PCI:0000:18:00): 92, pid='<unknown>', name=<unknown>, High rate of SBE"
MESSAGES = (
    XID,
    f" {XID}",
    "NVRM: Xid (PCI:0000:18:00): 31, pid=7, name=x] NVRM: Xid (PCI:0000:18:00): 31",
    "nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Fatal, Link 3 LTSSM Fault Up",
    "nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Severity 5 Engine instance 3 Sub-engine instance 00",
    "NVRM: The NVIDIA GPU 0000:18:00.0 (PCI ID: 10de:2335)",
    "NVRM: installed in this system is not supported",
    "mlx5_core 0000:3b:00.0 eth0: Link up",
)
STAMPS: tuple[str, ...] = (
    "[  100.000000] ",
    "[  100.500000] ",
    "[  111.000000] ",
    "[nan] ",
    "[ ] ",
    "",
    "  ",
)
STAMPS += (
    "Nov 29 00:00:01 gpu-1 kernel: ",
    "Nov 29 00:00:02 gpu-1 kernel: ",
    "Nov 29 00:00:02 gpu-1 my[7]: ",
)


def told(lines: list[str]) -> list[str]:
    return list(records(reading._text(lines)))


@given(st.lists(st.builds(str.__add__, st.sampled_from(STAMPS), st.sampled_from(MESSAGES)), max_size=12))
@settings(max_examples=300, deadline=None)
def test_counting_tells_what_reading_each_line_tells(lines: list[str]) -> None:
    lines = [line for line in lines for _ in range(1 + len(line) % 3)]
    counted = told(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading._Run, "goes_on", lambda *_: False)
        assert counted == told(lines)


def test_a_flood_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first line and its last."""
    read: list[str] = []

    def of_text(raw: str) -> Line:
        read.append(raw)
        return lines_of.of_text(raw)

    monkeypatch.setattr(reading, "of_text", of_text)
    lines = [f"[{i / 1000:12.6f}] {XID}" for i in range(1000)]
    (record,) = map(json.loads, told(lines))
    assert (record["count"], record["time"], record["last"]) == (1000, 0.0, 0.999)
    assert read == [lines[0], lines[-1]]
