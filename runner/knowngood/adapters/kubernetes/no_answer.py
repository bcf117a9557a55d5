"""Why nobody answered, in words: what a library calls its errors helps nobody at night."""

from __future__ import annotations

import socket

from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
)

WORDS: tuple[tuple[type[Exception], str], ...] = (
    (NameResolutionError, "its name can't be resolved"),
    (NewConnectionError, "no connection"),
    (ConnectTimeoutError, "no connection within the time-out"),
    (ReadTimeoutError, "no answer within the time-out"),
    (ProxyError, "the proxy does not reach it"),
    (ProtocolError, "the connection broke off"),
)
"""The first that fits."""


def said(error: Exception) -> str:
    """The words, with what the system says; the error's own name where there is neither."""
    words = next((text for kind, text in WORDS if isinstance(error, kind)), "")
    return ": ".join(filter(None, (words, _system(error)))) or type(error).__name__


def _system(error: BaseException) -> str:
    """What the system said beneath, "" where that is not told: `Connection refused`."""
    beneath: BaseException | None = error
    while beneath is not None:
        if isinstance(beneath, OSError) and not isinstance(beneath, socket.gaierror) and beneath.strerror:
            return beneath.strerror
        original = getattr(beneath, "original_error", None)  # a ProxyError's
        beneath = original if isinstance(original, BaseException) else beneath.__cause__
    return ""
