"""Whether images can still be pulled: without the present release's there is no way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

PRESENT, TARGET = "present", "target"


@dataclass(frozen=True, slots=True)
class Images:
    """Of the images asked for: those that are gone, and those of which nobody could tell; each with why."""

    missing: Mapping[str, str] = field(default_factory=dict)
    unproven: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Looked:
    """One release's images: what was asked for, the answer, and what could not even be named.

    `unasked`: components that bring images which nothing in the cluster names, as an operator's bundle does.
    """

    asked: tuple[str, ...]
    answer: Images
    untold: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


class Registry(Protocol):
    """The registry, or mirror, that the nodes pull from."""

    def look(
        self, nodes: Sequence[str], running: Sequence[str], versions: Mapping[str, str]
    ) -> Mapping[str, Looked]:
        """Look for images that nodes pull: PRESENT, those that run there, and TARGET, those of a release's versions.

        `running`: images that are known to run, named as the nodes pull them. A part that is not there was not asked
        for. Raises Unreachable.
        """
        ...
