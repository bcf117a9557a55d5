"""Gates as modules, and the words in which a test asks one for its verdict."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from knowngood.gate import verdicts
from knowngood.gate.verdicts import GateFailed, GateInconclusive, Notes
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import Location
from knowngood.model.matrix import Profile
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState

GATES = Path(__file__).parents[3] / "gates"
DRIVER = "580.173.02"
BOOT = "7a8eb505-3c64-47f1-8765-21767d41e9a1"


def gate(name: str) -> ModuleType:
    """The module of a gate."""
    spec = importlib.util.spec_from_file_location(f"gate_{name}", GATES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verdict(test: Callable[..., None], /, **arguments: Any) -> tuple[str, str, Notes]:
    """(verdict, reason, notes) of a gate's test; `waivers` are the node's."""
    notes = verdicts.begin(arguments.pop("waivers", ()))
    try:
        test(**arguments)
    except GateFailed as error:
        return "fail", str(error), notes
    except GateInconclusive as error:
        return "inconclusive", str(error), notes
    return "pass", notes.reason, notes


def healthy(**changes: Any) -> NodeState:
    """A node at rest with the expected driver."""
    values: dict[str, Any] = {
        "name": "gpu-1",
        "reachable": True,
        "ready": True,
        "boot_id": BOOT,
        "uptime_seconds": 1000.0,
        "marks": {"nvidia-driver": Mark(DRIVER, BOOT, 10.0)},
        "versions": {
            "nvidia-driver": DRIVER,
            "nvidia-user-space": DRIVER,
            "gsp-firmware": DRIVER,
            "kernel-module-type": "open",
            "rdma-mode": "dma-buf",
        },
        "gpus": tuple(f"0000:{i:02x}:00.0" for i in range(8)),
        "labels": {
            "nvidia.com/cuda.driver-version.full": DRIVER,
            "nvidia.com/gpu.deploy.device-plugin": "true",
        },
        "allocatable": {"nvidia.com/gpu": "8"},
        "operands": {"nvidia-device-plugin-daemonset": "ready", "nvidia-driver": "ready"},
    }
    return NodeState(**{**values, **changes})


def request(**changes: Any) -> JudgeRequest:
    values: dict[str, Any] = {
        "name": "judge",
        "run": "r1",
        "gates": (),
        "nodes": ("gpu-1",),
        "expect": {},
        "windows": {},
    }
    return JudgeRequest(**{**values, **changes})


@pytest.fixture
def profile() -> Profile:
    return Profile("p", "x", 8, "H200", "10de:233b", False, 8, "CX7", "dma-buf", {}, (), Location("test"))
