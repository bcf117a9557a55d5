"""The smoke training under torch on CPUs: two ranks by torchrun, healthy and sabotaged."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.smoke.sabotage import SABOTAGE

from knowngood.probe.answer import Answer
from knowngood.probe.smoke import distributed, launch, records
from knowngood.probe.smoke.launch import Ending, Nodes
from knowngood.probe.smoke.verdict import answer

WORKER = "tests.integration.smoke.sabotage"
VERIFIED, HEALTHY = 2, 50
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("torch") is None,
        reason="torch is not installed (make test-all installs its CPU build)",
    ),
]


def order(folder: Path, **more: Any) -> dict[str, Any]:
    few = {
        "memoryBytes": 1 << 20,
        "reduceBytes": 1 << 16,
        "pairBytes": 1 << 14,
        "seconds": 0.01,
        "verified": VERIFIED,
    }
    return {**distributed.small(), **few, "checkpoint": str(folder), "patience": 60, **more}


def as_expected(name: str, found: Answer) -> bool:
    words = SABOTAGE[name][1]
    if words == "?":
        return found["ok"] is None
    if not words:
        return found["ok"] is True and not found["reason"]
    only = (
        "rank 0 (cpu:0)" not in found["reason"] or not words.startswith("rank 1") or name == "swapped-shares"
    )
    return found["ok"] is False and words in found["reason"] and only


def test_each_sabotage_is_caught_and_named_and_fifty_healthy_runs_fail_none(tmp_path: Path) -> None:
    """One launch for all, in one test: loading torch takes longer than a round, and workers share no fixture.

    A rank that is slow shows in its own figure alone: together all are as slow as the slowest. The gate judges it.
    """
    names = [*SABOTAGE, *["healthy"] * (HEALTHY - 1)]
    more = order(tmp_path, rounds_of=names)
    ending = launch.launch(tmp_path, more, 2, stall=120, deadline=800, worker=WORKER)
    assert ending.code == 0, ending.words
    told = [
        (name, answer("cpu", records.read(tmp_path / f"{number}-{name}", 2), Ending(0), [], VERIFIED))
        for number, name in enumerate(names)
    ]
    assert [(name, found["reason"]) for name, found in told if not as_expected(name, found)] == []
    slow = next(found for name, found in told if name == "slow")["measured"]["rankTokensPerSecond"]
    assert slow[1] < 0.5 * slow[0]


@pytest.mark.parametrize(
    ("how", "ok", "words"),
    [
        ("hang", False, "rank 1 (cpu:1): it hangs at step 0: gradients"),
        ("abort", False, "rank 1 (cpu:1): it ended by SIGABRT at step 0: gradients"),
        ("oom", None, "rank 1 (cpu:1): out of memory: RuntimeError at step 0: gradients"),
    ],
)
def test_a_rank_that_comes_to_an_end_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, ok: bool | None, words: str
) -> None:
    monkeypatch.setenv("SABOTAGE_OF_A_TEST", how)
    stall = 20.0 if how == "hang" else 60.0
    ending = launch.launch(tmp_path, order(tmp_path), 2, stall=stall, deadline=120, worker=WORKER)
    found = answer("cpu", records.read(tmp_path, 2), ending, [], VERIFIED)
    assert found["ok"] is ok
    assert words in found["reason"]
    assert "rank 0" not in found["reason"]


def test_two_nodes_train_together_and_each_judges_all_ranks(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(2)]
    processes = []
    for number, folder in enumerate(folders):
        folder.mkdir()
        code = (
            "import json, sys; from pathlib import Path; from knowngood.probe.smoke import launch\n"
            "folder, number, order = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])\n"
            "nodes = launch.Nodes(2, number, '127.0.0.1:29517')\n"
            "sys.exit(launch.launch(folder, order, 1, nodes=nodes, stall=60, deadline=200).code)\n"
        )
        command = [sys.executable, "-c", code, str(folder), str(number), json.dumps(order(folder))]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GLOO_SOCKET_IFNAME": "lo"}
        processes.append(subprocess.Popen(command, env=env))
    assert [p.wait(240) for p in processes] == [0, 0]
    assert Nodes().count == 1
    for folder in folders:
        found = answer("cpu", records.read(folder, 2), Ending(0), [], VERIFIED)
        assert (found["ok"], found["reason"]) == (True, "")


def test_the_probe_trains_and_infers_on_cpus_and_says_so() -> None:
    params = {"gpus": 2, "training": {"backend": "cpu", "seconds": 0.1}, "inference": {"backend": "cpu"}}
    payloads = ["training", "inference"]
    command = [sys.executable, "-m", "knowngood.probe", "run", *payloads, "--params", json.dumps(params)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    results = {k: v for line in done.stdout.splitlines() for k, v in json.loads(line)["results"].items()}
    assert {n: (r["ok"], r["backend"], r["reason"]) for n, r in results.items()} == {
        "training": (True, "cpu", ""),
        "inference": (True, "cpu", ""),
    }
    assert done.returncode == 0
    assert results["inference"]["measured"]["server"] == "knowngood"
    assert all(len(line) < 4096 for line in done.stdout.splitlines()), "a pod's last words hold it"


@pytest.mark.parametrize(
    ("how", "ok", "words"), [("abort", False, "SIGABRT"), ("oom", None, "out of memory")]
)
def test_a_server_that_comes_to_an_end_is_named(
    monkeypatch: pytest.MonkeyPatch, how: str, ok: bool | None, words: str
) -> None:
    monkeypatch.setenv("SABOTAGE_OF_A_TEST", how)
    code = (
        "import json, warnings; warnings.simplefilter('ignore'); import torch\n"
        "from knowngood.probe.smoke import serving\n"
        "server = serving.Ours('cpu', 'tests.integration.smoke.sabotage')\n"
        "print(json.dumps(serving.run(torch, 2, {'backend': 'cpu', 'requests': 8}, server)))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["ok"] is ok
    assert "device 1 (cpu:1): " in found["reason"]
    assert words in found["reason"]


def test_a_load_keeps_each_device_busy_and_inference_runs_fail_none() -> None:
    """One process for both: torch takes a while to load. Fifty loads of requests on the same two servers."""
    code = (
        "import json, time, tempfile, warnings; warnings.simplefilter('ignore'); import torch\n"
        "from pathlib import Path\n"
        "from knowngood.probe.smoke import burn, lesson, serving, asking, network\n"
        "load = burn.Burn(torch, [torch.device('cpu')] * 2, network.Size())\n"
        "results = [load.round()['ok'] for _ in range(2)]\n"
        "folder = Path(tempfile.mkdtemp())\n"
        "lesson.trained(torch, folder / 'c.pt', 'cpu')\n"
        "known, server = lesson.expected(torch, folder / 'c.pt'), serving.Ours('cpu')\n"
        "until = time.monotonic() + 250\n"
        "try:\n"
        "    places = server.start(folder / 'c.pt', folder, 2, until)\n"
        "    for _ in range(50):\n"
        "        load = asking.Load(places, known, server.tolerance, {'requests': 4, 'concurrency': 2}, until)\n"
        "        load.run()\n"
        "        results.append(not list(load.findings()) and len(load.figures()) > 6)\n"
        "finally:\n"
        "    server.stop()\n"
        "print(json.dumps(results))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == [True] * 52, done.stderr


@pytest.mark.skipif(not Path("/dev/nvidia0").exists(), reason="no GPU is at hand here")
@pytest.mark.parametrize("module", ["distributed", "serving"])
def test_on_a_gpu_the_same_passes(module: str) -> None:
    """What its figures are is printed: they are what tolerances and sizes want to be held against."""
    code = (
        "import json, torch\n"
        f"from knowngood.probe.smoke import {module}\n"
        f"print(json.dumps({module}.run(torch, torch.cuda.device_count(), {{}})))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stdout + done.stderr[-2000:])
    found = json.loads(done.stdout)
    assert (found["ok"], found["backend"], found["reason"]) == (True, "cuda", "")
