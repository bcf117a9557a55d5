"""A payload on MIG instances: a process for each, and each is proven to have computed on the one it was given."""

from __future__ import annotations

import ctypes
import json
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from knowngood.probe import inference, training
from knowngood.probe.answer import Answer, good
from knowngood.probe.host import Host
from knowngood.probe.smoke import backend, distributed, instances, serving
from knowngood.probe.smoke.instances import Part

CARVED, WHOLE = "GPU-950792bf-a01c-3f1a-e122-3473e67f54b2", "GPU-4e24fa00-9f4f-68c4-bfcd-581cd3cb7de6"
SLICE, OTHER = "MIG-b3061c09-2a4c-5026-a575-79f86a5bb12c", "MIG-fe9bc608-60f5-5479-8cc4-1827021d27a9"
# `nvidia-smi -L` in two containers of one H100 node, as the GPUStack Operator's documentation prints them (its walk
# through MIG, "Both kinds of workload, side by side"), one after the other; the second instance is of an A100.
LIST = f"""GPU 0: NVIDIA H100 80GB HBM3 (UUID: {CARVED})
  MIG 3g.40gb     Device  0: (UUID: {SLICE})
  MIG 1g.10gb+me  Device  1: (UUID: {OTHER})
GPU 1: NVIDIA H100 80GB HBM3 (UUID: {WHOLE})
"""
PARTS = [Part((WHOLE,)), Part((SLICE,), "3g.40gb", CARVED), Part((OTHER,), "1g.10gb+me", CARVED)]
PARAMS = {"slices": 2, "whole": 1, "deadline": 20.0, "gpus": 2}
# A payload's process: it says on what it computed, and what it was told.
CHILD = """
import json, os, sys
shown = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
told = json.loads(sys.argv[1])
if shown == told.get("aborts"):
    os.abort()
if shown == told.get("hangs"):
    import time; time.sleep(600)
answer = {"ok": told.get("ok", {}).get(shown[0], True), "backend": "cuda", "reason": told.get("why", ""),
          "measured": {"devices": shown, "tokensPerSecond": 7, "told": told["devices"]}}
with open(int(sys.argv[2]), "wb") as out:
    out.write(json.dumps(answer).encode() + b"\\n")
"""


def command(told: Any) -> Sequence[str]:
    return [sys.executable, "-c", CHILD, json.dumps(dict(told))]


def each(parts: list[Part] | str = PARTS, **changes: Any) -> Answer:
    return instances.each({**PARAMS, **changes}, parts, command)


def test_a_list_is_read_as_what_computes_apart() -> None:
    assert instances.listed(LIST) == PARTS
    two = f"GPU 0: NVIDIA H200 (UUID: {WHOLE})\nGPU 1: NVIDIA H200 (UUID: {CARVED})\n"
    assert instances.listed(two) == [Part((WHOLE, CARVED))]
    assert instances.listed("  MIG 1g.5gb Device 0: (UUID: MIG-aa)\nNo devices found.\n") == []


def test_each_instance_computes_by_itself_and_whole_gpus_together() -> None:
    found = each()
    assert (found["ok"], found["backend"], found["reason"]) == (True, "cuda", "")
    measured = found["measured"]
    assert measured["layout"] == {"whole": 1, "1g.10gb+me": 1, "3g.40gb": 1}
    assert measured["slices"] == {
        SLICE: {"profile": "3g.40gb", "tokensPerSecond": 7},
        OTHER: {"profile": "1g.10gb+me", "tokensPerSecond": 7},
    }
    assert (measured["devices"], measured["told"]) == ([WHOLE], [WHOLE])


@pytest.mark.parametrize(
    ("changes", "ok", "words"),
    [
        (
            {"ok": {OTHER: False}, "why": "rows are wrong"},
            False,
            f"{OTHER} (1g.10gb+me of {CARVED}): rows are wrong",
        ),
        ({"ok": {SLICE: None}, "why": "no memory"}, None, f"{SLICE} (3g.40gb of {CARVED}): no memory"),
        ({"ok": {WHOLE: False, SLICE: None}, "why": "bad"}, False, "whole GPUs: bad"),
        (
            {"aborts": [SLICE]},
            None,
            f"{SLICE} (3g.40gb of {CARVED}): it ended with exit code -6 and no answer",
        ),
        (
            {"parts": PARTS[2:], "slices": 1, "whole": 0, "hangs": [OTHER], "deadline": 0.5},
            None,
            f"{OTHER} (1g.10gb+me of {CARVED}): it did not end in time",
        ),
        ({"slices": 3}, None, "this container has 2 MIG devices and 1 whole GPUs, the node 3 and 1"),
        ({"whole": 0}, None, "this container has 2 MIG devices and 1 whole GPUs, the node 2 and 0"),
        ({"parts": "nvidia-smi can't be asked"}, None, "nvidia-smi can't be asked"),
    ],
)
@pytest.mark.timeout(120)  # a process that is not ended would be waited for
def test_what_is_wrong_is_named_by_its_instance(changes: dict[str, Any], ok: bool | None, words: str) -> None:
    found = each(**changes)
    assert (found["ok"], found["reason"]) == (ok, words)


def test_where_nothing_is_said_of_whole_gpus_there_must_be_none() -> None:
    told: list[float] = []

    def keeping(params: Any) -> Sequence[str]:
        told.append(params["deadline"])
        return command(params)

    assert instances.each({"slices": 2, "deadline": 20.0}, PARTS[1:], keeping)["ok"] is True
    assert told == [19.0, 19.0], "a twentieth is left to tell the others' answers"
    assert instances.each({"slices": 2, "deadline": 20.0}, PARTS, keeping)["ok"] is None


@pytest.mark.parametrize(
    ("backends", "told"), [(("cpu", "cpu"), "cpu"), (("cuda", "cpu"), "cuda"), (("cpu", "reference"), "cuda")]
)
def test_parts_that_computed_on_one_backend_have_it(backends: tuple[str, ...], told: str) -> None:
    found = [(part, good(one, {})) for part, one in zip(PARTS[1:], backends, strict=True)]
    assert instances.together(found)["backend"] == told


def test_six_reasons_are_told_and_how_many_more() -> None:
    parts = [Part((f"MIG-{n}",), "1g.10gb", CARVED) for n in range(8)]
    ok = {p.devices[0]: False for p in parts}
    found = each(parts, slices=8, whole=0, ok=ok, why="wrong")
    assert found["reason"].count("wrong") == 6
    assert found["reason"].endswith("; and 2 more")
    assert each(parts[:6], slices=6, whole=0, ok=ok, why="wrong")["reason"].endswith("wrong")


@pytest.mark.parametrize(
    ("used", "asked", "ok", "words"),
    [
        ([SLICE], [SLICE], True, ""),
        ([OTHER], [SLICE], False, f"asked for {SLICE}, CUDA computed on {OTHER}"),
        ([CARVED], [SLICE], None, "can't be told"),
        ([], [SLICE], None, "can't be told"),
        (["GPU-0"], [WHOLE], True, ""),
    ],
)
def test_an_instance_must_be_the_one_that_was_asked_for(
    used: list[str], asked: list[str], ok: bool | None, words: str
) -> None:
    found = instances.proven(good("cuda", {"devices": used}), asked)
    assert found["ok"] is ok
    assert words in found["reason"]
    wrong = {"ok": False, "backend": "cuda", "reason": "NaN", "measured": {}}
    assert instances.proven(wrong, asked) == wrong


class Cuda:
    """libcuda's calls; `codes` by name where one fails."""

    def __init__(self, **codes: int) -> None:
        self._codes = codes

    def cuInit(self, flags: int) -> int:  # noqa: N802 (libcuda's name, as the next)
        return flags or self._codes.get("init", 0)  # no flag is defined

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = ordinal
        return self._codes.get("get", 0)

    def cuDeviceGetUuid_v2(self, raw: Any, device: Any) -> int:  # noqa: N802
        if device.value:
            return 101  # a process sees one MIG device
        raw[:] = uuid.UUID(SLICE.removeprefix("MIG-")).bytes
        return self._codes.get("uuid", 0)


@pytest.mark.parametrize(
    ("shown", "cuda", "expected"),
    [
        (SLICE, Cuda(), SLICE),
        (SLICE, Cuda(init=100), ""),
        (SLICE, Cuda(get=101), ""),
        (SLICE, Cuda(uuid=3), ""),
        (SLICE, object(), ""),
        (SLICE, None, ""),
        (WHOLE, Cuda(), ""),
        ("", Cuda(), ""),
    ],
)
def test_libcuda_names_the_instance_of_a_process(
    monkeypatch: pytest.MonkeyPatch, shown: str, cuda: Any, expected: str
) -> None:
    def load(name: str) -> Any:
        assert name == "libcuda.so.1"
        if cuda is None:
            raise OSError("no such file")
        return cuda

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert instances.used() == expected


@pytest.fixture
def smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Puts an nvidia-smi into this container that prints and ends so."""

    def put(text: str, code: int = 0) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(
            f"#!/bin/sh\ntest $1 = -L && cat <<'EOF'\n{text}\nEOF\nexit {code}\n", encoding="utf-8"
        )
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


@pytest.mark.parametrize(
    ("name", "payload", "module"), [("training", training, distributed), ("inference", inference, serving)]
)
def test_a_parted_nodes_payload_is_one_process_an_instance(
    monkeypatch: pytest.MonkeyPatch, smi: Any, tmp_path: Path, name: str, payload: Any, module: Any
) -> None:
    """The process that is one computes on its device, and looks for no others."""
    smi(LIST)
    asked: list[tuple[int, dict[str, Any]]] = []

    def compute(_torch: Any, gpus: int, params: dict[str, Any]) -> Answer:
        asked.append((gpus, params))
        return good("cuda", {"devices": [SLICE] * gpus})

    monkeypatch.setattr(module, "run", compute)
    monkeypatch.setattr(backend, "ready", lambda *_: (object(), None))
    monkeypatch.setattr(instances, "_command", lambda own, _host, told: command({**told, "why": own}))
    host = Host(tmp_path)
    assert payload.run(host, PARAMS)["measured"]["layout"]["3g.40gb"] == 1
    assert asked == []
    inside = {**PARAMS, "devices": [SLICE], name: {"seconds": 5}}
    assert payload.run(host, inside)["ok"] is True
    assert asked.pop() == (1, {"deadline": 20.0, "shared": False, "seconds": 5})
    assert payload.run(host, {"gpus": 8, "shared": True})["ok"] is True
    assert asked.pop() == (8, {"deadline": module.DEADLINE, "shared": True})
    assert payload.run(host, {**PARAMS, name: {"backend": "cpu"}})["ok"] is True
    assert asked.pop()[0] == 2, "a CPU has no instances"
    smi("Failed to initialize NVML", 255)
    assert "nvidia-smi -L: Failed to initialize NVML" in payload.run(host, PARAMS)["reason"]
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert "nvidia-smi can't be asked in this container" in payload.run(host, PARAMS)["reason"]


def test_an_instances_process_is_a_payloads_of_ours(tmp_path: Path) -> None:
    found = instances._command("training", Host(tmp_path), {"deadline": 5.0, "devices": [SLICE]})
    assert found[-1] == "training"
    assert json.loads(found[found.index("--params") + 1]) == {"deadline": 5.0, "devices": [SLICE]}
    assert found[found.index("--root") + 1] == str(tmp_path)
    assert found[found.index("--deadline") + 1] == "5.0"


def test_replicas_of_fewer_gpus_than_there_are_say_nothing_of_the_node() -> None:
    class Torch:
        class cuda:  # noqa: N801 (torch's name)
            device_count = staticmethod(lambda: 3)

    short = backend.counted(Torch, 4, shared=True)
    assert short is not None
    assert (short["ok"], short["reason"]) == (None, "the device plugin gave 4 replicas of 3 GPUs")
    for gpus, shared in ((4, False), (2, True)):
        alone = backend.counted(Torch, gpus, shared=shared)
        assert alone is not None
        assert alone["ok"] is False
    assert backend.counted(Torch, 3, shared=True) is None
