"""What `doctor` found: a line for each thing that a run needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowngood.model.finding import Finding
from knowngood.model.verdict import Verdict, worst


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a run needs. `title` says what is so where it passes.

    `notes`: what can't be told before a run, and stops none.
    """

    check: str
    title: str
    findings: Sequence[Finding] = ()
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        """`pass` where nothing was found."""
        return worst(f.verdict for f in self.findings) if self.findings else Verdict.PASS


@dataclass(frozen=True, slots=True)
class Examination:
    """All lines, in the order in which a run asks. `to_release` is the release that a run would go to, "" for none."""

    cluster: str
    lines: tuple[Line, ...]
    to_release: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of all lines."""
        return worst(line.verdict for line in self.lines)
