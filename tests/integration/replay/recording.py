"""Recordings of controllers at work: JSON lines, what the test did and what became of the objects.

They are not part of the project: they lie in `shared/traces` beside the checkout, or where KNOWNGOOD_TRACES says.
Its README names the fields. Names are the recording's own: `<owner>@<node>#<n>` for pods, rev<n>, hash<n>, digest<n>.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Line = dict[str, Any]

TRACES = Path(os.environ.get("KNOWNGOOD_TRACES") or Path(__file__).parents[4] / "shared" / "traces")
needs_traces = pytest.mark.skipif(
    not TRACES.is_dir(), reason="the recordings of real controllers are not beside this checkout"
)
# What the recording's test saw and wrote down; all other EDIT lines are what it did.
_NOTE = re.compile(
    r"now[ :]|states |nodes |owner of |not reached|chosen|refused|is our cordon|CRD |.*unschedulable: "
)


@dataclass
class Step:
    """One edit and what followed until the next. `notes`: what the test saw then."""

    what: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(scenario: str) -> list[Line]:
    """The lines of a scenario as the real controllers wrote them."""
    text = (TRACES / f"{scenario}.real.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def is_note(what: str) -> bool:
    """Whether an EDIT line says what the test saw, not what it did."""
    return bool(_NOTE.match(what))


def steps(lines: Iterable[Line]) -> list[Step]:
    """The lines by edit. What stands before the first edit is a beginning that nobody chose: left out."""
    found: list[Step] = []
    for line in lines:
        if line["type"] != "EDIT":
            if found:
                found[-1].lines.append(line)
        elif is_note(line["what"]):
            found[-1].notes.append(line["what"])
        else:
            found.append(Step(line["what"]))
    return found


def without_leftovers(lines: Iterable[Line]) -> list[Line]:
    """Without the pods and revisions that were there before; those that come then are counted from one."""
    kept: list[Line] = []
    born: set[tuple[str, str]] = set()
    numbers: dict[str, dict[str, int]] = {}
    for line in lines:
        key = (line.get("kind", ""), line.get("name", ""))
        if line["type"] == "ADDED":
            born.add(key)
        if key[0] not in {"Pod", "ControllerRevision"}:
            kept.append(line)
        elif key in born:
            place, _, number = key[1].rpartition("#")
            known = numbers.setdefault(place, {})
            name = f"{place}#{known.setdefault(number, len(known) + 1)}" if place else key[1]
            kept.append({**line, "name": name})
    return kept
