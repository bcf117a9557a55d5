"""Where proof goes: evidence and the release's status, as a commit in the matrix's repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from knowngood.model.evidence import Appraisal
from knowngood.model.values import Values


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record that is where it belongs: as `commit`, or as `file`. `where` says it in words.

    `status` and `because` are what the evidence counts as in it; `note` is what a reader must hear besides.
    """

    commit: str
    where: str = ""
    file: str = ""
    status: str = ""
    because: str = ""
    note: str = ""


class Promotion(Protocol):
    """The matrix's Git repository. What can't be written is an error, and nothing of it is left behind."""

    def ready(self, release: str, cluster: str) -> str:
        """Whether a record of this release on this cluster could be written now, as far as can be told.

        Returns what remains unknown, "" for nothing. UsageError where it would be refused, with what to do;
        Unreachable where the remote does not answer.
        """
        ...

    def appraise(self, evidence: Values, now: str) -> Appraisal:
        """What evidence (JSON values) is worth by the matrix as it is now: see `planner.status`."""
        ...

    def promote(self, release: str, status: str, cluster: str, evidence: Values) -> Recorded:
        """Write the evidence file, set the release's status (never lowering it), pin the cluster's release.

        `status` "refused" leaves the status alone: the cluster is where it is all the same. One commit; idempotent
        by the run's trailer. Where the matrix has moved on since it was appraised, what it says now decides.
        """
        ...

    def record_failure(self, release: str, cluster: str, evidence: Values) -> Recorded:
        """Write evidence of a failed run; statuses stay as they are. Idempotent."""
        ...
