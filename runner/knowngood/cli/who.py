"""Who runs this program, for the journal, the checkpoint and the Lease."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping

from knowngood.cli.version import VERSION

LENGTH = 120
"""Characters of a name that are told: it stands in lines of a terminal."""


def who() -> str:
    """user@host; the user by number where the system knows no name for it, as in a container."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"[:LENGTH]


def runner() -> Mapping[str, str]:
    """Who, and with which version of knowngood, as the engine writes it down."""
    return {"who": who(), "version": VERSION}
