"""A payload on MIG instances: once for each, all at the same time, each in a process that sees no other.

CUDA shows a process one MIG device however many its container has, and NCCL joins none of them (NVIDIA's MIG user
guide: "CUDA Device Enumeration", "Application Considerations"). The container's devices are what `nvidia-smi -L` lists
in it; which of them a process computes on, libcuda tells by the UUID of the instance.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from knowngood.probe.answer import Answer, bad, checked, good, unmeasured
from knowngood.probe.host import Host
from knowngood.probe.smoke.backend import CPU, CUDA
from knowngood.probe.values import Object, Values

DEVICES, SLICES, WHOLE = "devices", "slices", "whole"
"""What a payload is told: the devices of this process, as CUDA_VISIBLE_DEVICES names them; how many MIG devices and
how many whole GPUs the container must have."""
OURS = 0.95
"""Share of the deadline after which a process that has not answered is ended here: the others' answers count."""
FIGURES = (
    *("tokensPerSecond", "lastLoss", "verifiedSteps", "memoryBytes", "checkpointSeconds", "checkpointOn"),
    *("requestsPerSecond", "firstTokenP50Ms", "nextTokenP99Ms", "requests"),
)
"""What is told of each instance: an answer has room for that of 56."""
_GPU = re.compile(r"GPU \d+: .* \(UUID: (GPU-[0-9a-f-]+)\)")
_MIG = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[0-9a-f-]+)\)")
Command = Callable[[Values], Sequence[str]]
"""The process that computes on devices of ours; it writes its answer to the descriptor that is added to it."""


@dataclass(frozen=True)
class Part:
    """Devices that compute together: one MIG instance of this `profile` on `gpu`, or ("") all whole GPUs."""

    devices: tuple[str, ...]
    profile: str = ""
    gpu: str = ""

    @property
    def name(self) -> str:
        """How it is called in words."""
        return f"{self.devices[0]} ({self.profile} of {self.gpu})" if self.profile else "whole GPUs"


def listed(text: str) -> list[Part]:
    """What `nvidia-smi -L` prints, as the parts that compute apart from each other; whole GPUs come first."""
    whole: list[str] = []
    found: list[Part] = []
    for line in text.splitlines():
        if gpu := _GPU.match(line):
            whole.append(gpu[1])
        elif whole and (device := _MIG.match(line)):
            found.append(Part((device[2],), device[1], whole[-1]))
    parted = {part.gpu for part in found}
    together = tuple(one for one in whole if one not in parted)
    return [*([Part(together)] if together else []), *found]


def run(name: str, host: Host, gpus: int, params: Values, compute: Callable[[int], Answer]) -> Answer:
    """Payload `name` under torch: `compute` on so many devices together, or a process for each part of the node."""
    if devices := params.get(DEVICES):
        return proven(compute(len(devices)), devices)
    if not params.get(SLICES) or (params.get(name) or {}).get("backend") == CPU:
        return compute(gpus)
    return each(params, _list(), lambda told: _command(name, host, told))


def asked(name: str, params: Values, deadline: float) -> Object:
    """What payload `name` is told: its gate's own parameters, and what is told to all of them."""
    own = params.get(name) or {}
    return {"deadline": params.get("deadline", deadline), "shared": params.get("shared", False), **own}


def proven(found: Answer, devices: Sequence[str]) -> Answer:
    """The answer, where it was computed on these devices; MIG instances must be told by name."""
    used, asked = list(found["measured"].get(DEVICES) or ()), list(devices)
    if found["ok"] is not True or used == asked or not asked[0].startswith("MIG-"):
        return found
    if any(one.startswith("MIG-") for one in used):
        return bad(
            CUDA, f"asked for {', '.join(asked)}, CUDA computed on {', '.join(used)}", found["measured"]
        )
    return unmeasured(CUDA, "on which MIG instance it was computed can't be told", found["measured"])


def used() -> str:
    """The UUID of the MIG instance that CUDA shows first in this process; "" where it is none, or can't be told.

    cuDeviceGetUuid_v2 gives a MIG instance's own where the older call gives its GPU's (CUDA Driver API, device
    management).
    """
    if not os.environ.get("CUDA_VISIBLE_DEVICES", "").startswith("MIG-"):
        return ""
    device, raw = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        failed = (
            cuda.cuInit(0)
            or cuda.cuDeviceGet(ctypes.byref(device), 0)
            or cuda.cuDeviceGetUuid_v2(raw, device)
        )
    except (OSError, AttributeError):
        return ""
    return "" if failed else f"MIG-{uuid.UUID(bytes=bytes(raw))}"


def _list() -> list[Part] | str:
    """The container's devices, or why they can't be told."""
    try:
        ran = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi can't be asked in this container: {error}"
    return (
        f"nvidia-smi -L: {(ran.stderr or ran.stdout).strip()[:200]}" if ran.returncode else listed(ran.stdout)
    )


def each(params: Values, parts: list[Part] | str, command: Command) -> Answer:
    """A process for each of these parts, which must be as many as `params` says; `parts` in words: it can't be told."""
    if isinstance(parts, str):
        return unmeasured(CUDA, parts)
    slices = sum(bool(part.profile) for part in parts)
    whole = sum(len(part.devices) for part in parts if not part.profile)
    wanted = (int(params[SLICES]), int(params.get(WHOLE, 0)))
    if (slices, whole) != wanted:
        words = f"this container has {slices} MIG devices and {whole} whole GPUs, the node {wanted[0]} and {wanted[1]}"
        return unmeasured(CUDA, words)
    deadline = OURS * float(params["deadline"])
    until = time.monotonic() + deadline
    started = [
        _Started(part, command({**params, "deadline": deadline, DEVICES: part.devices})) for part in parts
    ]
    return together([(one.part, one.answer(until)) for one in started])


def _command(name: str, host: Host, told: Values) -> Sequence[str]:
    flags = ["-S"] if sys.flags.no_site else []
    return [
        *(sys.executable, *flags, "-m", "knowngood.probe", "payload", "--root", str(host.root)),
        *("--params", json.dumps(dict(told)), "--deadline", str(told["deadline"]), name),
    ]


class _Started:
    """One part's process."""

    def __init__(self, part: Part, command: Sequence[str]) -> None:
        self.part = part
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._process = subprocess.Popen(
            [*command, str(self._file.fileno())],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(part.devices)},
            stdin=subprocess.DEVNULL,
            pass_fds=(self._file.fileno(),),
            start_new_session=True,
        )

    def answer(self, until: float) -> Answer:
        """What it answered by then (monotonic); what became of it where it did not."""
        why = ""
        try:
            code = self._process.wait(max(0.0, until - time.monotonic()))
            why = f"it ended with exit code {code} and no answer"
        except subprocess.TimeoutExpired:
            why = "it did not end in time"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._file.seek(0)
        said = self._file.read()
        self._file.close()
        try:
            return checked(json.loads(said))
        except ValueError:
            return unmeasured(CUDA, why)


def together(found: Sequence[tuple[Part, Answer]]) -> Answer:
    """One answer of all parts: bad as soon as one is, else unmeasured as soon as one is. Whole GPUs' figures stay
    what they are on a node that is not parted.
    """
    measured: Object = {}
    slices: Object = {}
    for part, answer in found:
        if not part.profile:
            measured = dict(answer["measured"])
            continue
        figures = {name: answer["measured"][name] for name in FIGURES if name in answer["measured"]}
        slices[part.devices[0]] = {"profile": part.profile, **figures}
    whole = sum(len(part.devices) for part, _ in found if not part.profile)
    layout = Counter(part.profile for part, _ in found if part.profile)
    measured |= {SLICES: slices, "layout": {WHOLE: whole, **dict(sorted(layout.items()))}}
    backends = {answer["backend"] for _, answer in found}
    backend = backends.pop() if len(backends) == 1 else CUDA
    for ok, say in ((False, bad), (None, unmeasured)):
        if said := [f"{part.name}: {one['reason']}" for part, one in found if one["ok"] is ok]:
            more = f"; and {len(said) - 6} more" if len(said) > 6 else ""
            return say(backend, "; ".join(said[:6]) + more, measured)
    return good(backend, measured)
