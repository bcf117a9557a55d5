"""A branch that takes only pull requests: the team's own command opens, and may merge, one for a branch of ours.

The command is theirs (`gh`, `glab`, `tea`, a script), so it has their environment. What a pull request is about goes to
it as words in place of `{branch}` and the like, and as KNOWNGOOD_ variables; no shell reads it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from knowngood.adapters.processes.git_environment import FOREIGN
from knowngood.model.errors import Inconclusive, UsageError

WORDS = ("repo", "base", "branch", "commit", "title", "body")
DEADLINE = 120.0
"""Seconds for a command: it asks a server once."""
_LOOK = 0.2
_MOST = 16 * 2**20
_TAIL = 2**16


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What is to be merged: `branch` into `base` of `repo` (a URL without a secret). `commit` is the branch's head."""

    repo: str
    base: str
    branch: str
    commit: str
    title: str
    body: str

    def words(self) -> dict[str, str]:
        """Each by its name."""
        return {name: str(getattr(self, name)) for name in WORDS}


def call(command: Sequence[str], request: PullRequest, folder: Path, *, deadline: float = DEADLINE) -> str:
    """Run a team's command on a pull request, in our clone; the last line that it printed, often an address.

    UsageError where it can't be started, Inconclusive where it fails or does not end: then nothing of it goes on.
    """
    words = request.words()
    filled = [_filled(word, words) for word in command]
    env = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    env |= {f"KNOWNGOOD_{name.upper()}": text for name, text in words.items()}
    where = f"gitops.pullRequests, {command[0]}"
    try:
        code, out, err = _run(filled, env, folder, deadline)
    except _Endless as error:
        raise Inconclusive(str(error), where=where, hint=_AGAIN) from error
    except OSError as error:
        hint = "install it, or name another command under gitops.pullRequests"
        raise UsageError(f"it can't be run: {error.strerror}", where=where, hint=hint) from error
    if code != 0:
        said = _last(err) or _last(out) or "no word"
        message = f"it ended with {code} for branch {request.branch}: {said}"
        raise Inconclusive(message, where=where, hint=_AGAIN)
    return _last(out)


class _Endless(Exception):
    """Why a command was ended."""


def _run(
    words: Sequence[str], env: Mapping[str, str], folder: Path, deadline: float
) -> tuple[int, bytes, bytes]:
    """How it ended, and the ends of what it printed: into files, which nobody waits for as for a pipe.

    What a command leaves behind may hold a pipe for ever. One that is ended is so with all that it has started: it
    could open, or merge, long after we said that it did not.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            return _ended(process, (out, err), deadline), _end(out), _end(err)
        except BaseException:
            _end_all(process)
            raise


def _ended(process: subprocess.Popen[bytes], printed: Sequence[IO[bytes]], deadline: float) -> int:
    """Its exit code; _Endless."""
    until = time.monotonic() + deadline
    while True:
        try:
            return process.wait(min(_LOOK, deadline))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= until:
                raise _Endless(f"it gave no answer in {deadline:.0f} s") from None
            if max(os.fstat(one.fileno()).st_size for one in printed) > _MOST:
                raise _Endless(f"it printed more than {_MOST // 2**20} MiB") from None


def _end_all(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end(printed: IO[bytes]) -> bytes:
    printed.seek(max(0, os.fstat(printed.fileno()).st_size - _TAIL))
    return printed.read()


_AGAIN = "the branch is pushed: open the pull request by hand, or mend the command; then go on"


def _filled(word: str, words: Mapping[str, str]) -> str:
    """A word in which only our own names are replaced, each once: a title may hold braces."""
    for name in WORDS:
        if word == f"{{{name}}}":
            return words[name]
    before, brace, rest = word.partition("{")
    name, end, after = rest.partition("}")
    if brace and end and name in words:
        return before + words[name] + _filled(after, words)
    return before + brace + (_filled(rest, words) if brace else "")


def _last(data: bytes) -> str:
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return "".join(c if c.isprintable() else "?" for c in lines[-1])[:300] if lines else ""
