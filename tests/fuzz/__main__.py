"""Coverage-guided fuzzing of the reader, the schemas and the lint rules: `make fuzz`. Needs atheris.

Arguments go to libFuzzer: `make fuzz FUZZ="-max_total_time=600"`. New inputs are kept in .cache/fuzz, and so are
crashes; `make fuzz FUZZ=.cache/fuzz/crash-...` plays it again. The first byte of an input chooses the kind of file.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: .venv/bin/python -m pip install atheris")

with atheris.instrument_imports(include=["knowngood.matrix", "knowngood.planner"]):
    from tests.fuzz.target import BASE, FOLDERS, check_bytes

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / ".cache" / "fuzz"


def one(data: bytes) -> None:
    """One input."""
    check_bytes(FOLDERS[data[0] % len(FOLDERS)] if data else FOLDERS[0], data[1:])


def seed() -> None:
    """Every example file, so that it does not begin with nothing."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    kinds = {folder: index for index, folder in enumerate(FOLDERS)}
    files = [*BASE.glob("*/*.yaml"), *(BASE.parent / "negative").glob("*/*.yaml")]
    for path in files:
        folder = path.parent.name if path.parent.name in kinds else f"{path.parent.name}s"
        if folder in kinds:
            content = bytes([kinds[folder]]) + path.read_bytes()
            (CORPUS / f"seed-{folder}-{path.stem}").write_bytes(content)


if __name__ == "__main__":
    seed()
    where = [] if any(not a.startswith("-") for a in sys.argv[1:]) else [str(CORPUS)]
    limits = ["-max_len=8192", "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={CORPUS}/"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], *where], one)
    atheris.Fuzz()
