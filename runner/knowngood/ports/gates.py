"""The judge: pytest in a process of its own."""

from __future__ import annotations

from typing import Protocol

from knowngood.model.context import JudgeRequest
from knowngood.model.evidence import GateSuite
from knowngood.model.verdict import Judgement
from knowngood.ports.cancel import Cancel


class Gates(Protocol):
    """Runs gates; what can't be trusted comes back as an inconclusive Judgement, never as an exception."""

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        """Judge; Interrupted when `cancel` is set."""
        ...

    def suite(self) -> GateSuite:
        """Which gates judge, for the evidence."""
        ...
