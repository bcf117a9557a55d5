"""The probe reads a host below a folder, computes, prints one document, and changes nothing."""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.trees import tree_of

from knowngood.probe import __main__ as probe_main
from knowngood.probe import inference, inventory, rdma, training
from knowngood.probe.host import Host

from .conftest import DRIVER, write

RUNNER = Path(__file__).parents[3] / "runner"


def probe(
    root: Path, *payloads: str, params: str = '{"gpus": 2}', more: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-S",
        "-m",
        "knowngood.probe",
        "run",
        *payloads,
        "--root",
        str(root),
        "--params",
        params,
        *more,
    ]
    env = {"PYTHONPATH": str(RUNNER), "NODE_NAME": "gpu-1"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def results(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {name: r for line in done.stdout.splitlines() for name, r in json.loads(line)["results"].items()}


def files(root: Path) -> dict[str, float]:
    return {str(p): p.stat().st_mtime for p in root.rglob("*")}


def test_one_document_a_payload_without_any_site_package(root: Path) -> None:
    before = files(root)
    done = probe(root, "rdma", "training", "inference")
    assert (done.returncode, done.stderr) == (0, "")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(d["schema"], d["node"], d["bootId"]) for d in documents} == {
        (1, "gpu-1", "7a8eb505-3c64-47f1-8765-21767d41e9a1")
    }
    assert [list(d["results"]) for d in documents] == [["rdma"], ["training"], ["inference"]]
    assert [results(done)[name]["ok"] for name in ("rdma", "training", "inference")] == [True] * 3
    assert results(done)["training"]["backend"] == "reference"
    assert files(root) == before


def test_a_short_document_is_left_where_the_kubelet_takes_last_words_from(root: Path, tmp_path: Path) -> None:
    said, long = tmp_path / "termination-log", tmp_path / "long"
    done = probe(root, "training", "inference", more=("--answer", str(said)))
    assert (done.returncode, said.read_text()) == (0, done.stdout)
    counters = root / "sys/class/infiniband/mlx5_0/ports/1/counters"
    for number in range(300):
        (counters / f"counter_{number}").write_text("1\n")
    assert probe(root, "rdma", more=("--answer", str(long))).returncode == 0
    assert not long.read_text(), "the kubelet would cut it"
    nowhere = probe(root, "training", more=("--answer", str(tmp_path / "no" / "such" / "folder")))
    assert (nowhere.returncode, nowhere.stderr) == (0, "")


def test_the_probe_parses_on_python_3_9() -> None:
    """CUDA images carry older Pythons than operators' laptops."""
    for path in sorted((RUNNER / "knowngood" / "probe").rglob("*.py")):
        tree = tree_of(path.read_text(), feature_version=(3, 9))
        first = (
            next(n for n in tree.body if isinstance(n, ast.ImportFrom)) if path.stem != "__init__" else None
        )
        assert first is None or first.module == "__future__", path


def test_every_payload_takes_less_than_a_second(root: Path) -> None:
    for payload in (rdma, training, inference):
        started = time.process_time()
        payload.run(Host(root), {"gpus": 2, "requests": 20})
        assert time.process_time() - started < 1.0


@pytest.mark.parametrize("params", ["not json", "[]"])
def test_bad_parameters_are_a_usage_error(root: Path, params: str) -> None:
    done = probe(root, "rdma", params=params)
    assert done.returncode == 2
    assert "--params" in done.stderr


def test_a_payload_that_breaks_measured_nothing_and_the_others_run(root: Path) -> None:
    done = probe(root, "training", "rdma", params='{"gpus": "many"}')
    assert done.returncode == 3
    assert results(done)["training"]["ok"] is None
    assert "the payload broke: ValueError" in results(done)["training"]["reason"]
    assert results(done)["rdma"]["ok"] is True


@pytest.mark.parametrize("payload", [training, inference])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda r: (r / "sys/module/nvidia/version").unlink(), "not loaded"),
        (lambda r: write(r, "sys/module/nvidia/version", "595.91.07\n"), "the loaded module is 595.91.07"),
        (lambda r: (r / f"usr/lib64/libcuda.so.{DRIVER}").unlink(), "libcuda is not installed"),
        (lambda r: write(r, "usr/lib64/libcuda.so.595.91.07"), "580.173.02, 595.91.07"),
        (lambda r: write(r, "proc/driver/nvidia/gpus/0000:3a:00.0/information"), "has 3 GPUs, expected 2"),
    ],
)
def test_smoke_payloads_check_the_node_even_without_a_gpu_library(
    root: Path, payload: Any, spoil: Any, reason: str
) -> None:
    spoil(root)
    result = payload.run(Host(root), {"gpus": 2})
    assert result["ok"] is False
    assert reason in result["reason"]


def test_the_reference_training_notices_wrong_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    assert training.reference()["ok"] is True
    monkeypatch.setattr(math, "tanh", lambda x: max(-1.0, min(1.0, x)))
    assert "computes wrongly" in training.reference()["reason"]


def test_the_reference_training_notices_a_loss_that_does_not_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_RATE", 0.0)
    assert "did not fall" in training.reference()["reason"]


def test_the_reference_inference_notices_wrong_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inference.reference(3)["ok"] is True
    monkeypatch.setattr(math, "exp", lambda x: 1.0 + x)
    assert inference.reference(3)["reason"] == "3 of 3 answers are wrong"


def test_ports_and_error_counters_are_read_and_traffic_is_left_out(root: Path) -> None:
    write(root, "sys/class/infiniband/mlx5_1/ports/1/counters/link_downed", "2\n")
    write(root, "sys/class/infiniband/mlx5_1/ports/1/state", "1: DOWN\n")
    result = rdma.run(Host(root), {})
    measured = result["measured"]
    assert [(p["name"], p["state"], p["rateGbps"]) for p in measured["ports"]] == [
        ("mlx5_0/1", "ACTIVE", 400.0),
        ("mlx5_1/1", "DOWN", 400.0),
    ]
    assert measured["counters"] == {
        "mlx5_0/1": {"link_downed": 0, "out_of_sequence": 3},
        "mlx5_1/1": {"link_downed": 2, "out_of_sequence": 3},
    }
    assert (measured["uptimeSeconds"], measured["mode"]) == (1234.5, "dma-buf")
    assert measured["firmware"] == {"mlx5_0": "28.47.1026", "mlx5_1": "28.47.1026"}


def test_a_counter_that_cannot_be_read_is_absent_and_not_zero(root: Path) -> None:
    port = root / "sys/class/infiniband/mlx5_0/ports/1"
    (port / "counters/link_downed").unlink()
    (port / "counters/link_downed").mkdir()  # reading it is an error
    write(port, "counters/symbol_error", "N/A\n")
    write(port, "hw_counters/packet_seq_err", "\u00b2\n")  # a digit, but no number
    write(port, "hw_counters/req_cqe_error", "0\n")
    write(port, "hw_counters/rnr_nak_retry_err", "9" * 100_000 + "\n")
    write(port, "hw_counters/req_cqe_error_", f"{2**64}\n")
    measured = rdma.run(Host(root), {})["measured"]
    assert measured["counters"]["mlx5_0/1"] == {"out_of_sequence": 3, "req_cqe_error": 0}
    unread = {"link_downed", "symbol_error", "packet_seq_err", "rnr_nak_retry_err", "req_cqe_error_"}
    assert {*measured["unread"]["mlx5_0/1"]} == unread


def test_a_host_without_ports_is_not_ok(tmp_path: Path) -> None:
    assert rdma.run(Host(tmp_path), {})["ok"] is None


def test_the_references_times_are_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(n * 0.002 for n in range(1000))
    monkeypatch.setattr("knowngood.probe.inference.time.perf_counter", lambda: next(ticks))
    measured = inference.reference(10)["measured"]
    assert (measured["p50Ms"], measured["p99Ms"], measured["requestsPerSecond"]) == (2.0, 2.0, 500.0)


@pytest.mark.parametrize("off", [0.9e-6, -0.9e-6, 1.1e-6, -1.1e-6])
def test_the_reference_training_is_exact_to_a_millionth(off: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_LAST_LOSS", training._LAST_LOSS + off)
    assert training.reference()["ok"] is (abs(off) < 1e-6)


@pytest.mark.parametrize(("off", "wrong"), [(0.9e-9, False), (1.1e-9, True)])
def test_the_reference_inference_is_exact_to_a_billionth(
    off: float, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = inference._KNOWN
    monkeypatch.setattr(inference, "_KNOWN", (first + off, *others))
    found = inference.reference(2)
    assert (found["ok"], found["reason"]) == ((False, "2 of 2 answers are wrong") if wrong else (True, ""))


@pytest.mark.parametrize(("asked", "requests"), [({}, 20), ({"requests": 1}, 1), ({"requests": 0}, 1)])
def test_the_reference_answers_as_often_as_asked(asked: dict[str, int], requests: int, root: Path) -> None:
    found = inference.run(Host(root), {"gpus": 2, "inference": {"backend": "reference", **asked}})
    assert found["measured"]["requests"] == requests


def test_where_nobody_says_how_many_gpus_there_must_be_there_must_be_none(root: Path) -> None:
    for payload in (training, inference):
        assert "has 2 GPUs, expected 0" in payload.run(Host(root), {})["reason"]


@pytest.mark.parametrize(
    ("share", "off", "words"), [(0.6, 0.0, "did not fall"), (0.59, 0.0, ""), (0.59, 1e-9, "computes wrongly")]
)
def test_the_reference_training_is_right_where_the_loss_falls_below_six_tenths_to_what_is_known(
    share: float, off: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0] * (training._STEPS - 1) + [share])
    monkeypatch.setattr("knowngood.probe.training.Network.step", lambda *_: next(losses))
    monkeypatch.setattr(training, "_LAST_LOSS", share + off)
    monkeypatch.setattr(training, "_TOLERANCE", 0.0)
    found = training.reference()
    assert (found["ok"], words in found["reason"]) == (not words, True), found


def test_an_answer_of_the_reference_that_is_the_known_one_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowngood.probe.inference.Network.forward", lambda *_: ([], list(inference._KNOWN)))
    monkeypatch.setattr(inference, "_TOLERANCE", 0.0)
    assert inference.reference(3)["ok"] is True


def test_the_references_percentiles_are_of_all_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, moments = [0.0], []
    for n in range(1, 201):  # answers of 1 to 200 ms
        moments += [ticks[-1], ticks[-1] + n / 1000]
        ticks.append(moments[-1])
    clock = iter(moments)
    monkeypatch.setattr("knowngood.probe.inference.time.perf_counter", lambda: next(clock))
    measured = inference.reference(200)["measured"]
    assert (measured["p50Ms"], measured["p99Ms"]) == (101.0, 199.0)


def test_an_inventory_has_a_version_of_what_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inventory, "PARTS", {"torch": ("no-such-one",), "cuda": ("no-such-one", "pytest")})
    monkeypatch.setattr(inventory, "TOOLS", {"perftest": "a", "nccl-tests": "b", "mpich": "c"})
    monkeypatch.setattr("shutil.which", lambda program: None if program == "c" else program)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    write(tmp_path, "share/knowngood/perftest", "24.10\n")
    found = inventory.inventory()
    assert found["cuda"] == ".".join(pytest.__version__.split(".")[:2])
    assert {part: found[part] for part in ("torch", "perftest", "nccl-tests", "mpich")} == {
        "torch": "",
        "perftest": "24.10",
        "nccl-tests": "?",  # it is there, and nobody wrote down which
        "mpich": "",
    }


def test_an_images_inventory_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe_main.main(["inventory"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1


@pytest.mark.parametrize("argv", [[], ["load"], ["kernel-log"], ["run"], ["payload", "rdma"]])
def test_what_must_be_said_is_asked_for(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        probe_main.main(argv)
    assert ended.value.code == 2
    assert "required" in capsys.readouterr().err
