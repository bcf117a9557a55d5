"""One HTML file a run (or several, for the demo): no scripts, no other files, safe with text from a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from knowngood.model.text import printable
from knowngood.planner.pace import seconds_between
from knowngood.report.advice import blamed, earned, headline, next_steps, record_line
from knowngood.report.estimate import words
from knowngood.report.summary import StepLine, Summary

TEMPLATES = Path(__file__).parent / "templates"


def html(
    summaries: Sequence[Summary],
    *,
    title: str = "",
    then: Sequence[str] = (),
    seen: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The document. Everything shown is escaped and printable: a reason may quote a kernel line.

    `then`: what to do next, where it is not what a run on a real cluster advises. `seen`: run -> what somebody outside
    the program saw of it, one line each.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 (60 ms, for a run's end only)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=lambda value: printable(value) if isinstance(value, str) else value,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update(
        words=words,
        clock=clock,
        headline=headline,
        next_steps=next_steps,
        figures=figures,
        short=short,
        blamed=blamed,
        record_line=record_line,
        earned=earned,
    )
    environment.globals.update(offset=offset, width=width)
    named = title or ", ".join(f"{s.cluster} → {s.to_release}: {s.end or 'running'}" for s in summaries)
    return environment.get_template("report.html.j2").render(
        summaries=summaries, title=named, then=then, seen=seen or {}
    )


def clock(time: str) -> str:
    """The time of day (UTC) of an RFC 3339 time."""
    return time[11:19] if len(time) >= 19 else time


def short(commit: str) -> str:
    """A commit as people quote it."""
    return commit[:12]


def figures(measured: dict[str, object]) -> str:
    """The figures behind a verdict on one line; nested ones are left to the judgement's file."""
    flat = {k: v for k, v in measured.items() if isinstance(v, (str, int, float)) and v != ""}
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in flat.items())


def offset(summary: Summary, step: StepLine) -> float:
    """Where a step's bar begins, in per cent of the run."""
    return _share(seconds_between(summary.started, step.started), summary)


def width(summary: Summary, step: StepLine) -> float:
    """How wide a step's bar is, in per cent of the run; at least what can be seen."""
    return max(_share(step.seconds, summary), 0.4)


def _share(seconds: float, summary: Summary) -> float:
    whole = max(summary.seconds, 0.1)
    return round(min(max(100 * seconds / whole, 0.0), 100.0), 2)
