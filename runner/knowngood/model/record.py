"""The journal's records. A run's state is a pure fold over them (`model.state`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from knowngood.model.values import Values

MAX_RECORD_BYTES = 4096
"""At most one page a record, so that its write is not torn in practice; larger things are files by digest."""


class RecordType(StrEnum):
    """What a record says."""

    PLAN = "plan"  # record 0: freezes the plan (by digest)
    INTENT = "intent"  # before an effect
    OUTCOME = "outcome"  # after it
    RESUMED = "resumed"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"
    FINISHED = "finished"
    TAKEN_OVER = "taken-over"  # the state came from the checkpoint, not from this journal
    REOPENED = "reopened"  # a held run is rolled back by a human's word
    WENT_ON = "went-on"  # a held run goes on by a human's word


class Status(StrEnum):
    """How a step ended. Only OK lets the run go on."""

    OK = "ok"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    FOREIGN = "foreign"  # somebody else changed the same field, or took the node


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the journal. `time` is RFC 3339 UTC; `detail` JSON values; `files` name -> sha256."""

    seq: int
    type: RecordType
    time: str
    step: str = ""
    status: Status | None = None
    detail: Values = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
