"""A branch that takes only pull requests: the team's own command opens, and may merge, one for a branch of ours.

The command is theirs (`gh`, `glab`, `tea`, a script), so it has their environment. What a pull request is about goes to
it as words in place of `{branch}` and the like, and as KNOWNGOOD_ variables; no shell reads it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowngood.adapters.processes.git_environment import FOREIGN
from knowngood.model.errors import Inconclusive, UsageError

WORDS = ("repo", "base", "branch", "commit", "title", "body")
DEADLINE = 120.0
"""Seconds for a command: it asks a server once."""


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

    UsageError where it can't be started, Inconclusive where it fails or does not end.
    """
    words = request.words()
    filled = [_filled(word, words) for word in command]
    env = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    env |= {f"KNOWNGOOD_{name.upper()}": text for name, text in words.items()}
    where = f"gitops.pullRequests, {command[0]}"
    try:
        done = subprocess.run(
            filled,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise Inconclusive(f"it gave no answer in {deadline:.0f} s", where=where, hint=_AGAIN) from error
    except OSError as error:
        hint = "install it, or name another command under gitops.pullRequests"
        raise UsageError(f"it can't be run: {error.strerror}", where=where, hint=hint) from error
    if done.returncode != 0:
        said = _last(done.stderr) or _last(done.stdout) or "no word"
        message = f"it ended with {done.returncode} for branch {request.branch}: {said}"
        raise Inconclusive(message, where=where, hint=_AGAIN)
    return _last(done.stdout)


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
