"""Preflight: the list of `checks`, before the first commit. It changes nothing.

Each finding says what, where, and what to do next. A measured no refuses the run (exit 1); what could not be asked
leaves it inconclusive (exit 3). What all else needs is asked first: programs, disk, rights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from knowngood.engine.checks import Asked, looked
from knowngood.engine.steps import Step
from knowngood.engine.work import Done, Work
from knowngood.model.detail import Detail
from knowngood.model.finding import Finding
from knowngood.model.progress import Progress
from knowngood.model.record import Status
from knowngood.model.verdict import Verdict, worst

SHOWN = 5  # findings in the reason; all of them are in the detail
STATUS = {Verdict.FAIL: Status.FAIL, Verdict.INCONCLUSIVE: Status.INCONCLUSIVE}


def preflight(work: Work, step: Step) -> Done:
    """We may do all of it, nothing is left over, nobody else works on the nodes, and both ways are open."""
    asked = Asked(work, observed=Done(Status.OK))  # the run came here, so its first look was well
    answers = looked(asked, lambda check: tuple(check.look(asked)), all_of_it=False)
    for text in asked.unproven:
        for observer in work.ports.observers:
            observer.progress(Progress(step.path, step.verb.value, "not proven", text))
    found = [finding for findings in answers.values() for finding in findings]
    record = "; ".join(asked.unsure)
    return ended(found, Detail(failed=asked.busy, not_proven=tuple(asked.unproven), record=record))


def ended(found: Sequence[Finding], detail: Detail) -> Done:
    """How preflight ends with these findings: measured ones first."""
    if not found:
        return Done(Status.OK, detail)
    texts = [str(f) for f in sorted(found, key=lambda f: f.verdict is not Verdict.FAIL)]
    more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    why = "; ".join(texts[:SHOWN]) + more
    return Done(STATUS[worst(f.verdict for f in found)], replace(detail, why=why, findings=tuple(texts)))
