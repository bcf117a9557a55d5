"""The demo's summary on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowngood.model.text import Page, page
from knowngood.report.advice import earned, headline, record_line
from knowngood.report.estimate import words
from knowngood.report.summary import JudgementLine, Summary
from knowngood.report.text import columns, commit_rows, node_rows, tenant_rows, times


@dataclass(frozen=True, slots=True)
class Act:
    """One act: how it should end, how it did, and what the oracle has against it (empty: it agrees).

    folder: the run's; seen: what the oracle saw happen, one line each, where the act shows more than its end.
    """

    title: str
    wanted: str
    summary: Summary
    ended_well: bool
    against: tuple[str, ...]
    folder: Path = Path()
    seen: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it ended as it should and the oracle agrees."""
        return self.ended_well and not self.against


def demo_text(acts: Sequence[Act], folder: Path, seconds: float, then: Sequence[str] = ()) -> Page:
    """The whole. `then`: what to type next."""
    lines: list[str] = []
    for number, act in enumerate(acts, start=1):
        lines += _act(number, act)
    verdict = "all acts ended as they should" if all(a.good for a in acts) else "the demo FAILED"
    runs = dict.fromkeys(str(act.folder.parent) for act in acts)
    lines += [
        f"{verdict}, in {words(seconds)}",
        *columns(
            [
                ("report", str(folder / "report.html")),
                ("JUnit", str(folder / "junit.xml")),
                *(("journals", run) for run in runs),
                ("Git history", f"git --git-dir {folder / 'gitops.git'} log"),
            ]
        ),
    ]
    lines += ["", "next", *(f"  {line}" for line in then)] if then else []
    return page(lines)


def _act(number: int, act: Act) -> Iterator[str]:
    run = act.summary
    yield f"Act {number}: {act.title}   {run.cluster} {run.from_release} → {run.to_release}, {', '.join(run.moves)}"
    yield f"  {headline(run)} ({words(run.seconds)}, exit {run.exit_code})"
    if run.why:
        yield f"  why: {run.why}"
    if run.status:
        yield f"  {earned(run)}: {run.because}"
    if told := record_line(run):
        yield f"  {told}"
    yield from _part("commits", [r for r in commit_rows(run) if r[0] != "way-back"])
    yield from _part("verdicts", _verdicts(run.judgements))
    yield from _part("nodes", [r for r in node_rows(run) if r[1] != f"out {times(0)}"])
    yield from _part("tenants disturbed", tenant_rows(run))
    yield from _part("what the oracle saw", [(line,) for line in act.seen])
    yield "  oracle: agrees" if not act.against else "  oracle: DISAGREES"
    yield from (f"    {line}" for line in act.against[:10])
    if not act.ended_well:
        yield f"  this should have ended {act.wanted}"
    yield ""


def _part(title: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield f"  {title}"
        yield from columns(rows, "    ")


def _verdicts(judgements: Sequence[JudgementLine]) -> list[tuple[str, ...]]:
    """One row a judgement; the reasons are in `why`."""
    return [(j.step, j.verdict, f"{len(j.results)} results") for j in judgements]
