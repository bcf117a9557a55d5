"""`validate` of a matrix with ten thousand releases, made from the shipped ones."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.measurement import BIN, Measurement

from knowngood.matrix.locate import matrix_dir

SIZES = (100, 1000, 10_000)
TEMPLATE = "r595"


def measure() -> list[Measurement]:
    """How the time grows with the number of releases."""
    results = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            matrix = Path(folder) / "matrix"
            shutil.copytree(matrix_dir(), matrix)
            grow(matrix, size)
            command = [str(BIN / "knowngood"), "validate", "--matrix", str(matrix)]
            aim = 10.0 if size == SIZES[-1] else None
            results.append(Measurement(f"validate, {size} releases more", once(command), "s", aim=aim))
    return results


def once(command: list[str]) -> float:
    """One run: ten thousand files take their time."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def grow(matrix: Path, count: int) -> None:
    """Releases that differ in their BIOS, which no rule asks about: each is good, as most of a team's are."""
    text = (matrix / "releases" / f"{TEMPLATE}.yaml").read_text()
    head, found, rest = text.partition("components:\n")
    assert found, "the template has no components"
    for number in range(count):
        (matrix / "releases" / f"made-{number}.yaml").write_text(f"{head}{found}  bios: 2.{number}\n{rest}")
