"""A payload's answer: `{ok, backend, reason, measured}`, of three kinds.

`ok` true: measured, and good. False: measured, and bad (`fail`). None: could not be measured, which says nothing for or
against the node (`inconclusive`): memory that others hold, a full /dev/shm, an image that the driver can't run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from knowngood.probe.values import Object

Answer = dict[str, Any]
LONGEST = 1024 * 1024
"""Bytes of one answer."""
MOST_WORDS = 1500
"""Characters of a reason: it must fit into a pod's termination message beside the figures."""


def good(backend: str, measured: Object) -> Answer:
    """Measured, and as it should be."""
    return _answer(ok=True, backend=backend, reason="", measured=measured)


def bad(backend: str, reason: str, measured: Object | None = None) -> Answer:
    """Measured, and wrong: `reason` names the rank or the device."""
    return _answer(ok=False, backend=backend, reason=reason, measured=measured)


def unmeasured(backend: str, reason: str, measured: Object | None = None) -> Answer:
    """It could not be told, and why."""
    return _answer(ok=None, backend=backend, reason=reason, measured=measured)


def _answer(*, ok: bool | None, backend: str, reason: str, measured: Object | None) -> Answer:
    return {"ok": ok, "backend": backend, "reason": reason[:MOST_WORDS], "measured": measured or {}}


def checked(found: object) -> Answer:
    """What a payload returned as a Result that can be written as JSON; unmeasured where it is none.

    JSON has no NaN and no infinity: such a figure is told by its name, so that it never passes for a number.
    """
    if not isinstance(found, dict) or found.get("ok", "") not in (True, False, None):
        return unmeasured("", f"the payload gave no answer but {str(found)[:80]!a}")
    if not isinstance(found.get("measured"), dict) or not isinstance(found["ok"], (bool, type(None))):
        return unmeasured("", "the payload's answer has no figures")
    told = {
        "ok": found["ok"],
        "backend": str(found.get("backend", "")),
        "reason": str(found.get("reason", "")),
        "measured": _plain(found["measured"]),
    }
    try:
        text = json.dumps(told, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return unmeasured("", f"the payload's answer can't be written: {error}")
    if len(text) > LONGEST:
        return unmeasured("", f"the payload's answer has {len(text)} bytes, more than {LONGEST}")
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; 0 of no values."""
    ordered = sorted(values) or [0.0]
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 3)
