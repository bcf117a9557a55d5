"""Starting the ranks of a smoke training as users do, by torchrun, and watching them until all have ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from knowngood.probe import memory
from knowngood.probe.smoke import records
from knowngood.probe.values import Values

WORKER = "knowngood.probe.smoke.worker"
LOOK = 0.2
GRACE = 5.0
_FAILURE = re.compile(r"rank\s*:\s*(\d+)[^\n]*\n\s*exitcode\s*:\s*(-?\d+)")
"""A block of torchrun's summary of failures (torch/distributed/elastic/multiprocessing/errors)."""


@dataclass(frozen=True)
class Nodes:
    """Where the ranks run: `count` nodes, this one being `number`; `meet` is "host:port" of node 0."""

    count: int = 1
    number: int = 0
    meet: str = ""


@dataclass(frozen=True)
class Ending:
    """How the launch ended. `codes`: exit code by rank, as torchrun saw them (negative: a signal). `stalled`: seconds
    without any progress, after which it was stopped; `late`: it was stopped at the deadline. `words`: its last ones.
    """

    code: int
    codes: Mapping[int, int] = field(default_factory=dict)
    stalled: float = 0.0
    late: bool = False
    words: str = ""
    oom_kills: int = 0


def launch(
    folder: Path,
    order: Values,
    ranks: int,
    *,
    nodes: Nodes = Nodes(),
    stall: float,
    deadline: float,
    worker: str = WORKER,
) -> Ending:
    """Run `ranks` ranks here and wait. `stall`, `deadline`: seconds. `folder` gets their records and logs."""
    path, log = folder / "order.json", folder / "torchrun.log"
    path.write_text(json.dumps({**order, "folder": str(folder)}), encoding="utf-8")
    before = memory.kills()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*_torchrun(folder, ranks, nodes), "-m", worker, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=_environment(folder, ranks, nodes),
        )
        stalled, late = _watched(process, folder, ranks * nodes.count, stall, deadline)
    words = log.read_text(encoding="utf-8", errors="replace")
    codes = {int(rank): int(code) for rank, code in _FAILURE.findall(words)}
    return Ending(process.returncode, codes, stalled, late, words[-2000:], memory.kills() - before)


def _torchrun(folder: Path, ranks: int, nodes: Nodes) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        str(ranks),
        "--max-restarts",
        "0",
    ]
    command += ["--log-dir", str(folder / "logs"), "--redirects", "3"]
    if nodes.count == 1:
        return [*command, "--standalone", "--local-addr", "127.0.0.1"]
    host, _, port = nodes.meet.rpartition(":")
    where = ["--master-addr", host, "--master-port", port]
    return [*command, "--nnodes", str(nodes.count), "--node-rank", str(nodes.number), *where]


def _environment(folder: Path, ranks: int, nodes: Nodes) -> dict[str, str]:
    """The tenants' own NCCL settings stay; NCCL says in a file of each process what it chose."""
    env = dict(os.environ)
    env.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // ranks)))
    env["NCCL_DEBUG"] = "INFO"
    env["NCCL_DEBUG_SUBSYS"] = "INIT,NET,GRAPH,ENV"
    env["NCCL_DEBUG_FILE"] = str(folder / "nccl.%h.%p.log")
    env["PYTHONPATH"] = os.pathsep.join([p for p in sys.path if p])
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    if nodes.count == 1:
        env.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return env


def _watched(
    process: subprocess.Popen[bytes], folder: Path, ranks: int, stall: float, deadline: float
) -> tuple[float, bool]:
    """Wait for the end; stop it where no rank moved for `stall` seconds. (seconds it stalled, whether it was late)."""
    started = moved = time.monotonic()
    seen: list[int] = []
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK)
            return 0.0, False
        now, counts = time.monotonic(), [r.count for r in records.read(folder, ranks)]
        if counts != seen:
            seen, moved = counts, now
        if now - moved > stall or now - started > deadline:
            _stop(process)
            return (now - moved if now - moved > stall else 0.0), now - started > deadline


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End torchrun, which ends its ranks; they die with it, too."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
