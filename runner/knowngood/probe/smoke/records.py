"""What the ranks of a smoke training leave behind: a file of JSON lines each, and where each stands now.

`rank-K.jsonl` gets a line when a rank has measured something, so that what one measured before it died or hung is not
lost. `rank-K.at` holds a count that grows with each stage entered and left, and the stage's name: of ranks that hang,
those with the lowest count are the ones that the others wait for.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from knowngood.probe.values import Values

Record = dict[str, Any]
START = "start"
"""Where a rank stands while it loads its libraries: how long that takes is the disk's and the other pods' doing."""
FIRST_USE = "the device's first use"
"""Where a rank stands until its device has answered: a device that hangs does so here."""
_WIDTH = 64


class Notes:
    """A rank's own records, for writing."""

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder, self.rank = folder, rank
        self._lines = (folder / f"rank-{rank}.jsonl").open("a", encoding="utf-8")
        self._at = os.open(folder / f"rank-{rank}.at", os.O_WRONLY | os.O_CREAT, 0o644)
        self._count = 0
        self.said: list[Record] = []

    def say(self, kind: str, **figures: Any) -> None:
        """Write down what was measured; not-a-number is written as it is, and read as it is."""
        record = {"kind": kind, **figures}
        self.said.append(record)
        self._lines.write(json.dumps(record) + "\n")
        self._lines.flush()

    def adopt(self, rank: int, said: list[Record]) -> None:
        """Keep what a rank of another node said, beside what the ranks of this one say by themselves."""
        path = self.folder / f"rank-{rank}.jsonl"
        if not path.exists():
            path.write_text("".join(json.dumps(record) + "\n" for record in said), encoding="utf-8")

    def at(self, stage: str) -> None:
        """Say that a stage begins or ends; cheap enough for every step."""
        self._count += 1
        os.pwrite(self._at, f"{self._count:9d} {stage}".ljust(_WIDTH)[:_WIDTH].encode(), 0)

    def __enter__(self) -> Notes:
        return self

    def __exit__(
        self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._lines.close()
        os.close(self._at)


@dataclass(frozen=True)
class Rank:
    """What one rank left. `count` and `stage`: where it stands; 0 and "" where it never began."""

    number: int
    records: tuple[Record, ...] = ()
    count: int = 0
    stage: str = ""
    device: str = field(default="")

    def of(self, kind: str) -> list[Record]:
        """Its records of a kind, in the order of writing."""
        return [r for r in self.records if r.get("kind") == kind]

    def last(self, kind: str) -> Values:
        """The newest of a kind; empty where there is none."""
        found = self.of(kind)
        return found[-1] if found else {}

    @property
    def name(self) -> str:
        """How it is called in words."""
        return f"rank {self.number}" + (f" ({self.device})" if self.device else "")


def read(folder: Path, ranks: int) -> list[Rank]:
    """All ranks, as they are now. A line that was cut by a kill is left out."""
    return [_rank(folder, number) for number in range(ranks)]


def _rank(folder: Path, number: int) -> Rank:
    records: list[Record] = []
    for line in _text(folder / f"rank-{number}.jsonl").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    device = next((str(r.get("device", "")) for r in records if r.get("kind") == "identity"), "")
    count, _, stage = _text(folder / f"rank-{number}.at").strip().partition(" ")
    return Rank(number, tuple(records), int(count) if count.isdigit() else 0, stage, device)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
