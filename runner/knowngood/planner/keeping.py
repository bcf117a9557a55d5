"""Which of a cluster's runs may be forgotten. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowngood.model.marks import Marks
from knowngood.model.run_summary import RunSummary


def forgettable(
    known: Sequence[RunSummary], keep: int, marks: Iterable[Marks], at_work: str = ""
) -> tuple[str, ...]:
    """Runs beyond the last `keep`, the oldest first; `known` is newest first, `at_work` the run that holds the Lease.

    Those that changed the cluster and those that did not are counted apart: ten refused tries must not drive out the
    run that a rollback, a baseline or a second try goes by. Kept whatever their age: an open run; one that a node's
    mark names; the last two that changed the cluster and were not undone, as the older has the say once the newer is
    taken back; the one with the highest fence, from which the next is counted.
    """
    changed = [run for run in known if run.changed]
    others = [run for run in known if not run.changed]
    kept = {at_work, *(name for m in marks for name in (m.run, m.maintenance, m.quarantine))}
    kept |= {run.run for run in (*changed[:keep], *others[:keep])}
    kept |= {run.run for run in [run for run in changed if run.end != "restored"][:2]}
    kept |= {run.run for run in changed if not run.end}
    kept |= {max(known, key=lambda run: run.fence).run} if known else set()
    return tuple(run.run for run in reversed(known) if run.run not in kept)
