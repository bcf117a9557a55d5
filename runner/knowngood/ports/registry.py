"""Whether images can still be pulled: without the present release's there is no way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Images:
    """Of the images asked for: those that are gone, and those of which nobody could tell; each with why."""

    missing: Mapping[str, str] = field(default_factory=dict)
    unproven: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """The registry, or mirror, that the nodes pull from."""

    def look(self, images: Sequence[str]) -> Images:
        """Look for images, named as the nodes pull them. Raises Unreachable."""
        ...
