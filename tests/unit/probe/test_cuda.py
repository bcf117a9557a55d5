"""The CUDA payloads, computed by torch on the CPU: what they do, not how fast."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.probe import cuda

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed: the CUDA payloads are tried only with it"
)


def test_the_model_learns() -> None:
    measured, reason = cuda.learn(torch, [torch.device("cpu")], steps=20)
    assert reason == ""
    assert measured["lastLoss"] < measured["firstLoss"]
    assert measured["tokensPerSecond"] > 0


def test_a_model_that_does_not_learn_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: None)
    assert "did not fall" in cuda.learn(torch, [torch.device("cpu")], steps=2)[1]


def test_answers_equal_the_cpus() -> None:
    measured, reason = cuda.answer(torch, [torch.device("cpu")], requests=3)
    assert (reason, measured["requests"]) == ("", 3)
    assert measured["p50Ms"] <= measured["p99Ms"]
