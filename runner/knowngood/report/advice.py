"""What a person does next, by how the run stands."""

from __future__ import annotations

from knowngood.report.summary import Summary

HEADLINES = {
    "done": "done: every node runs the new release and every gate passed",
    "refused": "refused: nothing was changed",
    "inconclusive": "inconclusive: it could not be told whether it is safe; nothing was changed",
    "restored": "restored: the gate said no and everything is back as it was, proven",
    "quarantined": "quarantined: a human is needed",
    "held": "held: frozen as it is, a human decides",
}


def headline(summary: Summary) -> str:
    """Where the run stands, in one line."""
    if summary.end:
        return HEADLINES.get(summary.end, summary.end)
    if summary.interrupted:
        return f"interrupted: {summary.interrupted}"
    return f"running: {summary.running or 'between two steps'}"


def next_steps(summary: Summary) -> tuple[str, ...]:
    """What to type or look at next, the most urgent first."""
    run, cluster, release = summary.run, summary.cluster, summary.to_release
    named = ", ".join(summary.blamed)
    match summary.end:
        case "":
            return (f"knowngood resume {run}", f"knowngood abort {run}", f"knowngood handover {run}")
        case "done":
            return (f"knowngood show release {release}", f"knowngood gate {cluster}")
        case "restored":
            return (
                f"read why in the report; the release {release} is not proven on {cluster}",
                f"knowngood gate {cluster}",
            )
        case "quarantined":
            return (
                f"look at {named or 'the named nodes'}: they are tainted and cordoned and stay so",
                f"knowngood handover {run}",
            )
        case "held":
            return (f"knowngood handover {run}", f"knowngood rollback {run}")
        case _:
            return ("clear what the reason names", f"knowngood plan {cluster} --to {release}")


def blamed(summary: Summary) -> dict[str, str]:
    """Node -> why, as far as the run's own reason does not say it already."""
    return {
        node: why for node, why in summary.blamed.items() if not (node in summary.why and why in summary.why)
    }
