"""A judge over gates that a test writes; no cluster is asked unless a gate asks for one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from knowngood.adapters.judging.pytest_gates import PytestGates
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import Location
from knowngood.model.gitops import GitOps
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster, Limits, Profile
from knowngood.model.verdict import Judgement
from knowngood.ports.cancel import Cancel
from knowngood.ports.observer import Observer

WHERE = Location("test")
Judge = Callable[..., Judgement]


def request(gates: tuple[str, ...], **fields: object) -> JudgeRequest:
    values: dict[str, object] = {
        "name": "hop-1/ring-0/judge",
        "run": "r1",
        "gates": gates,
        "nodes": ("gpu-1",),
        "expect": {},
        "windows": {},
        "deadline": 60.0,
    }
    return JudgeRequest(**{**values, **fields})  # type: ignore[arg-type]


def cluster() -> Cluster:
    return Cluster(
        name="lab",
        profile="p",
        release="r580",
        control_plane=(),
        cpu=(),
        gpu=("gpu-1", "gpu-2"),
        virtual=(),
        rings=(),
        tenants=(),
        gitops=GitOps("file:///nowhere", "main", (), "env:OPS_TOKEN"),
        declarations=(),
        limits=Limits(),
        on_wave_failure="hold",
        where=WHERE,
    )


def profile() -> Profile:
    return Profile("p", "x", 8, "H200", "10de:233b", False, 8, "CX7", "dma-buf", {}, (), WHERE)


def judge_in(tmp_path: Path) -> Judge:
    """Judges gates given as text: judge(my_gate="def test_x(node): ...")."""

    def run(
        *,
        required: tuple[str, ...] = (),
        cancel: Cancel | None = None,
        observer: Observer | None = None,
        fields: dict[str, object] | None = None,
        **gates: str,
    ) -> Judgement:
        folder = tmp_path / "gates"
        folder.mkdir(exist_ok=True)
        for name, text in gates.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
        nowhere = tmp_path / "no-kubeconfig"
        judge = PytestGates(
            cluster(), Hardware((profile(),)), None, nowhere, tmp_path / "run", folder, observer
        )
        return judge.judge(request(required or tuple(gates), **(fields or {})), cancel or Cancel())

    return run


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """A judge of its own for one test."""
    return judge_in(tmp_path)
