"""What one must know of a run before its state is read: it stands beside the state in the run's checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from knowngood.model.state import RunState


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in one line. Times are RFC 3339 UTC.

    `seq` counts the records of the run's life, `fence` is the number of the Lease's holding under which it was
    written; whoever forgets old runs keeps the one with the highest fence. `end` is "" and `exit_code` None while the
    run has not ended. `step` is the one that is being done, or was done last. `changed`: it began to commit, from
    then on the cluster may be otherwise; as long as it has not ended also one that began to hold or to claim. `who`
    (user@host) and `version` (of knowngood) are of the last runner.
    """

    run: str
    cluster: str = ""
    from_release: str = ""
    to_release: str = ""
    started: str = ""
    updated: str = ""
    seq: int = 0
    fence: int = 0
    step: str = ""
    changed: bool = False
    end: str = ""
    exit_code: int | None = None
    who: str = ""
    version: str = ""


TOUCHES = ("declare", "hold", "claim")
"""Verbs from which on an open run has something on the cluster: nobody else begins before it has ended."""


def summary_of(state: RunState) -> RunSummary:
    """The summary of a state."""
    frozen = {key: str(value) for key, value in state.frozen.items()}
    return RunSummary(
        run=state.run,
        cluster=frozen.get("cluster", ""),
        from_release=frozen.get("from", ""),
        to_release=frozen.get("to", ""),
        started=state.started,
        updated=state.updated,
        seq=state.seq,
        fence=state.fence,
        step=state.open or state.last,
        changed=any(path.verb in (("declare",) if state.end else TOUCHES) for path in state.intended),
        end=state.end.name if state.end else "",
        exit_code=int(state.end.exit_code) if state.end else None,
        who=state.who,
        version=state.version,
    )
