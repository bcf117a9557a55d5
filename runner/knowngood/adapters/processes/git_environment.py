"""What git is told by its environment, and the one question that most commands ask: which revision is this.

GitPython takes long to import and is not needed for that, so neither is it imported here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

NAME = "knowngood"
EMAIL = "knowngood@localhost.invalid"
# A hook or a CI step that calls us sets these; they would lead git to another repository than the one named.
FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG_PARAMETERS",
    "GIT_EXTERNAL_DIFF",
)
DEADLINE = 60.0  # seconds


def quiet_environment() -> dict[str, str]:
    """No prompt, no editor, no trace of the wire."""
    traces = ("GIT_TRACE", "GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_TRACE2", "GIT_TRACE2_EVENT")
    return {
        **dict.fromkeys(traces, "0"),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    }


def identity() -> dict[str, str]:
    """Who our commits say wrote them."""
    return {
        "GIT_AUTHOR_NAME": NAME,
        "GIT_AUTHOR_EMAIL": EMAIL,
        "GIT_COMMITTER_NAME": NAME,
        "GIT_COMMITTER_EMAIL": EMAIL,
    }


_SIGNING = re.compile(
    r"(commit\.gpgsign|user\.signingkey|gpg\.(format|program|ssh\.\w+|x509\.\w+|openpgp\.\w+))"
)


def signing(folder: Path | None = None) -> dict[str, str]:
    """What says how this user's Git signs commits (in a folder, else here), empty where it does not; and their name.

    A host shows a signature as verified only where the committer is the one whose key it is.
    """
    where = folder or Path.cwd()
    if _asked(where, "config", "--get", "--type=bool", "commit.gpgsign") != "true":
        return {}
    said = (_asked(where, "config", "--list", "--includes", "-z") or "").split("\0")
    entries = dict(line.partition("\n")[::2] for line in said if line)
    found = {k: v for k, v in entries.items() if _SIGNING.fullmatch(k)}
    key = found.get("user.signingkey", "")
    if key.startswith("~"):
        found["user.signingkey"] = str(Path(key).expanduser())
    who = {k: entries[k] for k in ("user.name", "user.email") if entries.get(k)}
    return {**found, **who, "commit.gpgsign": "true"}


def signed_by(signs: Mapping[str, str]) -> dict[str, str]:
    """The committer whose key it is, and where gpg keeps it: a clone of ours has a home of its own."""
    if not signs:
        return {}
    who = {"GIT_COMMITTER_NAME": signs.get("user.name"), "GIT_COMMITTER_EMAIL": signs.get("user.email")}
    keys = os.environ.get("GNUPGHOME") or str(Path.home() / ".gnupg")
    return {**{k: v for k, v in who.items() if v}, "GNUPGHOME": keys}


def matrix_revision(matrix: Path) -> tuple[str, bool]:
    """The commit of the repository that holds `matrix`, and whether the matrix has uncommitted changes.

    ("", False) for a plain folder, and where there is no git.
    """
    commit = _asked(matrix, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return "", False
    return commit, bool(_asked(matrix, "status", "--porcelain", "--", str(matrix.resolve())))


def _asked(folder: Path, *arguments: str) -> str | None:
    """What git answers in a folder, None where it has no answer."""
    env = {k: v for k, v in os.environ.items() if k not in FOREIGN} | quiet_environment()
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            env=env,
            timeout=DEADLINE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None
