"""A load computes until its time is over, and says so where it can't."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from knowngood.probe import __main__ as probe
from knowngood.probe import load, training
from knowngood.probe.answer import bad
from knowngood.probe.smoke import backend


def test_it_computes_at_least_once_and_counts_its_rounds() -> None:
    result = load.run(0.0)
    assert result["ok"]
    assert result["measured"]["rounds"] == 1


def test_it_goes_on_until_its_time_is_over() -> None:
    ticks = iter((0.0, 10.0, 59.0, 61.0))
    assert load.run(60.0, lambda: next(ticks))["measured"]["rounds"] == 3
    exactly = iter((0.0, 60.0))
    assert load.run(60.0, lambda: next(exactly))["measured"]["rounds"] == 1


def test_a_load_that_computed_says_so_by_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NODE_NAME", raising=False)
    assert probe.main(["load", "--seconds", "0.001"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["node"], document["results"]["load"]["ok"]) == (1, "", True)


def test_a_round_that_goes_wrong_ends_it_and_the_pod_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"ok": False, "backend": "reference", "reason": "computes wrongly", "measured": {}}
    monkeypatch.setattr(training, "reference", lambda: bad)
    assert probe.main(["load", "--seconds", "60"]) == 1
    assert json.loads(capsys.readouterr().out)["results"]["load"]["reason"] == "computes wrongly"


def test_gpus_that_torch_can_not_use_are_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "usable", lambda: (None, bad("cuda", "torch can't use them")))
    assert load.run(60.0)["reason"] == "torch can't use them"


def test_an_image_without_torch_is_no_load_on_a_node_with_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reference on the CPU would run as long, and would be counted as work on the GPUs."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(backend, "CONTROL", str(tmp_path))
    assert not load.run(0.0)["ok"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert load.run(0.0)["ok"]  # none of them is given to it, as in a rehearsal on such a machine
