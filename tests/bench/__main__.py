"""`make bench`: measure, print a table for docs/performance.md, keep the figures in .cache/bench.json.

Not a timed test: a missed aim is printed and changes nothing else. Name parts to measure only those; what a fleet
costs has pieces with names of their own, such as scale.settle-1000.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict

from tests.bench import (
    api,
    commands,
    gates,
    kernel_log,
    matrix,
    planner,
    playbooks,
    rehearsal,
    releases,
    run,
    scale,
)
from tests.bench.measurement import ROOT, Measurement

PARTS: dict[str, Callable[[], Iterable[Measurement]]] = {
    "commands": commands.measure,
    "matrix": matrix.measure,
    "planner": planner.measure,
    "releases": releases.measure,
    "api": api.measure,
    "playbooks": playbooks.measure,
    "kernel-log": kernel_log.measure,
    "gates": gates.measure,
    "gates-flood": gates.flood,
    "run": run.measure,
    "rehearsal": rehearsal.measure,
    "scale": scale.measure,
}
PIECES = {f"scale.{name}": piece for name, piece in scale.pieces().items()}


def row(m: Measurement) -> str:
    """One line of the table."""
    aim = "" if m.aim is None else f"{m.aim:g} {'met' if m.met else '**missed**'}"
    return f"| {m.name} | {m.value:.3g} {m.unit} | {aim} | {m.note} |"


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join((*PARTS, *PIECES))}; default all"
    )
    asked = parser.parse_args().parts or list(PARTS)
    known = PARTS | PIECES
    if unknown := set(asked) - set(known):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}"
    print(f"{machine}\n\n| what | value | aim | note |\n|---|---|---|---|")
    found: list[Measurement] = []
    for part in asked:
        for measured in known[part]():
            found.append(measured)
            print(row(measured))
            sys.stdout.flush()
    out = ROOT / ".cache" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"machine": machine, "measured": [asdict(m) for m in found]}, indent=1))


if __name__ == "__main__":
    main()
