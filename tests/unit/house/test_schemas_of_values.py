"""The published schemas of plain values are as their types: what is printed changes only where somebody looked."""

from __future__ import annotations

import pytest
from tests.schemas import LISTED, MADE, path, written


@pytest.mark.parametrize("name", [*MADE, *LISTED])
def test_those_of_plain_values_are_as_their_types(name: str) -> None:
    """Where this fails: python -m tests.schemas, and look whether the number must be raised (docs/interfaces.md)."""
    assert path(name).read_text(encoding="utf-8") == written(name), "python -m tests.schemas writes it anew"
