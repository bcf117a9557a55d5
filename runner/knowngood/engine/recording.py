"""A run's end in the matrix: its proof, or what speaks against the release.

What is proven is proven wherever it is written down: what can't be delivered now is kept, said, and delivered later
(`knowngood record`). It never changes how the run ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from knowngood.engine import proof
from knowngood.engine.steps import Step
from knowngood.engine.work import Done, Work
from knowngood.model.detail import Detail
from knowngood.model.errors import DeadlineExceeded, Interrupted, KnowngoodError, LockHeld, Unreachable
from knowngood.model.evidence import REFUSED
from knowngood.model.record import Status
from knowngood.model.values import Values
from knowngood.ports.promotion import Recorded

PATIENCE = 30.0
"""Seconds to try again while the matrix's remote does not answer: a choice of ours, the nodes wait for nothing."""


def promote(work: Work, step: Step) -> Done:
    """Commit the evidence with what it is worth, raise the release's status and pin the cluster to it."""
    plan, matrix = work.plan, work.ports.promotion
    evidence = proof.evidence(work)
    try:
        worth = matrix.appraise(evidence, work.ports.clock.now())
    except (Interrupted, LockHeld):
        raise
    except Exception as error:  # noqa: BLE001 (see _undelivered)
        return _undelivered(error, evidence, work.keep("evidence", evidence))
    status = worth.status.value if worth.status else REFUSED
    evidence |= {"status": status, "because": worth.because, "expires": worth.expires or evidence["expires"]}
    return _recorded(work, evidence, lambda: matrix.promote(plan.to_release, status, plan.cluster, evidence))


def record(work: Work, step: Step) -> Done:
    """Commit what speaks against the release. The cluster is restored: nothing that goes wrong here changes that."""
    plan, matrix = work.plan, work.ports.promotion
    evidence = proof.failure(work)
    if evidence is None:
        return Done(Status.OK, Detail(why="nothing here speaks against the release"))
    return _recorded(work, evidence, lambda: matrix.record_failure(plan.to_release, plan.cluster, evidence))


def _recorded(work: Work, evidence: Values, deliver: Callable[[], Recorded]) -> Done:
    files = work.keep("evidence", evidence)
    try:
        told = _patiently(work, deliver)
    except (Interrupted, LockHeld):
        raise
    except Exception as error:  # noqa: BLE001 (see _undelivered)
        return _undelivered(error, evidence, files)
    detail = Detail(
        status=told.status or str(evidence["status"]),
        because=told.because or str(evidence["because"]),
        commit=told.commit,
        where=told.where,
        file=told.file,
        note=told.note,
    )
    return Done(Status.OK, detail, files)


def _undelivered(error: Exception, evidence: Values, files: Mapping[str, str]) -> Done:
    """A refused push, a full disk, a bug of ours: none of it makes less of what was proven."""
    if isinstance(error, KnowngoodError):
        said, hint = str(error), error.hint
    else:
        said, hint = f"{type(error).__name__}: {error}"[:500], ""
    detail = Detail(
        status=str(evidence.get("status", "")),
        because=str(evidence.get("because", "")),
        undelivered=said,
        why=f"not recorded in the matrix: {said}",
        hint=hint,
    )
    return Done(Status.OK, detail, files)


def _patiently(work: Work, deliver: Callable[[], Recorded]) -> Recorded:
    """Deliver; once more and again while the remote does not answer."""
    away: list[Unreachable] = []

    def once() -> Recorded | None:
        try:
            return deliver()
        except Unreachable as error:
            away[:] = [error]
            return None

    try:
        return work.ports.clock.wait_for(
            once, deadline=PATIENCE, what="the matrix's remote", cancel=work.cancel, every=5.0
        )
    except DeadlineExceeded:
        raise away[0] from None
