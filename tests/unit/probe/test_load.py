"""A load computes until its time is over, and says so where it can't."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowngood.probe import __main__ as probe
from knowngood.probe import cuda, load, training


def test_it_computes_at_least_once_and_counts_its_rounds() -> None:
    result = load.run(0.0)
    assert result["ok"]
    assert result["measured"]["rounds"] == 1


def test_it_goes_on_until_its_time_is_over() -> None:
    ticks = iter((0.0, 10.0, 59.0, 61.0))
    assert load.run(60.0, lambda: next(ticks))["measured"]["rounds"] == 3


def test_a_round_that_goes_wrong_ends_it_and_the_pod_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"ok": False, "backend": "reference", "reason": "computes wrongly", "measured": {}}
    monkeypatch.setattr(training, "reference", lambda: bad)
    assert probe.main(["load", "--seconds", "60"]) == 1
    assert json.loads(capsys.readouterr().out)["results"]["load"]["reason"] == "computes wrongly"


def test_gpus_that_torch_can_not_use_are_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "backend", lambda: (None, "GPUs are here, but torch can't use them"))
    assert load.run(60.0)["reason"] == "GPUs are here, but torch can't use them"


def test_an_image_without_torch_is_no_load_on_a_node_with_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reference on the CPU would run as long, and would be counted as work on the GPUs."""
    monkeypatch.setattr(cuda, "backend", lambda: (None, ""))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(cuda, "CONTROL", str(tmp_path))
    assert load.run(0.0)["reason"] == "GPUs are here, but this image has no torch that can use them"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert load.run(0.0)["ok"]  # none of them is given to it, as in a rehearsal on such a machine
