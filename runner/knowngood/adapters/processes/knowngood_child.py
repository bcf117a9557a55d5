"""Another `knowngood`, in a process and a session of its own: a Ctrl-C reaches it only through us, and only once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from knowngood.model.errors import ExitCode, UsageError
from knowngood.model.values import Object

PROGRAM = (sys.executable, "-m", "knowngood")
LAST = 4096
"""Bytes at a log's end among which its last line is looked for."""


class KnowngoodChild:
    """One command; its result goes to `folder`/result.json, what it says to `folder`/log.txt."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.log = folder / "log.txt"
        self._result = folder / "result.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._result.open("wb") as out, self.log.open("ab") as said:
                self._process = subprocess.Popen(
                    [*PROGRAM, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=said,
                    start_new_session=True,
                )
        except OSError as error:
            raise UsageError(f"a run can't be started: {error}", where=str(folder)) from error

    def wait(self) -> int:
        """Its exit code, once it has ended; of one that was killed that of an interrupted run, which it is."""
        code = self._process.wait()
        return code if code in list(ExitCode) else int(ExitCode.INTERRUPTED)

    def interrupt(self) -> None:
        """As Ctrl-C: it ends its open step and can be resumed."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def result(self) -> Object:
        """What it printed, empty where that is no JSON."""
        try:
            found = json.loads(self._result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def last_words(self) -> str:
        """The last line that it said, "" where it said nothing."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - LAST))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
