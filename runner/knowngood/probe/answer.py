"""A payload's answer: `{ok, backend, reason, measured}`, of three kinds.

`ok` true: measured, and good. False: measured, and bad (`fail`). None: could not be measured, which says nothing for or
against the node (`inconclusive`): memory that others hold, a full /dev/shm, an image that the driver can't run.
"""

from __future__ import annotations

from typing import Any

Answer = dict[str, Any]
MOST_WORDS = 1500
"""Characters of a reason: it must fit into a pod's termination message beside the figures."""


def good(backend: str, measured: dict[str, Any]) -> Answer:
    """Measured, and as it should be."""
    return _answer(ok=True, backend=backend, reason="", measured=measured)


def bad(backend: str, reason: str, measured: dict[str, Any] | None = None) -> Answer:
    """Measured, and wrong: `reason` names the rank or the device."""
    return _answer(ok=False, backend=backend, reason=reason, measured=measured)


def unmeasured(backend: str, reason: str, measured: dict[str, Any] | None = None) -> Answer:
    """It could not be told, and why."""
    return _answer(ok=None, backend=backend, reason=reason, measured=measured)


def _answer(*, ok: bool | None, backend: str, reason: str, measured: dict[str, Any] | None) -> Answer:
    return {"ok": ok, "backend": backend, "reason": reason[:MOST_WORDS], "measured": measured or {}}
