"""Gates that did not run on a node that was in use: whether an earlier result still stands for them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from knowngood.planner.pace import seconds_between

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Earlier:
    """One gate's earlier result on one node: `time` as RFC 3339 UTC, the release that had to run."""

    gate: str
    node: str
    release: str
    time: str
    verdict: str


@dataclass(frozen=True, slots=True)
class NotRun:
    """A required gate that did not run on a node, and why. `last`: when it last passed there, "" if it did not.

    `days`: how long ago that was. `within`: how old it may be by the profile, 0: no age will do. `fresh`: it is not
    older.
    """

    gate: str
    node: str
    why: str
    last: str = ""
    days: float | None = None
    within: float = 0.0
    fresh: bool = False

    def sentence(self) -> str:
        """In words, without gate and node."""
        age = "it has not passed there yet" if self.days is None else f"passed {self.days:.1f} days ago"
        rule = (
            f"{self.within:g} days are allowed" if self.within else "the profile allows no age (withinDays)"
        )
        return f"not run: {self.why}; {age}, {rule}"


def not_run(
    gates: Mapping[str, Mapping[str, object]],
    wanted: Iterable[str],
    in_use: Mapping[str, str],
    earlier: Sequence[Earlier],
    release: str,
    now: str,
) -> tuple[NotRun, ...]:
    """What each of the wanted gates of a profile is on each node in use (node -> why).

    The last result that said yes or no counts: a pass before a fail is none, and what could not be told says nothing.
    """
    found = []
    for gate in wanted:
        within = float(str(gates.get(gate, {}).get("withinDays") or 0.0))
        for node, why in in_use.items():
            told = [
                e
                for e in earlier
                if (e.gate, e.node, e.release) == (gate, node, release)
                and e.verdict in ("pass", "fail")
                and e.time <= now
            ]
            last = max(told, key=lambda e: e.time, default=None)
            if last is None or last.verdict != "pass":
                found.append(NotRun(gate, node, why, within=within))
                continue
            days = seconds_between(last.time, now) / DAY
            fresh = within > 0 and days <= within
            found.append(NotRun(gate, node, why, last.time, round(days, 2), within, fresh))
    return tuple(found)
