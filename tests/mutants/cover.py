"""What is made wrong, and which tests should say so."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.mutate import Mutant, Source
from tests.mutants.reach import distances
from tests.mutants.tree import ROOT

SOURCES = ("gates/*.py", "runner/knowngood/gate/*.py", "runner/knowngood/probe/**/*.py")
GATES, PROBES, XID = "tests/unit/gates", "tests/unit/probe", "tests/unit/xid"
PLUGIN = "tests/unit/adapters/judging"
PLAYED_WITH_TORCH = (
    "arithmetic",
    "burn",
    "distributed",
    "exchange",
    "learning",
    "lesson",
    "network",
    "server",
    "worker",
)
"""Parts of the payloads that only torch can run: `tests/integration/smoke` sabotages them instead."""
FRAME = (
    "context",
    "events",
    "fixtures",
    "images",
    "plugin",
    "probing",
    "reading",
    "session",
    "settling",
    "verdicts",
)
"""What of knowngood.gate is at work in pytest's own process: shown by whole sessions."""
WIRED = ("fixtures", "neighbours", "probing", "reading", "driver", "operands")
"""What asks the cluster: shown on the twin."""
OF_ALL = {"gates": "ASKED|TABLE"}
"""Words of tests that are of every file in a folder."""
OF_WHOLES = {"test_fault_table": "gates", "test_missing_inputs": "gates", "test_log_hostile": ""}
"""Tests that take long, and the folder whose files they are of: of whole gates, and of memory and time."""
NEAR, UNREACHED = 2, 1000
"""Imports between a test and a file that it is still one of. A farther one may notice a mutant, too: it isn't asked."""
ON_THE_TWIN = "tests/integration/gates/test_gates_on_the_twin.py"


def sources() -> list[str]:
    """The files whose mutants unit tests can judge, from the checkout's root."""
    found = sorted({p for pattern in SOURCES for p in ROOT.glob(pattern)})
    return [
        str(p.relative_to(ROOT))
        for p in found
        if not (p.parent.name == "smoke" and p.stem in PLAYED_WITH_TORCH)
    ]


def tests_of(file: str) -> list[str]:
    """The tests of a file: first those that name it, then the others near it, then those on the twin."""
    stem, room = Path(file).stem, Path(file).parent.name
    folders = {"kernel_log": [PROBES, XID, GATES], "gate": [GATES], "gates": [GATES]}.get(room, [PROBES])
    folders += [PLUGIN] if room == "gate" and stem in FRAME else []
    word = re.compile(rf"\b(?:{stem}|{OF_ALL.get(room, '(?!)')})\b")
    found: list[tuple[int, str]] = []
    near: list[tuple[bool, int, int, str]] = []
    for test in sorted(
        str(t.relative_to(ROOT)) for folder in folders for t in (ROOT / folder).rglob("test_*.py")
    ):
        if OF_WHOLES.get(Path(test).stem, room) != room:
            continue
        told = len(word.findall((ROOT / test).read_text(encoding="utf-8")))
        far = distances(test).get(file, UNREACHED)
        named = Path(test).stem in (f"test_{stem}", f"test_{room}")
        beside = Path(test).parent.name == room and far < UNREACHED
        if named or beside or far <= NEAR or (told and room in OF_ALL):
            near.append((not named, far, -told, test))
        found.append((far, test))
    tests = [test for *_, test in sorted(near)] or [test for _, test in sorted(found)[:NEAR]]
    return tests + ([ON_THE_TWIN] if stem in WIRED and room == "gate" else [])


def every() -> list[Mutant]:
    """All mutants of all sources."""
    return [
        m for file in sources() for m in Source(file, (ROOT / file).read_text(encoding="utf-8")).mutants()
    ]


def chosen(count: int, seed: int, files: Sequence[str] = ()) -> list[Mutant]:
    """As many of them as asked, by lot: the same for the same sources and seed. `files`: words in their names."""
    found = [m for m in every() if not files or any(word in m.file for word in files)]
    lot = random.Random(seed)  # noqa: S311 (a lot that can be drawn again)
    return sorted(lot.sample(found, min(count, len(found))), key=lambda m: (m.file, m.start, m.new))
