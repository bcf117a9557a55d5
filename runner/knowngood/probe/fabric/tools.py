"""Running the tools: several at once, each with its own deadline, its output kept, nothing of them left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO

MOST = 256 * 1024
"""Bytes that are read of a tool's output: its end, where the figures are."""
LOOK = 0.05
GRACE = 2.0


class Missing(Exception):
    """The tool is not in this image, or can't be started."""


class Tool:
    """One run of a tool."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start it; Missing where it can't be."""
        program = shutil.which(argv[0])
        if program is None:
            raise Missing(f"{argv[0]} is not in this image")
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the tool)
        try:
            self.process = subprocess.Popen(
                [program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        except OSError as error:
            self._output.close()
            raise Missing(f"{argv[0]} can't be started: {error}") from error

    def text(self) -> str:
        """What it has printed so far, the end of it."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), MOST, max(0, size - MOST)).decode("utf-8", "replace")

    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    @property
    def code(self) -> int:
        """Its exit code, negative for a signal."""
        return self.process.returncode if self.process.returncode is not None else -int(signal.SIGKILL)

    def end(self) -> None:
        """End it and what it started, if it still runs, and let go of its output."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE)
                break
        self._output.close()


def ended(tools: Sequence[Tool], until: float) -> bool:
    """Wait for all of them, at most until then; whether all have ended."""
    while not all(tool.over() for tool in tools):
        if time.monotonic() > until:
            return False
        time.sleep(LOOK)
    return True
