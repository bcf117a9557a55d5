"""What a smoke payload computes on, and what it means that it can't."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from knowngood.probe import inference, training
from knowngood.probe.host import Host
from knowngood.probe.smoke import backend


def torch(available: bool, error: str = "", built_for: str | None = "13.0") -> Any:
    def init() -> None:
        if error:
            raise RuntimeError(error)

    cuda = SimpleNamespace(is_available=lambda: available, init=init)
    return SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda=built_for), __version__="2.13.0")


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Gives this container a torch (None: none), and GPUs or none."""

    def put(found: Any, *, gpus: bool) -> None:
        monkeypatch.setitem(sys.modules, "torch", found)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(backend, "CONTROL", str(tmp_path if gpus else tmp_path / "none"))

    return put


OLD_DRIVER = (
    "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver"
)
NOT_READY = "Error 802: system not yet initialized"


@pytest.mark.parametrize(
    ("found", "gpus", "wanted", "ok", "words"),
    [
        (None, True, "cuda", None, "can't load torch"),
        (None, True, "", None, "can't load torch"),
        (None, False, "cuda", None, "can't load torch"),
        (torch(False, OLD_DRIVER), True, "cuda", None, "image and driver"),
        (torch(False, "Torch not compiled with CUDA enabled", None), True, "cuda", None, "image and driver"),
        (torch(False, "No CUDA GPUs are available"), False, "cuda", None, "given no GPUs"),
        (torch(False, NOT_READY), True, "cuda", False, "802"),
        (torch(False, ""), True, "", False, "can't use them"),
    ],
)
@pytest.mark.parametrize("payload", [training, inference])
def test_what_can_not_be_computed_is_told_from_what_computes_wrongly(
    root: Path, image: Any, payload: Any, found: Any, gpus: bool, wanted: str, ok: bool | None, words: str
) -> None:
    """The image's fault says nothing of the node; a driver that gives no GPU to an image that fits does."""
    image(found, gpus=gpus)
    name = payload.__name__.rpartition(".")[2]
    answer = payload.run(Host(root), {"gpus": 2, name: {"backend": wanted}})
    assert answer["ok"] is ok
    assert words in answer["reason"]


@pytest.mark.parametrize("wanted", ["", "reference"])
def test_without_gpus_the_reference_computes(root: Path, image: Any, wanted: str) -> None:
    image(None, gpus=False)
    assert training.run(Host(root), {"gpus": 2, "training": {"backend": wanted}})["backend"] == "reference"


def test_no_quiet_fallback_where_gpus_are_here(image: Any) -> None:
    image(torch(True), gpus=True)
    assert backend.usable()[0] is not None
    image(torch(False, NOT_READY), gpus=True)
    assert backend.usable()[0] is None
    assert backend.usable()[1] is not None


@pytest.mark.parametrize(
    ("seen", "visible", "ok"),
    [(8, "all", True), (7, "all", False), (1, "MIG-1f5d1a8c,MIG-2", None), (1, "", False)],
)
def test_gpus_that_torch_does_not_see(
    monkeypatch: pytest.MonkeyPatch, seen: int, visible: str, ok: bool | None
) -> None:
    """CUDA shows a process one MIG device only, however many its container has: that says nothing of the others."""
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", visible)
    found = backend.counted(SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: seen)), 8)
    assert (True if found is None else found["ok"]) is ok
