"""Who is sent a probe, what it is told of the gates' limits, and what the kernel log adds to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from knowngood.adapters.judging.probe_job import Answers
from knowngood.gate import probing
from knowngood.gate.fixtures import PAYLOAD, Look
from knowngood.model.hardware import Hardware
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState

from .conftest import BOOT, healthy, request
from .smi import profile


def showing(ports: int, **changes: Any) -> NodeState:
    """A node whose driver pod shows so many ports."""
    return healthy(rdma={"ports": [{"name": f"mlx5_{n}/1"} for n in range(ports)]}, **changes)


def test_a_probe_for_ports_is_sent_where_the_driver_pod_shows_too_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[list[str], tuple[str, ...]]] = []

    def send(_context: object, _kube: object, nodes: Mapping[str, Any], wanted: tuple[str, ...]) -> Answers:
        asked.append(([*nodes], wanted))
        return Answers({})

    monkeypatch.setattr(probing, "_asked", send)
    states = {
        "none": showing(0),
        "seven": showing(7),
        "eight": showing(8),
        "nine": showing(9),
        "away": showing(0, reachable=False),
    }
    context = SimpleNamespace(hardware=Hardware((profile(),)))
    make: Any = probing.portless.__wrapped__  # type: ignore[attr-defined]
    make(context, None, Look(states, 0.0))
    assert asked == [(["none", "seven"], ("rdma",))], "the profile has eight"


def test_what_computes_is_told_its_gates_limits_and_nothing_that_is_the_gates_alone() -> None:
    limits = {"kind": "active", "needs": ["gpus"], "source": "x", "withinDays": 3, "failsAtOnce": ["x"]}
    kind = replace(
        profile(), gates={"smoke_training": {**limits, "seconds": 10}, "rdma_health": {"rateGbps": 400}}
    )
    items = [
        SimpleNamespace(path=Path(f"gates/{gate}.py"), module=SimpleNamespace(**{PAYLOAD: payload}))
        for gate, payload in {"smoke_training": "training", "rdma_health": "rdma", "drift": ""}.items()
    ]
    asking: Any = SimpleNamespace(session=SimpleNamespace(items=items))
    assert probing._parameters(asking, kind) == {
        "training": {"nvswitch": True, "rdmaMode": "dma-buf", "seconds": 10}
    }


@pytest.mark.parametrize(
    ("payload", "told", "log"),
    [("rdma", {"gpu-1": "lines"}, "lines"), ("rdma", {}, ""), ("training", {}, None)],
)
def test_ports_are_told_with_the_loads_of_their_driver(
    payload: str, told: dict[str, str], log: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the present boot, as far as the kernel log tells."""
    read: list[str] = []

    def lines(_node: str, text: str) -> list[str]:
        read.append(text)
        return []

    monkeypatch.setattr("knowngood.gate.probing.facts.kernel_lines", lines)
    marks = [Mark("26.04", BOOT, 5.0), Mark("26.04", "another", 9.0), Mark("26.04", BOOT, 70.0)]
    monkeypatch.setattr("knowngood.gate.probing.facts.loads", lambda _lines, _proof: marks)
    movers = {
        "doca-ofed": SimpleNamespace(proof=SimpleNamespace(module="mlx5_core")),
        "nvidia-driver": SimpleNamespace(proof=SimpleNamespace(module="nvidia")),
        "gpu-operator": SimpleNamespace(proof=None),
    }
    result = {"ok": True, "backend": "cuda", "reason": "", "measured": {}}
    given = {
        "answers": Answers({"gpu-1": {"bootId": BOOT, "results": {"training": result}}}),
        "knowngood_context": SimpleNamespace(hardware=Hardware((profile(),)), request=request(movers=movers)),
        "state": showing(8),
        "told": told,
    }
    asking: Any = SimpleNamespace(
        node=SimpleNamespace(module=SimpleNamespace(**{PAYLOAD: payload})), getfixturevalue=given.__getitem__
    )
    make: Any = probing.probe.__wrapped__  # type: ignore[attr-defined]
    found = make(asking, {"gpu-1": healthy()}, "gpu-1")
    assert read == ([] if log is None else [log])
    assert found.get("nicLoads") == (None if log is None else [5.0, 70.0])
    assert probing._nic_loads(healthy(), {"gpu-operator": movers["gpu-operator"]}, "") == []  # type: ignore[dict-item]
