"""A bad bump tried three times, by the real gate, on a kernel log that outlives every try."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from knowngood.gate.kernel_log import earlier_of, read
from knowngood.model.context import JudgeRequest, Span, Window

from .conftest import gate, request, verdict

GPU_ERRORS = gate("gpu_errors")
NODE, BOOT = "gpu-1", "a" * 32
OLD, NEW = "580.173.02", "610.57.04"


@dataclass
class Node:
    """One machine: its clock, its journal, the load that runs. Every line takes ten seconds."""

    clock: float = 0.0
    journal: list[str] = field(default_factory=list)
    load: Window = field(default_factory=lambda: Window(BOOT, 0.0, ""))

    def prints(self, message: str) -> None:
        stamp = str(int(self.clock * 1e6))
        entry = {"_TRANSPORT": "kernel", "_BOOT_ID": BOOT, "__MONOTONIC_TIMESTAMP": stamp, "MESSAGE": message}
        self.journal.append(json.dumps(entry))
        self.clock += 10.0

    def loads(self, version: str) -> None:
        self.load = Window(BOOT, self.clock, "")
        self.prints(f"NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build")

    def computes(self, version: str) -> None:
        if version == NEW:
            self.prints("NVRM: Xid (PCI:0000:18:00): 31, pid=20012, name=pt_main_thread, MMU Fault: x")

    def judged(self, asked: JudgeRequest, baseline: Any = None) -> tuple[str, dict[str, Any]]:
        opened = earlier_of(asked.windows.get(NODE), asked.loads.get(NODE))
        log = read(lambda _boot: "\n".join(self.journal), opened, BOOT)
        said, _, notes = verdict(
            GPU_ERRORS.test_no_new_gpu_errors,
            node=NODE,
            kernel_log=log,
            limits={"maxSameXid": 0},
            baseline=baseline,
            judgement=asked,
            load=asked.loads.get(NODE),
        )
        return said, notes.measured


def booted() -> Node:
    node = Node()
    node.prints("Linux version 5.14.0-427.el9_4.x86_64")
    node.loads(OLD)
    return node


def baseline(node: Node, *spans: Span) -> dict[str, Any]:
    """What a run's check measures: the whole boot is its window, the load that runs is what it counts."""
    asked = request(
        taking_baseline=True,
        windows={NODE: Window(BOOT, 0.0, "")},
        loads={NODE: node.load},
        excluded={NODE: spans},
    )
    said, measured = node.judged(asked)
    assert said == "pass"
    return measured


def tried(node: Node) -> str:
    """One try: baseline, claim, the new driver, its load, the verdict; then the old driver again."""
    before = baseline(node)
    claimed = Window(BOOT, node.clock, "")
    node.loads(NEW)
    node.computes(NEW)
    said, _ = node.judged(request(windows={NODE: claimed}, loads={NODE: node.load}), before)
    node.computes(NEW)
    node.loads(OLD)
    return said


def test_every_try_of_a_bad_bump_fails() -> None:
    node = booted()
    assert [tried(node) for _ in range(4)] == ["fail"] * 4


@pytest.mark.parametrize("more", [0, 1])
def test_what_the_old_driver_said_itself_is_allowed_and_no_more(more: int) -> None:
    node = booted()
    node.computes(NEW)  # a tenant's own fault, under the old driver
    before = baseline(node)
    claimed = Window(BOOT, node.clock, "")
    node.loads(NEW)
    for _ in range(1 + more):
        node.computes(NEW)
    said, _ = node.judged(request(windows={NODE: claimed}, loads={NODE: node.load}), before)
    assert said == ("fail" if more else "pass")


def test_what_a_held_run_left_running_is_no_measure_for_the_next() -> None:
    """The new driver runs on, with the errors that it was held for; the way back must not be allowed as many."""
    node = booted()
    claimed = node.clock
    node.loads(NEW)
    node.computes(NEW)
    assert baseline(node)["errors"] == {"Xid 31": 1}
    assert baseline(node, Span(BOOT, claimed))["errors"] == {}
