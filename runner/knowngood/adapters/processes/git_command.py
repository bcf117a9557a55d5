"""Git commands by GitPython, hardened: no configuration of the user or the machine reaches our clone.

No prompt, no hook, no ext:: transport, an identity of our own, a deadline on each command. Of the user's only how
they sign commits is taken, where they do.
Credentials are a reference (`env:NAME`, `file:PATH`); an askpass script reads them, so they are in no
argument and no log.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from knowngood.adapters.processes.git_environment import (
    EMAIL,
    FOREIGN,
    NAME,
    identity,
    quiet_environment,
    signed_by,
    signing,
)
from knowngood.model.errors import Inconclusive, KnowngoodError, Unreachable, UsageError

# GitPython looks for git when it is imported; without this a missing git would be an ImportError.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import git

SIGNS = (
    "commit.gpgSign is true here: the key must be there without asking anybody, by an agent or without a passphrase "
    "(docs/runbooks/gitops.md, Signed commits); nothing was pushed"
)
_SIGNATURE = re.compile(r"gpg|passphrase|signingkey|failed to sign|load public key|secret key", re.IGNORECASE)
_TIMED_OUT = -9  # GitPython kills with SIGKILL

_AUTH = re.compile(
    r"authentication failed|could not read (username|password)|permission denied \(publickey|access denied"
    r"|invalid (username|credentials)|returned error: 40[13]|terminal prompts disabled"
    r"|host key verification failed",
    re.IGNORECASE,
)
_UNWRITABLE = re.compile(
    r"protected branch|hook declined|insufficient permission|unable to create temporary object"
    r"|read-only file system"
    r"|unpacker error|permission denied|denied to|not allowed to push|refusing to update checked out branch"
    r"|remote rejected",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"repository .* (does not exist|not found)|does not appear to be a git repository"
    r"|remote branch .* not found"
    r"|couldn't find remote ref|no such file or directory|transport '.*' not allowed",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Result:
    """One command's end: its exit status and what it said."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """stdout as text, without the blank end."""
        return self.out.decode("utf-8", "replace").strip()


def _verb(arguments: tuple[str, ...]) -> str:
    return arguments[2] if arguments[0] == "-C" else arguments[0]


class GitFailed(Inconclusive):
    """A git command failed; `explain` makes a better error of it where a remote was asked."""

    def __init__(self, arguments: tuple[str, ...], result: Result) -> None:
        said = _last_words(result)
        hint = SIGNS if _SIGNATURE.search(f"{result.err}\n{said}") else ""
        super().__init__(f"git {_verb(arguments)}: {said}", hint=hint)
        self.result = result


@dataclass(frozen=True, slots=True)
class Hints:
    """What to do next where a remote says no, by what it said no to."""

    credentials: str
    missing: str
    unwritable: str


GITOPS = Hints(
    credentials="gitops.credentials names where they are (env:NAME or file:PATH); are they valid?",
    missing="check gitops.repo and gitops.branch",
    unwritable="give knowngood's account the right to push to this branch; no undo is possible without it",
)


class GitCommand:
    """Runs git in one folder with one environment. `deadline` is seconds a command."""

    def __init__(self, folder: Path, env: Mapping[str, str], *, deadline: float = 120.0) -> None:
        for name in FOREIGN:
            os.environ.pop(name, None)
        self._git = git.cmd.Git(str(folder))
        self._env = dict(env)
        self._deadline = deadline

    def run(self, *arguments: str, ok: tuple[int, ...] = (0,), deadline: float | None = None) -> Result:
        """Run git. Raises GitFailed if it ends otherwise than in `ok`, Unreachable past the deadline."""
        limit = deadline or self._deadline
        try:
            code, out, err = self._git.execute(
                ["git", *arguments],
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=limit,
                env=self._env,
                start_new_session=True,  # a Ctrl-C on the terminal must not end a push half-way
            )
        except git.exc.GitCommandNotFound as error:
            raise UsageError("git was not found", hint="install git, or put it on PATH") from error
        result = Result(code, out if isinstance(out, bytes) else str(out).encode(), str(err))
        if code == _TIMED_OUT:
            verb = _verb(arguments)
            what = f"git {verb} gave no answer in {limit:.0f} s"
            if verb == "commit":  # it asks no remote and runs no hook: only a signature is waited for
                raise Inconclusive(what, hint=SIGNS)
            raise Unreachable(what, hint="is the remote up?")
        if code not in ok:
            raise GitFailed(arguments, result)
        return result


def private_environment(folder: Path, clone: Path, url: str, credentials: str) -> dict[str, str]:
    """The environment for our clone at `clone`; writes its configuration and askpass script into `folder`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = folder / "gitconfig"
    signs = signing()
    config.write_text(_CONFIG + _trusted(url) + _settings(signs))
    env = {
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "0",
        # Explicit, because the run's folder may lie inside another repository.
        "GIT_DIR": str(clone / ".git"),
        "GIT_WORK_TREE": str(clone),
        **quiet_environment(),
        **identity(),
        **signed_by(signs),
    }
    env.update(_credentials(folder, url, credentials))
    return env


def _settings(values: Mapping[str, str]) -> str:
    """Lines of a Git configuration."""
    lines = []
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        first, dot, rest = section.partition(".")
        quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines += [f"[{first}{f' {chr(34)}{rest}{chr(34)}' if dot else ''}]", f'\t{name} = "{quoted}"']
    return "".join(f"{line}\n" for line in lines)


def explain(error: GitFailed, url: str, doing: str, hints: Hints = GITOPS) -> KnowngoodError:
    """The user's error for a failed command on a remote: what, where, what to do next."""
    words = f"{error.result.err}\n{error.result.text}"
    where = without_secret(url)
    said = _last_words(error.result)
    if _AUTH.search(words):
        return UsageError(
            f"{doing}: the remote refused our credentials: {said}",
            hint=hints.credentials,
            where=where,
        )
    if _MISSING.search(words):
        return UsageError(f"{doing}: {said}", hint=hints.missing, where=where)
    if _UNWRITABLE.search(words):
        return UsageError(
            f"{doing}: the remote does not take our commits: {said}",
            hint=hints.unwritable,
            where=where,
        )
    return Unreachable(f"{doing}: {said}", hint="is the remote up and reachable from here?", where=where)


def without_secret(url: str) -> str:
    """`url` without user and password."""
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _last_words(result: Result) -> str:
    """The line of git's answer that says why, or the exit status."""
    lines = [line.strip() for line in f"{result.err}\n{result.text}".splitlines() if line.strip()]
    telling = [x for x in lines if re.match(r"(fatal|error|remote|!)", x) and "remote: Enumerating" not in x]
    chosen = (telling or lines or [f"exit status {result.code}"])[0]
    return re.sub(r"//[^/@\s]+@", "//", chosen)[:300]


def _credentials(folder: Path, url: str, reference: str) -> dict[str, str]:
    parts = urllib.parse.urlsplit(url)
    # The user's name in an https URL may be the token itself; ssh needs one to log in.
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise UsageError(
            "the repository's URL holds a user or a password",
            hint="take it out and name where it is: gitops.credentials: env:NAME or file:PATH",
            where=without_secret(url),
        )
    if not reference:
        return {}
    kind, _, name = reference.partition(":")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise UsageError("credentials are not sent over http", hint="use https", where=without_secret(url))
    if kind == "file" and (parts.scheme == "ssh" or (not parts.scheme and ":" in url)):
        key = _quoted(_readable(name))
        ssh = f"ssh -o BatchMode=yes -o ConnectTimeout=20 -o IdentitiesOnly=yes -i {key}"
        return {"GIT_SSH_COMMAND": ssh}
    if kind == "env" and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        if not os.environ.get(name):
            raise UsageError(
                f"the environment variable {name} is empty", hint=f"export {name} (gitops.credentials)"
            )
        read = f'printf "%s\\n" "${name}"'
    elif kind == "file" and name:
        read = f"head -n 1 {_quoted(_readable(name))}"
    else:
        raise UsageError(f"gitops.credentials: {kind}: is not known", hint="use env:NAME or file:PATH")
    askpass = folder / "askpass"
    askpass.write_text(_ASKPASS.replace("READ", read))
    askpass.chmod(0o700)
    return {"GIT_ASKPASS": str(askpass)}


def _trusted(url: str) -> str:
    """The repository that the cluster file names may belong to another account of this machine."""
    path = url.removeprefix("file://")
    if not path.startswith("/") or any(c in path for c in '"\\\n'):
        return ""
    return f'[safe]\n\tdirectory = "{path}"\n\tdirectory = "{path}/.git"\n'


def _readable(name: str) -> Path:
    path = Path(name).expanduser().absolute()
    if not os.access(path, os.R_OK):
        raise UsageError(
            "gitops.credentials: the file can't be read", where=str(path), hint="check path and mode"
        )
    return path


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


_ASKPASS = """#!/bin/sh
# Answers git from where the cluster file says the credentials are: the value is in no process's arguments.
case "$1" in
  Username*) echo knowngood ;;
  *) READ ;;
esac
"""

_CONFIG = f"""[user]
\tname = {NAME}
\temail = {EMAIL}
[core]
\tsymlinks = false
\tautocrlf = false
\tfsmonitor = false
\tquotePath = false
[commit]
\tgpgSign = false
[protocol "ext"]
\tallow = never
[credential]
\thelper =
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
[init]
\tdefaultBranch = main
[push]
\tfollowTags = false
[submodule]
\trecurse = false
"""
