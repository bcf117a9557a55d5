"""What a check before a run found: where, what, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from knowngood.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason not to start. `fail`: it was measured; `inconclusive`: it could not be asked.

    `where` is a resource or a file, `hint` what to do next. `passes` is True for what a controller is likely to
    settle by itself within seconds: it is looked at again before it counts.
    """

    verdict: Verdict
    where: str
    what: str
    hint: str = ""
    passes: bool = False

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.hint})" if self.hint else text


def refused(where: str, what: str, hint: str = "", *, passes: bool = False) -> Finding:
    """A measured no."""
    return Finding(Verdict.FAIL, where, what, hint, passes)


def unknown(where: str, what: str, hint: str = "", *, passes: bool = False) -> Finding:
    """It could not be asked, or the answer is none."""
    return Finding(Verdict.INCONCLUSIVE, where, what, hint, passes)
