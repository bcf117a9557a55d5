"""Verdicts. Only `pass` lets a run go on; the worst of several counts; of none, `inconclusive`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from knowngood.model.node import NodeState
from knowngood.model.values import Values

MEASURED_FILE = "measured-{}.json"
"""Beside the events: the figures of one test that are too large for its line, by their sha256."""
WAIVED = "waived "
"""What a key of `measured` begins with that names a known bad part, which was found and not counted."""


class Verdict(StrEnum):
    """What a gate said."""

    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of several: `fail` beats `inconclusive` beats `pass`; none at all is `inconclusive`."""
    seen = set(verdicts)
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS):
        if verdict in seen:
            return verdict
    return Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict on one node (`node` is "" for a gate that judges the cluster).

    `measured` holds the figures behind it (JSON values, units in the key's suffix, small);
    `backend` is what a smoke payload ran on: `cuda`, `reference`, or "" where it does not apply.
    """

    gate: str
    node: str
    verdict: Verdict
    reason: str
    measured: Values = field(default_factory=dict)
    backend: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """All results of one judgement, recomputed by the runner from the plugin's events.

    `missing` names required (gate, node) pairs that gave no result, `trouble` why the session as a
    whole can't be trusted (no session_finish, an exit code that disagrees). Either makes it inconclusive.
    `seen`: the nodes as the judge looked at them, for whoever would look next; not kept with the results.
    """

    results: tuple[GateResult, ...]
    missing: tuple[tuple[str, str], ...] = ()
    trouble: str = ""
    artifacts: Mapping[str, str] = field(default_factory=dict)  # name -> path in the run's folder
    seen: Mapping[str, NodeState] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The judgement's verdict."""
        verdicts = [r.verdict for r in self.results]
        if self.missing or self.trouble or not verdicts:
            verdicts.append(Verdict.INCONCLUSIVE)
        return worst(verdicts)

    def of_node(self, node: str) -> Verdict:
        """The verdict on one node; cluster-wide gates count for each node, session trouble too."""
        verdicts = [r.verdict for r in self.results if r.node in (node, "")]
        if self.trouble or any(n in (node, "") for _, n in self.missing):
            verdicts.append(Verdict.INCONCLUSIVE)
        return worst(verdicts)

    def bad(self) -> tuple[GateResult, ...]:
        """The results that are not `pass`, failures first."""
        bad = [r for r in self.results if r.verdict is not Verdict.PASS]
        return tuple(sorted(bad, key=lambda r: (r.verdict is not Verdict.FAIL, r.gate, r.node)))
