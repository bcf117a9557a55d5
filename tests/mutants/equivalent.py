"""Mutants that change nothing that a verdict hangs on, by name, and why."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {}
