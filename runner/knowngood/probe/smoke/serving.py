"""The smoke inference: a server on each device, answers that are known, and how long they take when many ask at once.

What serves is behind a port (`Serving`), so that another server can take our own's place; the evidence says which.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from knowngood.probe.answer import Answer, bad, good, unmeasured
from knowngood.probe.smoke import records
from knowngood.probe.smoke.asking import FAILED, Load
from knowngood.probe.smoke.backend import CPU, CUDA, counted
from knowngood.probe.smoke.by_value import Finding
from knowngood.probe.smoke.completions import Endpoint, Expected
from knowngood.probe.smoke.ends import ended
from knowngood.probe.smoke.launch import Ending
from knowngood.probe.smoke.lesson import PROMPTS, expected, trained
from knowngood.probe.smoke.server import HOST, MODEL
from knowngood.probe.values import Object, Values

SERVER = "knowngood.probe.smoke.server"
DEADLINE = 300.0


class Serving(Protocol):
    """A server of completions on each device, as another one than ours would be started: vLLM, KServe."""

    by: str
    """What it is, for the evidence."""
    tolerance: float
    """Of its log-probabilities against fp64: what its number format allows."""

    def start(self, checkpoint: Path, folder: Path, devices: int, until: float) -> list[Endpoint]:
        """Start and wait until all answer; fewer endpoints than devices where some did not by `until` (monotonic)."""
        ...

    def ends(self) -> Iterator[Finding]:
        """What became of servers that ended by themselves."""
        ...

    def stop(self) -> None:
        """End them."""
        ...


class Ours(Serving):
    """Our own server, a process a device."""

    tolerance = 1e-3
    """fp32 with tf32 off. Measured on CPUs: 1e-6."""

    def __init__(self, backend: str, module: str = SERVER) -> None:
        self.by = "knowngood"
        self._backend, self._module = backend, module
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder = Path()

    def start(self, checkpoint: Path, folder: Path, devices: int, until: float) -> list[Endpoint]:
        """See the port."""
        self._folder = folder
        order = folder / "serve.json"
        order.write_text(
            json.dumps({"folder": str(folder), "backend": self._backend, "checkpoint": str(checkpoint)}),
            encoding="utf-8",
        )
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([p for p in sys.path if p])}
        if self._backend == CPU:
            env.setdefault("OMP_NUM_THREADS", "1")
        for number in range(devices):
            with (folder / f"server-{number}.log").open("wb") as log:
                command = [sys.executable, "-m", self._module, str(order), str(number)]
                self._processes.append(
                    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
                )
        while time.monotonic() < until:
            found = self._endpoints()
            if len(found) == devices or any(p.poll() is not None for p in self._processes):
                return found
            time.sleep(0.1)
        return self._endpoints()

    def _endpoints(self) -> list[Endpoint]:
        ranks = records.read(self._folder, len(self._processes))
        return [
            Endpoint(r.device, HOST, int(r.last("serving")["port"]), MODEL) for r in ranks if r.of("serving")
        ]

    def ends(self) -> Iterator[Finding]:
        """See the port."""
        codes = {n: p.returncode for n, p in enumerate(self._processes) if p.poll() is not None}
        yield from ended(records.read(self._folder, len(self._processes)), Ending(0, codes))

    def stop(self) -> None:
        """See the port."""
        for process in self._processes:
            process.kill()
            process.wait()


def run(torch: Any, gpus: int, params: Values, serving: Serving | None = None) -> Answer:
    """Serve on `gpus` devices of this node and ask.

    `params`, all optional: backend; requests for each device; concurrency; deadline, of the whole payload; patience.
    """
    backend = CPU if params.get("backend") == CPU else CUDA
    if backend == CUDA and (refusal := counted(torch, gpus, shared=bool(params.get("shared")))):
        return refusal
    server = serving or Ours(backend)
    until = time.monotonic() + 0.9 * float(params.get("deadline", DEADLINE))
    with tempfile.TemporaryDirectory(prefix="knowngood-") as made:
        folder = Path(made)
        trained(torch, folder / "checkpoint.pt", backend)
        known = expected(torch, folder / "checkpoint.pt")
        if len(known) < PROMPTS:
            return unmeasured(
                backend, f"the model has learned too little: {len(known)} of {PROMPTS} answers leave no doubt"
            )
        try:
            return _asked(server, backend, folder, gpus, known, params, until)
        finally:
            server.stop()


def _asked(
    server: Serving,
    backend: str,
    folder: Path,
    gpus: int,
    known: Sequence[Expected],
    params: Values,
    until: float,
) -> Answer:
    places = server.start(folder / "checkpoint.pt", folder, gpus, until)
    measured: Object = {"server": server.by, "devices": [p.device for p in places]}
    if len(places) < gpus:
        found = list(server.ends()) or [
            Finding(f"{gpus - len(places)} of {gpus} servers did not start in time", ok=None)
        ]
        return _answer(backend, found, measured, gpus)
    load = Load(places, known, server.tolerance, params, until)
    load.run()
    measured |= load.figures()
    ends = list(server.ends()) if load.failed else []
    over = {finding.rank for finding in ends}  # its requests failed because it ended, which says why
    found = [f for f in load.findings() if not (f.rank in over and f.words.startswith(FAILED))]
    return _answer(backend, [*found, *ends], measured, gpus)


def _answer(backend: str, found: Sequence[Finding], measured: Object, gpus: int) -> Answer:
    wrongs = [f for f in found if f.ok is False]
    devices = measured["devices"]  # of those that serve: in the order of the numbers where all do

    def words(finding: Finding) -> str:
        if finding.rank is None:
            return finding.words
        named = devices[finding.rank] if len(devices) == gpus else f"number {finding.rank}"
        return f"device {finding.rank} ({named}): {finding.words}"

    reason = "; ".join(dict.fromkeys(words(f) for f in (wrongs or found)[:6]))
    if wrongs:
        return bad(backend, reason, measured)
    return unmeasured(backend, reason, measured) if found else good(backend, measured)
