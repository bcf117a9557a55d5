"""How the probes of two nodes find each other and keep in step: one TCP connection, a JSON object a line.

They meet at the name that the headless Service gives to the first one's pod. What is said there starts tools and
tells figures; a launch that one asks of the other is put together by the other itself (see nccl.py).
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

LONGEST = 1 << 20
"""Bytes of one line."""
AGAIN = 0.25
"""Seconds between two tries to reach a pod that has no address yet, or does not listen yet."""
HELLO = 10.0
"""Seconds for a partner's first word, once it is connected."""


class NotMet(Exception):
    """The partner did not come, or is not the one that was expected; the message says how far it got."""


class Lost(Exception):
    """The partner said nothing in time, or went away."""


class Line:
    """A connection to the partner."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def say(self, **words: Any) -> None:
        """Send one object."""
        try:
            self._connection.sendall(json.dumps(words).encode() + b"\n")
        except OSError as error:
            raise Lost(f"it went away: {error}") from error

    def hear(self, kind: str, patience: float) -> dict[str, Any]:
        """The next object, which must be of this kind; Lost where it does not come within `patience` seconds."""
        until = time.monotonic() + patience
        while b"\n" not in self._rest:
            self._connection.settimeout(max(until - time.monotonic(), 0.01))
            try:
                piece = self._connection.recv(65536)
            except socket.timeout as error:  # noqa: UP041 (TimeoutError only from Python 3.10)
                raise Lost(f"it said nothing of {kind} for {patience:.0f} s") from error
            except OSError as error:
                raise Lost(f"it went away: {error}") from error
            if not piece:
                raise Lost(f"it went away before it said anything of {kind}")
            self._rest += piece
            if len(self._rest) > LONGEST:
                raise Lost(f"it said more than {LONGEST} bytes")
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Lost("it said something that can't be read") from error
        if not isinstance(found, dict) or found.get("kind") != kind:
            raise Lost(f"it did not speak of {kind}")
        return found

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextlib.contextmanager
def host(name: str, port: int, who: str, until: float) -> Iterator[Line]:
    """Wait at our own name for the partner that says that it is `who`; others are sent away."""
    with _listening(name, port, until) as door:
        line = _awaited(door, who, until)
    try:
        yield line
    finally:
        line.close()


def _listening(name: str, port: int, until: float) -> socket.socket:
    while True:
        try:
            return _door(name, port)
        except OSError as error:
            if time.monotonic() > until:
                raise NotMet(f"this pod's own name {name} is no address of it: {error}") from error
        time.sleep(AGAIN)


def _door(name: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
    door = socket.socket(family, kind, protocol)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen()
    except OSError:
        door.close()
        raise
    return door


def _awaited(door: socket.socket, who: str, until: float) -> Line:
    while True:
        door.settimeout(max(until - time.monotonic(), 0.01))
        try:
            connection, _ = door.accept()
        except socket.timeout as error:  # noqa: UP041
            raise NotMet("it did not come") from error
        except OSError as error:
            raise NotMet(f"it could not come: {error}") from error
        line = Line(connection)
        try:
            if line.hear("hello", HELLO).get("who") == who:
                line.say(kind="welcome")
                return line
        except Lost:
            pass
        line.close()


@contextlib.contextmanager
def visit(name: str, port: int, who: str, until: float) -> Iterator[Line]:
    """Go to the partner at its name and say that we are `who`."""
    line = _reached(name, port, who, until)
    try:
        yield line
    finally:
        line.close()


def _reached(name: str, port: int, who: str, until: float) -> Line:
    trouble = "it was not tried"
    while time.monotonic() < until:
        try:
            connection = socket.create_connection((name, port), timeout=max(until - time.monotonic(), 0.01))
        except OSError as error:
            trouble = str(error)
            time.sleep(AGAIN)
            continue
        line = Line(connection)
        try:
            line.say(kind="hello", who=who)
            line.hear("welcome", max(until - time.monotonic(), 0.01))
        except Lost as error:
            line.close()
            trouble = str(error)
            continue
        return line
    raise NotMet(f"it can't be reached at {name}: {trouble}")
