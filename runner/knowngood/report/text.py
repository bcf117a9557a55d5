"""A run's summary as text: what `status`, `upgrade` and the demo print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowngood.model.evidence import REFUSED
from knowngood.report.advice import blamed, headline, next_steps
from knowngood.report.columns import Rows, columns
from knowngood.report.estimate import words
from knowngood.report.summary import JudgementLine, Summary

__all__ = ["columns", "commit_rows", "node_rows", "summary_text", "tenant_rows", "verdict_rows"]


def summary_text(summary: Summary, *, undo_by: str = "") -> str:
    """One screen: where it is, why it stopped, what to type next."""
    parts = [
        f"{summary.cluster}: {summary.from_release} → {summary.to_release}   run {summary.run}",
        f"  {headline(summary)}",
    ]
    if summary.why:
        parts.append(f"  why: {summary.why}")
    parts += [f"  {node}: {why}" for node, why in blamed(summary).items()]
    if summary.status == REFUSED:
        parts.append(f"  {summary.to_release} was not promoted, its evidence is refused: {summary.because}")
    elif summary.status:
        parts.append(f"  {summary.to_release} is {summary.status}: {summary.because}")
    parts.append(
        f"  took {words(summary.seconds)}" + (f", resumed {summary.resumed} times" if summary.resumed else "")
    )
    if undo_by and not summary.end:
        parts.append(f"  undo must start by {undo_by}")
    parts += ["", *_section("commits", commit_rows(summary))]
    parts += _section("verdicts", verdict_rows(summary.judgements))
    parts += _section("nodes", node_rows(summary))
    parts += _section("tenants disturbed", tenant_rows(summary))
    parts += _section("left over", [(x,) for x in summary.left])
    parts += _section("next", [(x,) for x in next_steps(summary)])
    return "\n".join(parts).rstrip() + "\n"


def commit_rows(summary: Summary) -> Rows:
    """kind, ring, short commit."""
    return [(c.kind, c.ring or "-", c.commit[:12]) for c in summary.commits]


def verdict_rows(judgements: Iterable[JudgementLine]) -> Rows:
    """step, verdict, how many results, what was bad."""
    rows = []
    for j in judgements:
        bad = [f"{g.gate} on {g.node or 'the cluster'}: {g.reason}" for g in j.results if g.verdict != "pass"]
        bad += [f"{m}: gave no result" for m in j.missing]
        bad += [j.trouble] if j.trouble else []
        rows.append((j.step, j.verdict, f"{len(j.results)} results", "; ".join(bad)))
    return rows


def node_rows(summary: Summary) -> Rows:
    """node, how often and how long out, reloads, where it is now."""
    return [
        (name, f"out {t.times_out} times", words(t.seconds_out), f"{t.reloads} reloads", t.now)
        for name, t in summary.nodes.items()
    ]


def tenant_rows(summary: Summary) -> Rows:
    """tenant, pods evicted, workloads, and what of it does not run again."""
    rows = []
    for tenant in dict.fromkeys((*summary.tenants, *summary.not_running)):
        hit = summary.tenants.get(tenant)
        waiting = summary.not_running.get(tenant, ())
        told = f"{hit.pods} pods evicted" if hit else "no pod evicted"
        rows.append((tenant, told, ", ".join(hit.workloads) if hit else "", _not_running(waiting)))
    return rows


def _not_running(waiting: Sequence[str]) -> str:
    return f"not running again: {', '.join(waiting)}" if waiting else ""


def _section(title: str, rows: Rows) -> list[str]:
    return [title, *columns(rows), ""] if rows else []
