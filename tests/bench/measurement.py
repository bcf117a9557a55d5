"""One measured figure, and how a command is timed."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv" / "bin"


@dataclass(frozen=True, slots=True)
class Measurement:
    """`value` in `unit`; `aim` is what we want it to stay under, None where there is no aim."""

    name: str
    value: float
    unit: str
    aim: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the aim, if any, was met."""
        return self.aim is None or self.value <= self.aim


def seconds(command: Sequence[str], times: int = 7) -> float:
    """The median time of `command`, after one run that warms the disk cache; it must succeed.

    Bytecode is kept, as pip keeps it for an installed package: PYTHONDONTWRITEBYTECODE would add a compilation to each.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    taken = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])
