"""Numbered rules over all files of a matrix. One module a subject; importing it registers its rules."""

from __future__ import annotations

from knowngood.matrix.lint import clusters, files, graphs, releases
from knowngood.matrix.lint.registry import RULES, LintRule, problems

__all__ = ["RULES", "LintRule", "clusters", "files", "graphs", "problems", "releases"]
