"""The user's own way to the remotes of a repository of theirs, for a clone of ours, without the rest of their Git.

Of their configuration only what says how a remote is reached comes along (a list), by environment: no hook, alias,
signature, template or push setting, and no secret in a file of ours or in an argument.
"""

from __future__ import annotations

import os
import re
import shlex
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from knowngood.adapters.processes.git_command import GitCommand, Hints, private_environment
from knowngood.adapters.processes.git_environment import identity, quiet_environment, signed_by, signing

HINTS = Hints(
    credentials="the matrix is pushed with your own Git credentials: does git push work here?",
    missing="does that remote, and that branch, exist? git remote -v",
    unwritable="--record branch=NAME writes to a branch that takes pushes, --record file writes a patch",
)
BY_HAND = Hints(
    credentials="it is pushed with your own Git credentials: does git push work here?",
    missing="does that remote, and that branch, exist? git remote -v",
    unwritable="git push REMOTE COMMIT:refs/heads/BRANCH takes it to another branch, for a pull request",
)
_REACHES = re.compile(r"(credential|http|url|ssh|safe)\..+|core\.gitproxy")
_OF_A_REMOTE = ("proxy", "proxyauthmethod", "receivepack", "uploadpack")

Entry = tuple[str, str]
"""A key of Git's configuration and a value."""


class UsersGit:
    """What Git is told in the user's repository at `folder` (a folder in it is enough)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        done = GitCommand(folder, quiet_environment(), deadline=60.0).run(
            "config", "--list", "--includes", "-z", ok=(0, 1, 128)
        )
        self._entries = [_entry(e) for e in done.out.decode("utf-8", "replace").split("\0") if e]

    def value(self, key: str) -> str:
        """The value that counts, "" where there is none."""
        return next((v for k, v in reversed(self._entries) if k == key), "")

    def remotes(self) -> dict[str, str]:
        """Remote -> URL without a secret."""
        found: dict[str, str] = {}
        for key, value in self._entries:
            name = key.removeprefix("remote.").removesuffix(".url")
            if key == f"remote.{name}.url":
                found.setdefault(name, split(value).url)
        return found

    def nearest(self, url: str) -> str:
        """The URL by which a remote here names the same repository, else that URL: CI reaches it otherwise."""
        known = self.remotes().values()
        same = [one for one in known if _place(one) == _place(url)]
        return url if url in known or not same else same[0]

    def upstream(self, branch: str) -> tuple[str, str]:
        """The remote and its branch that a branch here follows; two empty words where there is none."""
        remote, merge = self.value(f"branch.{branch}.remote"), self.value(f"branch.{branch}.merge")
        head = merge.removeprefix("refs/heads/")
        return (remote, head) if remote not in ("", ".") and head != merge else ("", "")

    def environment(self, url: str, private: Path, clone: Path) -> dict[str, str]:
        """The environment of our clone of `url` (without a secret), which need not be one of the remotes here."""
        remote = next((name for name, known in self.remotes().items() if known == url), "")
        named = [self.value(f"remote.{remote}.{key}") for key in ("url", "pushurl")] if remote else []
        logins = [split(value) for value in named if value]
        entries = [e for e in self._entries if _REACHES.fullmatch(e[0])]
        env = {
            **{k: v for k, v in private_environment(private, clone, url, "").items() if k != "HOME"},
            **_asking(self.value("core.sshcommand")),
        }
        for number, login in enumerate(dict.fromkeys(login for login in logins if login.user)):
            entries.insert(_after_the_last_reset(entries), login.helper(number))
            env |= login.secrets(number)
        if remote:
            entries += [
                (f"remote.origin.{key}", value)
                for key in _OF_A_REMOTE
                if (value := self.value(f"remote.{remote}.{key}"))
            ]
            entries += [("remote.origin.pushurl", login.url) for login in logins[1:]]
        return env | counted(entries)

    def in_place(self) -> dict[str, str]:
        """The environment for work in the user's own repository: theirs, but no hook, prompt, or name of theirs."""
        mine = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
        kept = [
            (os.environ.get(f"GIT_CONFIG_KEY_{n}", ""), os.environ.get(f"GIT_CONFIG_VALUE_{n}", ""))
            for n in range(mine)
        ]
        return {
            **quiet_environment(),
            **identity(),
            **signed_by(signing(self._folder)),
            **_asking(self.value("core.sshcommand")),
            **counted([*kept, ("core.hooksPath", "/dev/null")]),
        }


@dataclass(frozen=True, slots=True)
class Login:
    """A URL as it can be shown, and what was in it: CI systems write a token into a remote's URL."""

    url: str
    user: str = ""
    password: str = ""

    def helper(self, number: int) -> Entry:
        """A credential helper that answers for this URL's host, from the environment."""
        parts = urllib.parse.urlsplit(self.url)
        say = f'printf "username=%s\\n" "$KNOWNGOOD_GIT_USER_{number}"'
        if self.password:
            say += f'; printf "password=%s\\n" "$KNOWNGOOD_GIT_PASSWORD_{number}"'
        function = f'f() {{ if test "$1" = get; then {say}; fi; }}'
        return f"credential.{parts.scheme}://{parts.netloc}.helper", f"!{function}; f"

    def secrets(self, number: int) -> dict[str, str]:
        """What the helper reads."""
        return {
            f"KNOWNGOOD_GIT_USER_{number}": self.user,
            f"KNOWNGOOD_GIT_PASSWORD_{number}": self.password,
        }


def split(url: str) -> Login:
    """A web URL without user and password, and these. Another kind keeps its user, whom ssh needs, and no password."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return Login(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    if not at:
        return Login(url)
    if parts.scheme not in ("http", "https"):
        return Login(parts._replace(netloc=f"{user}@{host}").geturl() if password else url)
    plain = parts._replace(netloc=host).geturl()
    return Login(plain, urllib.parse.unquote(user), urllib.parse.unquote(password))


def _place(url: str) -> tuple[str, str]:
    """Host and path of a repository, however it is reached."""
    if "://" in url:
        parts = urllib.parse.urlsplit(url)
        host, path = parts.hostname or "", parts.path
    else:  # user@host:path, or a path on this machine
        before, colon, after = url.partition(":")
        host, path = (before.rpartition("@")[2], after) if colon and "/" not in before else ("", url)
    return host.lower(), path.strip("/").removesuffix(".git")


def counted(entries: Iterable[Entry]) -> dict[str, str]:
    """Configuration as environment: Git reads it after all files."""
    env: dict[str, str] = {}
    number = -1
    for number, (key, value) in enumerate(entries):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**env, "GIT_CONFIG_COUNT": str(number + 1)}


def _entry(text: str) -> Entry:
    """One entry of `git config --list -z`; a key alone means true."""
    key, line_break, value = text.partition("\n")
    return key, value if line_break else "true"


def _after_the_last_reset(entries: list[Entry]) -> int:
    """Where a helper must stand to be asked first: an empty one forgets all that stand before it."""
    resets = [n for n, (k, v) in enumerate(entries) if k.startswith("credential.") and not v]
    return resets[-1] + 1 if resets else 0


def _asking(ssh_command: str) -> dict[str, str]:
    """The user's ssh and askpass program, as they name them; ssh itself is told to ask nobody."""
    said = os.environ.get("GIT_SSH_COMMAND") or ssh_command
    said = said or shlex.quote(os.environ.get("GIT_SSH") or "ssh")
    try:
        program = Path(shlex.split(said)[0]).name
    except (ValueError, IndexError):
        program = ""
    batch = " -o BatchMode=yes -o ConnectTimeout=20" if program == "ssh" else ""
    return {"GIT_SSH_COMMAND": said + batch, "GIT_ASKPASS": os.environ.get("GIT_ASKPASS") or "true"}
