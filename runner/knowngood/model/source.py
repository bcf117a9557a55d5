"""Where a fact comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact comes from: repository and path, page or issue; `date` as YYYY-MM-DD."""

    ref: str
    date: str = ""
    verified: bool = True
