"""Numbered rules over all files of a matrix. One module a subject; importing it registers its rules."""

from __future__ import annotations

from knowngood.matrix.lint import (
    clusters,
    edges,
    evidence,
    files,
    firmware,
    graphs,
    history,
    limits,
    nodes,
    pools,
    releases,
    stages,
    traits,
)
from knowngood.matrix.lint.registry import RULES, Context, LintRule, problems

__all__ = [
    "RULES",
    "Context",
    "LintRule",
    "clusters",
    "edges",
    "evidence",
    "files",
    "firmware",
    "graphs",
    "history",
    "limits",
    "nodes",
    "pools",
    "problems",
    "releases",
    "stages",
    "traits",
]
