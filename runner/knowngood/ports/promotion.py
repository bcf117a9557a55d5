"""Where proof goes: evidence and the release's status, as a commit in the matrix's repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from knowngood.model.evidence import Appraisal


class Promotion(Protocol):
    """The matrix's Git repository."""

    def appraise(self, evidence: Mapping[str, Any], now: str) -> Appraisal:
        """What evidence (JSON values) is worth by the matrix as it is now: see `planner.status`."""
        ...

    def promote(self, release: str, status: str, cluster: str, evidence: Mapping[str, Any]) -> str:
        """Write the evidence file, set the release's status (never lowering it), pin the cluster's release.

        `status` "refused" leaves the status alone: the cluster is where it is all the same. One commit; idempotent
        by the run's trailer; returns the commit.
        """
        ...

    def record_failure(self, release: str, cluster: str, evidence: Mapping[str, Any]) -> str:
        """Write evidence of a failed run; statuses stay as they are. Idempotent; returns the commit."""
        ...
