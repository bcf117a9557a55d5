"""The movers that ship, for tests that need no matrix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from knowngood.matrix.build import mover
from knowngood.model.mover import MoverSpec, Moving, completed

COMPONENTS = Path(__file__).parents[1] / "matrix" / "components"
SHIPPED: MoverSpec = mover(yaml.safe_load((COMPONENTS / "nvidia-driver.yaml").read_text())["mover"])
DRIVER: MoverSpec = replace(SHIPPED, holds=())
"""Without holds, which have tests of their own."""
MOVERS = {"nvidia-driver": DRIVER}
_FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(COMPONENTS.glob("*.yaml"))}
EVERY = completed({name: mover(f["mover"], f["scheme"]) for name, f in _FILES.items() if "mover" in f})
"""All that move, whole as a plan freezes them."""
USERS = ("gpu", "rdma")


def moving(after: str, before: str = "") -> tuple[Moving, ...]:
    """The GPU driver, moved."""
    return (Moving("nvidia-driver", before, after, DRIVER),)
