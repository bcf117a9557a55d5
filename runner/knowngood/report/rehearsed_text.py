"""What the rehearsals of a change said, for people and for machines (the schema `rehearse-changed`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowngood.model.errors import ExitCode
from knowngood.model.text import Page, page
from knowngood.model.values import Object
from knowngood.planner.changed import Pair
from knowngood.report.columns import columns


@dataclass(frozen=True, slots=True)
class Played:
    """How one ended; `end` is "" where it was not to be played. `why`: of one that is not done."""

    pair: Pair
    end: str
    code: ExitCode = ExitCode.DONE
    why: str = ""
    report: str = ""


def rehearsed_text(played: Sequence[Played]) -> Page:
    """A line for each release and cluster, and below it why one did not end done."""
    rows = [
        (row.pair.cluster, row.pair.release, row.end or f"not played: {row.pair.why_not}") for row in played
    ]
    lines = columns([("cluster", "release", "rehearsal"), *rows], "") if rows else []
    for row in (one for one in played if one.why):
        lines += ["", f"{row.pair.cluster} to {row.pair.release}: {row.why}"]
        lines += [f"  report: {row.report}"] if row.report else []
    return page(lines)


def rehearsed_json(played: Sequence[Played]) -> Object:
    """The same as values."""
    rows = [
        {
            "cluster": row.pair.cluster,
            "release": row.pair.release,
            "meant": not row.pair.why_not,
            "why_not": row.pair.why_not,
            "end": row.end,
            "exit_code": int(row.code),
            "why": row.why,
            "report": row.report,
        }
        for row in played
    ]
    return {"rehearsals": rows}
