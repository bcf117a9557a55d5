"""What could not be measured is inconclusive in every gate that a payload answers: never a fail, never a pass."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from knowngood.gate.events import _verdict
from knowngood.gate.fixtures import PAYLOAD
from knowngood.model.matrix import Profile
from knowngood.probe import rdma, training
from knowngood.probe.answer import checked, unmeasured
from knowngood.probe.host import Host

from .conftest import BOOT, DRIVER, GATES, gate, healthy, request, verdict

ASKED = {
    path.stem: module for path in sorted(GATES.glob("*.py")) if hasattr(module := gate(path.stem), PAYLOAD)
}
RAISED = unmeasured("", "the payload broke: RuntimeError: CUDA error 802")
ANSWERS: dict[str, dict[str, Any]] = {
    "a payload that raised": RAISED,
    "one that was killed": unmeasured("", "it was killed by SIGABRT"),
    "no answer of the kinds": checked(None),
    "figures that are none": checked({"ok": True, "measured": []}),
    "a word for a yes": {"ok": "true", "backend": "cuda", "reason": "", "measured": {}},
    "garbled figures": {
        "ok": None,
        "backend": "cuda",
        "reason": "junk",
        "measured": {"ports": "x", "counters": 5},
    },
}


def told(
    module: ModuleType, name: str, probe: dict[str, Any], profile: Profile, baseline: Any
) -> tuple[str, str]:
    """The verdict as the plugin takes it: what a gate raises that is no verdict is inconclusive."""
    test = getattr(module, name)
    backend = "cuda" if module.__name__.startswith("gate_smoke") else ""
    known = {
        "node": "gpu-1",
        "probe": {**probe, "bootId": BOOT},
        "profile": profile,
        "limits": {"backend": backend} if backend else {},
        "expect": {},
        "baseline": baseline,
        "judgement": request(),
        "pool": {},
    }
    wanted = {n: known[n] for n in inspect.signature(test).parameters}
    try:
        found, reason, _ = verdict(test, **wanted)
    except Exception as error:  # noqa: BLE001 (as the plugin does)
        said, reason = _verdict(error, in_call=True)
        found = said.value
    return found, reason


def cases() -> list[Any]:
    return [
        pytest.param(name, test, id=f"{name}-{test}")
        for name, module in ASKED.items()
        for test, function in vars(module).items()
        if test.startswith("test_") and "probe" in inspect.signature(function).parameters
    ]


def test_the_gates_that_payloads_answer_are_found() -> None:
    assert {"rdma_health", "smoke_training", "smoke_inference"} <= {case.values[0] for case in cases()}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("baseline", [None, {}], ids=["no baseline", "an empty baseline"])
@pytest.mark.parametrize(("name", "test"), cases())
def test_no_answer_is_no_verdict_about_the_node(
    name: str, test: str, baseline: Any, answer: str, profile: Profile
) -> None:
    found, reason = told(ASKED[name], test, ANSWERS[answer], profile, baseline)
    assert found == "inconclusive", reason
    assert reason


def test_a_root_that_can_not_be_read_is_no_verdict_about_the_node(tmp_path: Path, profile: Profile) -> None:
    """The module's version is a folder, and nothing else is there."""
    (tmp_path / "sys/module/nvidia/version").mkdir(parents=True)
    for name, payload in (("rdma_health", rdma), ("smoke_training", training)):
        answer = payload.run(Host(tmp_path), {"gpus": 8, "training": {"backend": "cuda"}})
        (test,) = [case.values[1] for case in cases() if case.values[0] == name]
        assert told(ASKED[name], str(test), answer, profile, None)[0] == "inconclusive", name


def test_a_driver_that_can_not_be_read_is_no_drift(profile: Profile) -> None:
    """Its module's file gave nothing, and so did the list of its GPUs; all else is as it was."""
    drift = gate("drift")
    state = healthy(gpus=(), versions={}, marks=healthy().marks)
    told_of = {
        "test_versions_are_the_releases": {
            "state": state,
            "expect": {"nvidia-driver": DRIVER},
            "judgement": request(),
        },
        "test_operands_work_and_nothing_is_parked": {
            "node": "gpu-1",
            "states_at_rest": {"gpu-1": state},
            "profile": profile,
            "baseline": None,
        },
    }
    found = {name: verdict(getattr(drift, name), **given)[:2] for name, given in told_of.items()}
    assert [said for said, _ in found.values()] == ["inconclusive", "pass"], found
