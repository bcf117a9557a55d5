"""Short-lived news for observers (console, logs). Never in the journal, never decided upon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """`what` happened to `subject` (a step, node or gate) inside step `step`, in one line of `text`."""

    step: str
    what: str
    subject: str
    text: str
