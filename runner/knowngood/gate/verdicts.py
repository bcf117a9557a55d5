"""How a gate says its verdict, and where the words and figures go until the test ends."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from _pytest.outcomes import Failed  # pytest.fail.Exception, by a name that can be subclassed

from knowngood.model.parts import Out, is_place, out, short

if TYPE_CHECKING:  # the plugin loads this file in every pytest of its users
    from knowngood.model.parts import Waiver

MAX_MEASURED_BYTES = 16 * 1024
"""Of one test, in its line of the events; more goes to a file, which the line names by its digest."""
MAX_LARGE_BYTES = 256 * 1024


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
    waived: dict[str, dict[str, str]] = field(default_factory=dict)


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
        notes, left, day = _current[0], [], today()
        for part, words in found:
            name = f"{short(part)}/"
            waiver = next((w for w in notes.waivers if part and name.startswith(f"{short(w.part)}/")), None)
            if waiver is None:
                left.append(words)
            elif waiver.until < day:
                left.append(f"{words} (waived until {waiver.until})")
            else:
                notes.waived[waiver.part] = {
                    "found": words[:200],
                    "reason": waiver.reason,
                    "until": waiver.until,
                }
        return left

    def waived_out(self, there: Collection[str], homes: Mapping[str, str] | None = None) -> Out:
        """Which waived parts are not there (`parts.out`): a known bad one may have been taken out. They are noted."""
        gone = absent(_current[0].waivers, there)
        self.unwaived((w.part, "it is not there") for w in gone)
        return out((w.part for w in gone), there, homes)

    def nowhere(self, known: Iterable[str], key: str) -> list[str]:
        """Words for each waiver of today by a place that nobody knows: mistyped, it would excuse another part.

        `known`: names of what is there, was there, or should be; `key`: what of the profile tells places.
        """
        places, day = {short(name).partition("/")[0] for name in known}, today()
        named = [(w, short(w.part).partition("/")[0]) for w in _current[0].waivers if w.until >= day]
        return [
            f"{w.where} waives {w.part}, a place that node, baseline and the profile's {key} do not know:"
            " correct it, or name it there"
            for w, place in named
            if is_place(place) and place not in places
        ]

    def note(self, reason: str) -> None:
        """Words that go with a pass."""
        _current[0].reason = reason


def today() -> str:
    """The day in UTC, by which a waiver ends, as it writes days."""
    return datetime.now(UTC).date().isoformat()


def absent(waivers: Iterable[Waiver], there: Collection[str]) -> list[Waiver]:
    """The waivers that count today of parts that are not there."""
    day, here = today(), {short(name) for name in there}
    return [w for w in waivers if w.until >= day and short(w.part) not in here]


def measure(**figures: Any) -> None:
    """Keep figures (JSON values, units in the key's suffix), at most 256 KiB a test; each node has its own."""
    notes = _current[0]
    notes.measured.update(figures)
    if len(json.dumps(notes.measured)) > MAX_LARGE_BYTES:
        raise ValueError(f"more than {MAX_LARGE_BYTES} bytes measured")


def ran_on(backend: str) -> None:
    """What a smoke payload ran on: `cuda` or `reference`."""
    _current[0].backend = backend


judge = Judge()

Figures = Mapping[str, Any]


def some(words: Sequence[str], most: int = 4) -> str:
    """The first of what is wrong, and how much more there is: a reason is read on a phone."""
    more = f"; and {len(words) - most} more" if len(words) > most else ""
    return "; ".join(words[:most]) + more
