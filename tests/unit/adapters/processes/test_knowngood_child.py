"""A `knowngood` of its own: its end, its words, and a kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from knowngood.adapters.processes.knowngood_child import KnowngoodChild
from knowngood.model.errors import ExitCode


def test_its_exit_code_and_its_last_words(tmp_path: Path) -> None:
    child = KnowngoodChild(
        ["plan", "nowhere", "--to", "nothing", "--matrix", str(tmp_path)], tmp_path / "logs"
    )
    assert child.wait() == ExitCode.USAGE
    assert child.last_words()
    assert child.result() == {}


def test_one_that_is_killed_was_interrupted(tmp_path: Path) -> None:
    """A signal is no exit code of ours, and nothing that is not known may count as done."""
    child = KnowngoodChild(["plan", "nowhere", "--to", "nothing"], tmp_path)
    os.kill(child._process.pid, signal.SIGKILL)
    assert child.wait() == ExitCode.INTERRUPTED
