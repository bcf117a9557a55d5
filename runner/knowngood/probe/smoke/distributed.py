"""The smoke training under torch: how much of what, by the machine; launched, watched and judged."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from knowngood.probe.answer import MOST_WORDS, Answer, unmeasured
from knowngood.probe.smoke import nccl_log, records
from knowngood.probe.smoke.backend import CPU, CUDA, counted
from knowngood.probe.smoke.by_value import Finding
from knowngood.probe.smoke.launch import WORKER, Nodes, launch
from knowngood.probe.smoke.nccl_log import Promise
from knowngood.probe.smoke.network import Size
from knowngood.probe.smoke.storage import mounted
from knowngood.probe.smoke.verdict import answer
from knowngood.probe.values import Object, Values

GIB = 1 << 30
LONGEST_LOG = 8 << 20
"""Bytes that are read of one rank's NCCL log; eight ranks on two nodes write some 100 KiB each."""
DEADLINE, STALL = 300.0, 90.0
"""Seconds. No stage of a healthy run moves nothing for longer than some 20 s: the first use of a GPU, and of NCCL."""
OURS = 0.9
"""Share of the payload's deadline after which we stop it ourselves, and can say which rank stands where."""
LARGE = (
    (60, Size(vocabulary=1024, width=4096, layers=8, heads=32, length=1024, batch=8, fused=True)),
    (20, Size(vocabulary=1024, width=2048, layers=8, heads=16, length=1024, batch=8, fused=True)),
    (0, Size(vocabulary=1024, width=1024, layers=4, heads=16, length=512, batch=4, fused=True)),
)
"""GiB of a device's memory from which on a load's size fits: weights, gradients, DDP's buckets and AdamW's state take
20 bytes a weight (32 GiB of the largest), the activations a quarter of that. Ours; not measured on hardware yet."""
REDUCE = 4 * GIB
"""Bytes of the all-reduce on GPUs, an eighth of their memory at most: bus bandwidth levels off from about 1 GiB on."""


def run(torch: Any, gpus: int, params: Values, *, worker: str = WORKER) -> Answer:
    """Train on `gpus` devices of this node.

    `params`, all optional: backend; seconds of load; verified steps; nodes, node and meet ("host:port") where several
    nodes train together; checkpointFolder, where a volume must be mounted; memoryShare of what is free; stallSeconds;
    shared, whether what was given are replicas; deadline, of the whole payload.
    """
    on_cpu = params.get("backend") == CPU
    if not on_cpu and (refusal := counted(torch, gpus, shared=bool(params.get("shared")))):
        return refusal
    volume = str(params.get("checkpointFolder") or "")
    if volume and not (kind := mounted(volume)):
        return unmeasured(CPU if on_cpu else CUDA, f"no volume is mounted at {volume}")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="knowngood-"))
        try:
            checkpoints = tempfile.mkdtemp(prefix="knowngood-", dir=volume or folder)
        except OSError as error:
            return unmeasured(CPU if on_cpu else CUDA, f"the volume at {volume} takes no checkpoint: {error}")
        stack.callback(shutil.rmtree, checkpoints, ignore_errors=True)
        order = {**(small() if on_cpu else _whole(torch)), "checkpoint": checkpoints}
        found = _trained(Path(folder), order, gpus, params, worker)
    if volume:
        found["measured"]["checkpointOn"] = kind
    return found


def _trained(folder: Path, order: Object, gpus: int, params: Values, worker: str) -> Answer:
    """Launched, watched and judged, with all that the ranks leave in `folder`."""
    nodes = Nodes(int(params.get("nodes", 1)), int(params.get("node", 0)), str(params.get("meet", "")))
    verified = int(params.get("verified", 4))
    order = {**order, "verified": verified}
    order |= {key: params[key] for key in ("seconds", "memoryShare") if key in params}
    deadline = OURS * float(params.get("deadline", DEADLINE))
    stall = min(float(params.get("stallSeconds", STALL)), deadline / 2)
    order["patience"] = 2 * stall
    ending = launch(folder, order, gpus, nodes=nodes, stall=stall, deadline=deadline, worker=worker)
    ranks = records.read(folder, gpus * nodes.count)
    ours = range(nodes.number * gpus, (nodes.number + 1) * gpus)
    if order["backend"] == CPU:
        return answer(CPU, ranks, ending, [], verified, ours)
    promise = Promise(nodes.count, ours, bool(params.get("nvswitch")), str(params.get("rdmaMode", "none")))
    return _with_transports(folder, promise, lambda found: answer(CUDA, ranks, ending, found, verified, ours))


def _with_transports(folder: Path, promise: Promise, judge: Callable[[list[Finding]], Answer]) -> Answer:
    """The answer, with what NCCL's logs say of the transports."""
    seen = nccl_log.read(line for log in sorted(folder.glob("nccl.*.log")) for line in _lines(log))
    found = judge(list(nccl_log.faults(seen, promise)))
    found["measured"]["transports"] = nccl_log.named(seen)
    found["measured"]["environment"] = {k: v for k, v in sorted(os.environ.items()) if k.startswith("NCCL_")}
    if not found["ok"] and (warned := next((w for one in seen for w in one.warnings), "")):
        found["reason"] = f"{found['reason']}; NCCL warned: {warned}"[:MOST_WORDS]
    return found


def _lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        return file.read(LONGEST_LOG).decode("utf-8", "replace").splitlines()


def small() -> Object:
    """The order on a CPU: the same work, as little of it as shows that it is done rightly."""
    size = Size().plain()
    some = {"memoryBytes": 16 << 20, "reduceBytes": 1 << 20, "rounds": 3, "pairBytes": 1 << 18}
    return {"backend": CPU, "small": size, "large": size, "seconds": 0.5, **some}


def _whole(torch: Any) -> Object:
    """On GPUs: by the smallest one's memory."""
    least = min(torch.cuda.get_device_properties(n).total_memory for n in range(torch.cuda.device_count()))
    large = next(size for gib, size in LARGE if least >= gib * GIB)
    small = Size(width=256, layers=2, heads=8, length=64, batch=8).plain()
    some = {"memoryBytes": 0, "memoryShare": 0.8, "reduceBytes": min(REDUCE, least // 8), "rounds": 10}
    return {
        "backend": CUDA,
        "small": small,
        "large": large.plain(),
        "seconds": 10.0,
        "pairBytes": GIB // 4,
        **some,
    }
