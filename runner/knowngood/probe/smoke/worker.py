"""One rank of the smoke training. torchrun starts it: `-m knowngood.probe.smoke.worker ORDER`, a file of JSON values.

It measures stage after stage and writes down what it found (`records`); it judges nothing. Only `launch` starts it.
"""

from __future__ import annotations

import ctypes
import datetime
import hashlib
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowngood.probe.smoke import arithmetic, exchange, instances, learning
from knowngood.probe.smoke.network import Size
from knowngood.probe.smoke.records import FIRST_USE, START, Notes
from knowngood.probe.values import Object

Torch = Any
CHUNK = 256 << 20
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass
class Work:
    """What a stage works with. `control`: a gloo group for what must not go by the transport that is measured."""

    torch: Torch
    dist: Any
    device: Any
    order: Object
    notes: Notes
    control: Any = None

    @property
    def rank(self) -> int:
        """Among all ranks of all nodes."""
        return int(self.dist.get_rank())

    @property
    def world(self) -> int:
        """How many ranks there are."""
        return int(self.dist.get_world_size())


def device_of(torch: Torch, local: int, backend: str) -> Any:
    """The device of the local rank."""
    if backend == "cpu":
        return torch.device("cpu")
    torch.cuda.set_device(local)
    torch.zeros(1, device="cuda").item()  # a device that hangs does so here, before anybody waits for it
    return torch.device("cuda", local)


def described(torch: Torch, device: Any, local: int) -> Object:
    """Who computes, on what, with which libraries."""
    said = {"host": socket.gethostname(), "torch": torch.__version__, "cuda": torch.version.cuda or ""}
    if device.type != "cuda":
        return {**said, "device": f"cpu:{local}", "memory": 0}
    has = torch.cuda.get_device_properties(device)
    domain, bus, slot = (getattr(has, f"pci_{x}_id", 0) for x in ("domain", "bus", "device"))
    said["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    said["bdf"] = f"{domain:04x}:{bus:02x}:{slot:02x}.0"
    return {
        **said,
        "device": instances.used() or f"GPU-{getattr(has, 'uuid', local)}",
        "memory": has.total_memory,
        "name": has.name,
    }


def identity(work: Work) -> None:
    """Whose records these are."""
    work.notes.say("identity", **described(work.torch, work.device, int(os.environ["LOCAL_RANK"])))


def arithmetic_stage(work: Work) -> None:
    """Products in each format, then the memory."""
    side = 4096 if work.device.type == "cuda" else 256
    for product in arithmetic.products(work.torch, work.device, side):
        work.notes.at(f"products, {product.form}")
        said = {
            "form": product.form,
            "error": product.error,
            "wrong": product.wrong,
            "steady": product.steady,
        }
        work.notes.say("product", **said)


def memory_stage(work: Work) -> None:
    """A pattern through the memory that is free: the share of it that the order names."""
    torch, device = work.torch, work.device
    count = int(work.order["memoryBytes"])
    if device.type == "cuda":
        torch.cuda.empty_cache()
        count = int(torch.cuda.mem_get_info(device)[0] * float(work.order["memoryShare"]))
    count = count // 4096 * 4096
    tested, wrong = arithmetic.memory(torch, device, count, CHUNK, lambda: work.notes.at("memory"))
    work.notes.say("memory", bytes=tested, wrongWord=wrong)
    if device.type == "cuda":
        torch.cuda.empty_cache()


def exchange_stage(work: Work) -> None:
    """Collectives by value, their bandwidth, and each pair's."""
    if work.world < 2:
        return
    sizes = [1 << 10, 1 << 18, *([1 << 25] if work.device.type == "cuda" else [])]
    for said in exchange.by_value(work.torch, work.dist, work.device, sizes, work.notes.at):
        work.notes.say("collective", **said)
    order = work.order
    bandwidth = exchange.all_reduce(
        work.torch, work.dist, work.device, int(order["reduceBytes"]), int(order["rounds"]), work.notes.at
    )
    work.notes.say("allReduce", GBps=bandwidth)
    for said in exchange.pairs(work.torch, work.dist, work.device, int(order["pairBytes"]), work.notes.at):
        work.notes.say("pair", **said)


def verified_stage(work: Work) -> None:
    """A few steps whose every number is judged; the weights they end with are the checkpoint."""
    verified = learning.Verified(work.torch, work.dist, work.device, Size(**work.order["small"]))
    for number in range(int(work.order["verified"])):
        work.notes.say("step", **verified.step(number, work.notes.at))
    checkpoint(work, verified.model)


def checkpoint(work: Work, model: Any) -> None:
    """Rank 0 writes the weights, every rank reads them back and compares."""
    torch, path = work.torch, Path(work.order["checkpoint"]) / "checkpoint.pt"
    started = time.perf_counter()
    if int(os.environ["LOCAL_RANK"]) == 0:
        with path.open("wb") as file:
            torch.save({"size": work.order["small"], "weights": model.state_dict()}, file)
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(
                file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED
            )  # what is read back comes from the storage
    work.notes.at("checkpoint written")
    work.dist.barrier(group=work.control)
    found = torch.load(path, map_location="cpu", weights_only=True)
    here = {k: v.detach().cpu() for k, v in model.state_dict().items()}
    same = found["weights"].keys() == here.keys() and all(
        bool(torch.equal(here[k].view(torch.int32), v.view(torch.int32))) for k, v in found["weights"].items()
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    work.notes.say("checkpoint", same=same, digest=digest, seconds=time.perf_counter() - started)


def load_stage(work: Work) -> None:
    """The load: how fast all ranks together, how fast each alone, and whether they still agree."""
    load = learning.Load(work.torch, work.dist, work.device, Size(**work.order["large"]))
    work.notes.at("load")
    for said in load.run(float(work.order["seconds"]), work.notes.at):
        work.notes.say("load", **said)
    work.notes.say("alone", **load.alone(work.notes.at))
    work.notes.say("common", **load.common())


STAGES: tuple[Callable[[Work], None], ...] = (
    identity,
    arithmetic_stage,
    exchange_stage,
    verified_stage,
    memory_stage,
    load_stage,
)


def run(work: Work) -> None:
    """All stages, then the ends: what ranks of other nodes measured comes here by the control group."""
    for stage in STAGES:
        name = stage.__name__.replace("_stage", "")
        work.notes.at(name)
        stage(work)
        work.notes.at(f"{name} done")
    work.notes.say("done")
    everybody = gathered(work, json.dumps(work.notes.said))
    if int(os.environ["LOCAL_RANK"]) == 0:
        for rank, said in enumerate(everybody):
            work.notes.adopt(rank, json.loads(said))


def gathered(work: Work, text: str) -> list[str]:
    """Every rank's text, by rank. (torch's own way to gather objects needs NumPy.)"""
    torch, dist = work.torch, work.dist
    mine = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(work.world)]
    dist.all_gather(sizes, torch.tensor([mine.numel()]), group=work.control)
    longest = max(int(size) for size in sizes)
    places = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
    filled = torch.cat([mine, torch.zeros(longest - mine.numel(), dtype=torch.uint8)])
    dist.all_gather(places, filled, group=work.control)
    return [bytes(p[: int(size)].tolist()).decode() for p, size in zip(places, sizes)]  # noqa: B905 (from Python 3.10)


def main(argv: list[str], work_through: Callable[[Work], None] = run) -> None:
    """Join the other ranks, work, and leave. What breaks is written down before it is raised."""
    ctypes.CDLL(None).prctl(
        _DIES_WITH_PARENT, signal.SIGKILL
    )  # torchrun gives each rank a session of its own
    order = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    with Notes(Path(order["folder"]), rank) as notes:
        try:
            notes.at(START)
            torch = importlib.import_module("torch")
            dist = importlib.import_module("torch.distributed")
            notes.at(FIRST_USE)
            device = device_of(torch, local, order["backend"])
            notes.at("joining the others")
            here = {"device_id": device} if device.type == "cuda" else {}
            patience = datetime.timedelta(seconds=float(order["patience"]))
            dist.init_process_group("nccl" if here else "gloo", timeout=patience, **here)
            work = Work(torch, dist, device, order, notes)
            work.control = dist.new_group(backend="gloo", timeout=patience)
            work_through(work)
            dist.destroy_process_group()
        except BaseException as error:
            notes.say("error", type=type(error).__name__, words=str(error)[:1000])
            raise


if __name__ == "__main__":
    main(sys.argv[1:])
