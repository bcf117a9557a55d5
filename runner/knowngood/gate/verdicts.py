"""How a gate says its verdict, and where the words and figures go until the test ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from _pytest.outcomes import Failed  # pytest.fail.Exception, by a name that can be subclassed

from knowngood.model.parts import Waiver

MAX_MEASURED_BYTES = 16 * 1024


class GateFailed(Failed):
    """The gate said fail. No `Exception`, as all of pytest's outcomes: a gate's own `except` can't swallow it."""


class GateInconclusive(Failed):
    """The gate said that it could not be told."""


@dataclass(slots=True)
class Notes:
    """What one running test has said so far."""

    reason: str = ""
    backend: str = ""
    measured: dict[str, Any] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    waived: list[dict[str, str]] = field(default_factory=list)


_current: list[Notes] = [Notes()]


def begin(waivers: Sequence[Waiver] = ()) -> Notes:
    """Start the notes of the next test (the plugin's business). `waivers`: what it may find, and not count."""
    _current[0] = Notes(waivers=tuple(waivers))
    return _current[0]


class Judge:
    """The verdicts a gate can say."""

    def fail(self, reason: str) -> NoReturn:
        """This is wrong: the line stops."""
        __tracebackhide__ = True
        raise GateFailed(reason, pytrace=False)

    def inconclusive(self, reason: str) -> NoReturn:
        """It can't be told: the line stops too."""
        __tracebackhide__ = True
        raise GateInconclusive(reason, pytrace=False)

    def unwaived(self, found: Iterable[tuple[str, str]]) -> list[str]:
        """The words of what was found, by part, without what the cluster file waives: that is kept beside the figures.

        A waived part waives what belongs to it: `0000:18:00.0` also `0000:18:00.0/1`, the port of that NIC.
        """
        notes, left = _current[0], []
        for part, words in found:
            waiver = next((w for w in notes.waivers if part and f"{part}/".startswith(f"{w.part}/")), None)
            if waiver is None:
                left.append(words)
            else:
                notes.waived.append({"part": waiver.part, "found": words[:200], **waiver.said})
        return left

    def note(self, reason: str) -> None:
        """Words that go with a pass."""
        _current[0].reason = reason


def measure(**figures: Any) -> None:
    """Keep figures (JSON values, units in the key's suffix), at most 16 KiB a test."""
    notes = _current[0]
    notes.measured.update(figures)
    if len(json.dumps(notes.measured)) > MAX_MEASURED_BYTES:
        raise ValueError(f"more than {MAX_MEASURED_BYTES} bytes measured")


def ran_on(backend: str) -> None:
    """What a smoke payload ran on: `cuda` or `reference`."""
    _current[0].backend = backend


judge = Judge()

Figures = Mapping[str, Any]
