"""A run's summary as text: what `status`, `upgrade` and the demo print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowngood.model.evidence import REFUSED
from knowngood.model.text import Page, page
from knowngood.report.advice import blamed, earned, headline, next_steps, record_line
from knowngood.report.columns import Rows, columns, move
from knowngood.report.estimate import words
from knowngood.report.summary import JudgementLine, Summary

__all__ = ["columns", "commit_rows", "count_rows", "node_rows", "summary_text", "tenant_rows", "verdict_rows"]

MOST_REASONS = 3


def summary_text(summary: Summary, *, undo_by: str = "", then: Sequence[str] = ()) -> Page:
    """One screen: where it is, why it stopped, what to type next (`then`, where it is not the usual)."""
    parts = [
        f"{summary.cluster}: {move(summary.from_release, summary.to_release)}   run {summary.run}",
        f"  {headline(summary)}",
    ]
    if summary.who:
        parts.append(f"  by {summary.who} with knowngood {summary.version}".rstrip())
    if summary.why:
        parts.append(f"  why: {summary.why}")
    parts += [f"  {node}: {why}" for node, why in blamed(summary).items()]
    if summary.status == REFUSED:
        parts.append(f"  {summary.to_release} was not promoted, its evidence is refused: {summary.because}")
    elif summary.status:
        parts.append(f"  {earned(summary)}: {summary.because}")
    if told := record_line(summary):
        parts.append(f"  {told}")
    parts.append(
        f"  took {words(summary.seconds)}"
        + (f", resumed {times(summary.resumed)}" if summary.resumed else "")
    )
    if summary.no_way_back and summary.end != "done":
        parts.append(
            f"  past its point of no return: {summary.no_way_back} can't be undone, the only way is on"
        )
    elif undo_by and not summary.end:
        parts.append(f"  undo must start by {undo_by}")
    parts += ["", *_section("commits", commit_rows(summary))]
    parts += _section("verdicts", verdict_rows(summary.judgements))
    parts += _section("elsewhere on this cluster", list(summary.elsewhere.items()))
    parts += _section("held", list(summary.holds.items()))
    parts += _section("nodes" if summary.asked else "nodes, as of the journal", node_rows(summary))
    parts += _section("still on the new version", tuple(summary.moved.items()))
    parts += _section("tenants disturbed", tenant_rows(summary))
    parts += _section("left over", [(x,) for x in summary.left])
    parts += _section("changed by others, not judged", reported_rows(summary))
    parts += _section("next", [(x,) for x in then or next_steps(summary)])
    while not parts[-1]:
        parts.pop()
    return page(parts)


def commit_rows(summary: Summary) -> Rows:
    """kind, ring, short commit."""
    return [(c.kind, c.ring or "-", c.commit[:12]) for c in summary.commits]


def verdict_rows(judgements: Iterable[JudgementLine]) -> Rows:
    """step, verdict, how many results, what was bad: at most three of it, the report has all."""
    rows = []
    for j in judgements:
        bad = [f"{g.gate} on {g.node or 'the cluster'}: {g.reason}" for g in j.results if g.verdict != "pass"]
        bad += [f"{m}: gave no result" for m in j.missing]
        bad += [j.trouble] if j.trouble else []
        more = [f"and {len(bad) - MOST_REASONS} more"] if len(bad) > MOST_REASONS else []
        told = "; ".join([*bad[:MOST_REASONS], *more])
        rows.append((j.step, j.verdict, f"{len(j.results)} results", told))
    return rows


def count_rows(judgements: Iterable[JudgementLine]) -> Rows:
    """step, verdict, how many results of each kind, on which nodes the bad ones."""
    rows = []
    for j in judgements:
        by_verdict: dict[str, list[str]] = {}
        for g in j.results:
            by_verdict.setdefault(g.verdict, []).append(g.node or "the cluster")
        told = [f"{len(by_verdict.pop('pass', []))} pass"]
        told += [
            f"{len(on)} {verdict} ({', '.join(dict.fromkeys(on))})" for verdict, on in by_verdict.items()
        ]
        told += [f"{len(j.missing)} gave no result ({', '.join(j.missing)})"] if j.missing else []
        told += [j.trouble] if j.trouble else []
        rows.append((j.step, j.verdict, ", ".join(told)))
    return rows


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def node_rows(summary: Summary) -> Rows:
    """node, how often and how long out, reloads, where it is now."""
    return [
        (
            name,
            f"out {times(t.times_out)}",
            words(t.seconds_out),
            f"{t.reloads} reload{'' if t.reloads == 1 else 's'}",
            t.now + (f": {t.why}" if t.why else ""),
        )
        for name, t in summary.nodes.items()
    ]


def tenant_rows(summary: Summary) -> Rows:
    """tenant, pods evicted, workloads, and what of it does not run again."""
    rows = []
    for tenant in dict.fromkeys((*summary.tenants, *summary.not_running)):
        hit = summary.tenants.get(tenant)
        waiting = summary.not_running.get(tenant, ())
        told = f"{hit.pods} pod{'' if hit.pods == 1 else 's'} evicted" if hit else "no pod evicted"
        rows.append((tenant, told, ", ".join(hit.workloads) if hit else "", _not_running(waiting)))
    return rows


def reported_rows(summary: Summary) -> Rows:
    """node, what others changed there while an undo ran; of the first nodes, the report has all."""
    rows = list(summary.reported.items())
    more = (
        [(f"and {len(rows) - MOST_REASONS} more", f"knowngood show run {summary.run} -o json has all")]
        if len(rows) > MOST_REASONS
        else []
    )
    return [*rows[:MOST_REASONS], *more]


def _not_running(waiting: Sequence[str]) -> str:
    return f"not running again: {', '.join(waiting)}" if waiting else ""


def _section(title: str, rows: Rows) -> list[str]:
    return [title, *columns(rows), ""] if rows else []
