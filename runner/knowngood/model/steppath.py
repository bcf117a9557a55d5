"""A step's path: its key in the journal, and where it stands in the run.

`observe` is a step of the whole run, `hop-1/observe` one of a hop, `hop-1/ring-0/batch-2/drain` one of a ring,
`hop-1/ring-0/undo/apply` one of its way back, `hop-1/ring-0/hold/look` one of settling a ring that is held.
`resume-1/reclaim` is of the whole run after an interruption, `on-1/hold` where a run that ended held goes on.
"""

from __future__ import annotations

import functools
import re

_UNDO = re.compile(r"undo(-\d+)?")
_BEFORE = re.compile(r"before-\d+")
_RESUME = re.compile(r"(resume|on)-\d+")


class StepPath(str):
    """Words joined by slashes; the last is the verb. Journals and checkpoints hold it as plain text."""

    __slots__ = ()

    @property
    def verb(self) -> str:
        """The last word."""
        return self.rpartition("/")[2]

    @property
    def parent(self) -> StepPath:
        """The path without its last word; "" for a step of the whole run."""
        return StepPath(self.rpartition("/")[0])

    @property
    def hop(self) -> str:
        """The name of the hop that it is a step of, "" for one of the whole run."""
        first, slash, _ = self.partition("/")
        return "" if not slash or _UNDO.fullmatch(first) or _RESUME.fullmatch(first) else first

    @property
    def ring(self) -> str:
        """The name of the ring that it is a step of, "" for one of the whole run or of a hop."""
        words = self.split("/")
        return words[1] if self.hop and len(words) >= 3 else ""

    @property
    def part(self) -> str:
        """What of the ring: `batch-2`, `again`, `undo`, `hold`; "" where it is of all of it."""
        words = self.split("/")
        return words[2] if self.ring and len(words) >= 4 else ""

    @property
    def batch(self) -> StepPath:
        """The place of the batch that it is a step of, of one that is tried once more, too; else that of no step."""
        tried = self.part.startswith("batch-") or self.part.partition("-")[0] == "again"
        return StepPath("/".join(self.split("/")[:3])) if tried else StepPath()

    @property
    def undo(self) -> str:
        """The name of the way back that it is a step of, "" for one of the way forward."""
        return _undo(self)

    @property
    def is_undo(self) -> bool:
        """Whether it is a step of a way back."""
        return bool(self.undo)

    @property
    def is_hold(self) -> bool:
        """Whether it is a step of settling a ring that is held."""
        return self.part == "hold"

    @property
    def is_before(self) -> bool:
        """Whether it is a step of a batch that is done once more, as it was done before."""
        return bool(_BEFORE.fullmatch("/".join(self.split("/")[3:4])))

    def before(self, number: int) -> StepPath:
        """What a batch's step is called once that batch is done anew: `hop-1/ring-0/batch-2/before-1/drain`."""
        words = self.split("/")
        return StepPath("/".join([*words[:3], f"before-{number}", *words[3:]]))

    def child(self, *words: str) -> StepPath:
        """The path with more words."""
        return StepPath("/".join([self, *words] if self else words))

    def sibling(self, verb: str) -> StepPath:
        """The step of another verb at the same place."""
        return self.parent.child(verb)

    def within(self, place: str) -> bool:
        """Whether it is a step of this place or of a part of it."""
        return self.startswith(f"{place}/")


NOWHERE = StepPath()
"""The path of no step."""


@functools.lru_cache(maxsize=4096)
def _undo(path: str) -> str:
    """A way back is named after its ring, and the proof of the whole after itself: a ring may be called `undo`."""
    words = path.split("/")
    places = (words[:1] if len(words) == 2 else []) + (words[2:3] if len(words) > 3 else [])
    return next((word for word in places if _UNDO.fullmatch(word)), "")
