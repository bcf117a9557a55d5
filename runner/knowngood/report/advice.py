"""What a person does next, by how the run stands."""

from __future__ import annotations

import re

from knowngood.model.claims import Hold
from knowngood.report.summary import Summary

_RESUME = re.compile(r"\bknowngood resume (r\d{8}-\d{6}-[0-9a-f]{4})\b")
"""Another run, where a reason says that it is to go on: one that is merely named may have ended."""

HEADLINES = {
    "done": "done: every node runs the new release and every gate passed",
    "refused": "refused: nothing was changed",
    "inconclusive": "inconclusive: it could not be told whether it is safe; nothing was changed",
    "restored": "restored: everything is back as it was, proven",
    "quarantined": "quarantined: a human is needed",
    "held": "held: frozen as it is, a human decides",
}


def headline(summary: Summary) -> str:
    """Where the run stands, in one line."""
    if summary.end == "restored" and summary.moved:
        return "restored: back at the rest between two hops, proven; what the first of them moved stays"
    if summary.end == "restored" and any(j.verdict == "fail" for j in summary.judgements):
        return "restored: the gate said no and everything is back as it was, proven"
    if summary.end:
        return HEADLINES.get(summary.end, summary.end)
    if summary.interrupted:
        return f"interrupted: {summary.interrupted}"
    return f"running: {summary.running or 'between two steps'}"


def _shut(summary: Summary) -> str:
    """What a human finds on the nodes that are named: only what is said to be quarantined is shut."""
    shut = [n for n, time in summary.nodes.items() if time.now is Hold.QUARANTINED]
    open_ = [n for n in summary.blamed if n not in shut]
    told = [f"{', '.join(shut)}: tainted and cordoned, and stays so"] if shut else []
    told += [f"{', '.join(open_)}: not proven to be as before"] if open_ else []
    return "look at " + ("; ".join(told) or "the named nodes")


def _clear(summary: Summary) -> tuple[str, ...]:
    """How a node that this ended run left out of service is given back, by a human who knows that it is well."""
    left = [n for n, time in summary.nodes.items() if time.now in LEFT]
    return (f"once it is mended: knowngood clear {left[0]}",) if left else ()


LEFT = (Hold.OUT, Hold.QUARANTINED, Hold.MARKED, Hold.UNKNOWN)
"""How a node stands that carries something of a run's, or may."""


def _on(summary: Summary) -> tuple[str, ...]:
    """How a held run goes on; where it can't, how those are let go whose work it still holds."""
    if summary.goes_on:
        return (f"mend what stopped it, then knowngood resume {summary.run}",)
    return ("knowngood clear --holds",) if summary.holds else ()


def undelivered(summary: Summary) -> bool:
    """Whether the run's record waits to be delivered."""
    return bool(summary.end and summary.record and summary.record.undelivered)


def earned(summary: Summary) -> str:
    """What the release is by this run; only what is in the matrix is so."""
    if undelivered(summary):
        return f"the evidence for {summary.to_release} counts as {summary.status}"
    return f"{summary.to_release} is {summary.status}"


def record_line(summary: Summary) -> str:
    """Where the run's record is, in one line; "" where that goes without saying."""
    record = summary.record
    if record is None:
        return ""
    if record.undelivered:
        return f"record: not delivered: {record.undelivered}" + (f" ({record.next})" if record.next else "")
    where = f"{record.where}: {record.file}" if record.file else record.where
    return "record: " + "; ".join(x for x in (where, record.note) if x) if where or record.note else ""


def _matrix(summary: Summary) -> tuple[str, ...]:
    """What is still to do before every checkout of the matrix has the record."""
    record = summary.record
    if record is None or not record.where or record.undelivered or record.file:
        return ()
    if record.into:
        return (f"a pull request into {record.into}: the matrix does not say it before it is merged",)
    return ("git pull, where the matrix is checked out",)


def next_steps(summary: Summary) -> tuple[str, ...]:
    """What to type or look at next, the most urgent first."""
    return ((f"knowngood record {summary.run}",) if undelivered(summary) else ()) + (
        _onward(summary) or _by_end(summary)
    )


def _onward(summary: Summary) -> tuple[str, ...]:
    """What is left where nothing can be taken back; empty where something can, and where all went well."""
    run = summary.run
    if not summary.no_way_back or summary.end not in ("", "held") or not (summary.end or summary.interrupted):
        return ()
    if not summary.end:
        return (f"knowngood resume {run}", f"knowngood handover {run}")
    return (*_on(summary), f"knowngood handover {run}", *_clear(summary))


def _by_end(summary: Summary) -> tuple[str, ...]:
    run, cluster, release = summary.run, summary.cluster, summary.to_release
    other = _RESUME.search(summary.why)
    match summary.end:
        case "" if summary.interrupted:
            return (f"knowngood resume {run}", f"knowngood rollback {run}", f"knowngood handover {run}")
        case "":
            return (f"knowngood abort {run}", f"knowngood handover {run}")
        case "done":
            return (*_matrix(summary), f"knowngood show release {release}", f"knowngood gate {cluster}")
        case "restored" if summary.moved:
            return (f"knowngood rollback {cluster}", f"knowngood gate {cluster}")
        case "restored":
            return (
                f"knowngood show run {run} says why; the release {release} is not proven on {cluster}",
                f"knowngood gate {cluster}",
            )
        case "quarantined":
            back = f"knowngood rollback {run}"
            return (_shut(summary), f"knowngood handover {run}", back, *_clear(summary))
        case "held":
            return (f"knowngood handover {run}", f"knowngood rollback {run}", *_on(summary), *_clear(summary))
        case _ if other and other[1] != run:
            return (f"knowngood resume {other[1]}", f"knowngood rollback {other[1]}")
        case _:
            return ("clear what the reason names", f"knowngood plan {cluster} --to {release}")


def blamed(summary: Summary) -> dict[str, str]:
    """Node -> why, as far as the run's own reason does not say it already."""
    return {
        node: why for node, why in summary.blamed.items() if not (node in summary.why and why in summary.why)
    }
