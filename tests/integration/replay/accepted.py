"""The differences from the real controllers that are accepted: data, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from tests.integration.replay.compare import Difference

FILE = Path(__file__).with_name("accepted.yaml")


@dataclass(frozen=True, slots=True)
class Accepted:
    """One row. step, kind, name and field are patterns with *; all of them must fit a difference."""

    scenarios: tuple[str, ...]
    reason: str
    step: str = "*"
    kind: str = "*"
    name: str = "*"
    field: str = "*"

    def covers(self, one: Difference) -> bool:
        """Whether it is one of those that the row accepts."""
        pairs = ((one.step, self.step), (one.kind, self.kind), (one.name, self.name), (one.field, self.field))
        return all(fnmatchcase(value, pattern) for value, pattern in pairs)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.field} after «{self.step}»: {self.reason}"


def table(file: Path = FILE) -> tuple[Accepted, ...]:
    """All rows. A row must name its scenarios and its reason."""
    rows = yaml.safe_load(file.read_text(encoding="utf-8"))
    return tuple(Accepted(**{**row, "scenarios": tuple(row["scenarios"])}) for row in rows)


def rendered(rows: Iterable[Accepted]) -> str:
    """The rows as the documentation shows them."""
    lines = ["| recording | what | why |", "|---|---|---|"]
    for row in rows:
        fields = [part for part in (row.kind, row.name, row.field) if part != "*"]
        what = " ".join(f"`{part}`" for part in fields) or "everything"
        after = f", after `{row.step}`" if row.step != "*" else ""
        names = ", ".join(scenario.partition("-")[0] for scenario in row.scenarios)
        lines.append(f"| {names} | {what}{after} | {row.reason} |")
    return "\n".join(lines) + "\n"


def verdict(scenario: str, found: Iterable[Difference], rows: Sequence[Accepted]) -> list[str]:
    """What is wrong: differences that no row accepts, and rows that accept nothing any more."""
    mine = [row for row in rows if scenario in row.scenarios]
    found = list(found)
    wrong = [f"not accepted: {one}" for one in found if not any(row.covers(one) for row in mine)]
    return wrong + [
        f"no longer so, take the row out: {row}" for row in mine if not any(row.covers(one) for one in found)
    ]
