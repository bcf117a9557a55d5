"""How the ranks are started and watched: what torchrun is told, when nothing moves any more, and what it said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from knowngood.probe.smoke import launch
from knowngood.probe.smoke.launch import Ending, Nodes


def started(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script])


def test_on_one_node_the_ranks_meet_on_the_loopback_and_on_several_at_the_first() -> None:
    alone = launch._torchrun(Path("/f"), 8, Nodes())
    assert alone[alone.index("--nproc-per-node") + 1] == "8"
    assert alone[-3:] == ["--standalone", "--local-addr", "127.0.0.1"]
    several = " ".join(launch._torchrun(Path("/f"), 4, Nodes(2, 1, "gpu-1.svc:29500")))
    assert "--nnodes 2 --node-rank 1 --master-addr gpu-1.svc --master-port 29500" in several
    assert "--standalone" not in several
    assert "--node-rank 0" in " ".join(launch._torchrun(Path("/f"), 4, Nodes(2, meet="gpu-1.svc:29500")))
    assert "--max-restarts 0" in several, "a rank that is started again hides why it ended"


def test_the_tenants_own_settings_stay_and_nccl_says_what_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16 if pid == 0 else 1)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    monkeypatch.setenv("NCCL_IB_HCA", "mlx5")
    alone = launch._environment(Path("/f"), 8, Nodes())
    assert (alone["OMP_NUM_THREADS"], alone["GLOO_SOCKET_IFNAME"]) == ("2", "lo")
    assert (alone["NCCL_IB_HCA"], alone["NCCL_DEBUG_FILE"]) == ("mlx5", "/f/nccl.%h.%p.log")
    assert launch._environment(Path("/f"), 64, Nodes())["OMP_NUM_THREADS"] == "1"
    assert "GLOO_SOCKET_IFNAME" not in launch._environment(Path("/f"), 8, Nodes(2))
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert launch._environment(Path("/f"), 8, Nodes())["OMP_NUM_THREADS"] == "5"


def test_a_launch_that_ends_by_itself_neither_stalled_nor_was_late(tmp_path: Path) -> None:
    process = started("pass")
    assert launch._watched(process, tmp_path, 1, 60.0, 60.0) == (0.0, False)
    assert process.returncode == 0
    assert Ending(0) == Ending(0, {}, 0.0, False, "", 0), "nothing is told of an ending that is good"


def test_ranks_that_do_not_move_are_stopped_and_those_that_do_are_not(tmp_path: Path) -> None:
    process = started("import time; time.sleep(60)")
    stalled, late = launch._watched(process, tmp_path, 1, 0.5, 60.0)
    assert (0.5 < stalled < 30, late, process.returncode) == (True, False, -15)
    moving = (
        "import time\nfor n in range(8):\n"
        f"    open({str(tmp_path / 'rank-0.at')!r}, 'w').write(f'{{n:9d}} step'); time.sleep(0.25)\n"
    )
    assert launch._watched(started(moving), tmp_path, 1, 20.0, 60.0) == (0.0, False)


def test_a_launch_is_stopped_at_its_deadline_also_where_it_takes_no_term(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE", 0.2)
    ready = tmp_path / "ready"
    script = (
        f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(ready)!r}, 'w'); time.sleep(60)"
    )
    process = started(script)
    until = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert launch._watched(process, tmp_path, 1, 60.0, 0.3) == (0.0, True)
    assert process.returncode == -9


def test_torchruns_summary_names_each_ranks_end() -> None:
    """As torch 2.9 prints it (torch/distributed/elastic/multiprocessing/errors)."""
    block = "  rank      : {} (local_rank: 0)\n  exitcode  : {} (pid: 7)\n  error_file: <N/A>\n"
    said = "Root Cause:\n" + block.format(2, -6) + block.format(0, 1)
    assert launch._FAILURE.findall(said) == [("2", "-6"), ("0", "1")]
