"""A run's first look, kept on this machine for the judgement that follows at once: it judges what was just read.

A node's files and kernel log take a request each, and the check at a run's start asks for the very same. What is older
than `NEWEST`, of another boot of this machine, or damaged is as good as not there: then the judgement looks itself.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from knowngood.adapters.clock import this_boot
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.node import NodeState

FILE = "first-look.jsonl.gz"
"""In the run's folder. One JSON value a line: this machine's boot and when it began in it; then the nodes."""
NEWEST = 300.0
"""Seconds for which a look is new: preflight, which comes between, takes some of them at most."""
FAST = 1  # gzip's level: what is written is read once, minutes later

Keep = Callable[[NodeState, str], None]
"""Keep a node as it was read, with the drivers' kernel lines of its boot."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The nodes as they were read, the drivers' kernel lines of each, and when that began."""

    states: Mapping[str, NodeState]
    journals: Mapping[str, str]
    at: float


@contextmanager
def writing(path: Path) -> Iterator[Keep]:
    """Write a look, node by node, from any thread."""
    one = threading.Lock()
    path.unlink(missing_ok=True)
    with gzip.open(path, "wt", compresslevel=FAST, encoding="utf-8") as file:
        file.write(json.dumps([this_boot(), time.monotonic()]) + "\n")

        def keep(state: NodeState, journal: str) -> None:
            line = json.dumps([to_json(state), journal]) + "\n"
            with one:
                file.write(line)

        yield keep


def read(path: str) -> Kept:
    """What was kept, if it is new; nothing, as of now, where it is not, or no path is given."""
    nothing = Kept({}, {}, time.monotonic())
    states: dict[str, NodeState] = {}
    journals: dict[str, str] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            boot, at = json.loads(next(file))
            if boot != this_boot() or not boot or not 0.0 <= nothing.at - at <= NEWEST:
                return nothing
            for line in file:
                data, journal = json.loads(line)
                state = from_json(NodeState, data)
                states[state.name], journals[state.name] = state, journal
    except (OSError, EOFError, StopIteration, ValueError, TypeError, KeyError, zlib.error):
        return nothing
    return Kept(states, journals, at)
