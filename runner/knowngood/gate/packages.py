"""Which package a running version is of: some kernel modules report another version than their package has. Pure."""

from __future__ import annotations

from knowngood.model.context import JudgeRequest
from knowngood.planner.version import TEXT, runs


def package_of(component: str, running: str, judgement: JudgeRequest) -> tuple[str, bool]:
    """The package's version, and whether it is one that is known. Of a component without a table each one is."""
    told = judgement.reported.get(component, {})
    scheme, package = judgement.schemes.get(component, TEXT), told.get(running, running)
    return package, not told or any(runs(scheme, known, package) for known in told.values())
