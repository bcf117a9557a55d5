"""Our own clone of a repository: fetch, read, commit, push. What is committed is decided in `git`.

One writer at a time (the run's journal is locked), so what a killed process left is cleared on opening.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from knowngood.adapters.processes.git_command import (
    GITOPS,
    GitCommand,
    GitFailed,
    Hints,
    Result,
    explain,
    private_environment,
    without_secret,
)
from knowngood.model import names
from knowngood.model.errors import Inconclusive, UsageError

_HEADS = "refs/remotes/origin/"
_WHOLE = "knowngood-made"
"""In a clone that was made to its end: a runner may be killed while it makes one."""
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_RACE = re.compile(
    r"fetch first|non-fast-forward|cannot lock ref|incorrect old value|failed to update ref|stale info"
    r"|try again",
    re.IGNORECASE,
)


Reached = Callable[[Path, Path], Mapping[str, str]]
"""Gives the environment in which a remote is reached, for a private folder and a clone."""


class Clone:
    """A clone of `url`'s `branch` in `folder`, made on first use. `credentials` is a reference.

    `reached` and `hints`: where it is not the GitOps repository with those credentials.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        branch: str,
        *,
        credentials: str = "",
        deadline: float = 120.0,
        reached: Reached | None = None,
        hints: Hints = GITOPS,
    ) -> None:
        if not url or url.startswith("-") or not branch or branch.startswith("-"):
            raise UsageError("a repository and its branch are needed", hint=hints.missing)
        self.url = url
        self.branch = branch
        self.tree = folder / "clone"
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if reached is None:
            env: Mapping[str, str] = private_environment(folder / "private", self.tree, url, credentials)
        else:
            env = reached(folder / "private", self.tree)
        self._hints = hints
        self._git = GitCommand(folder, env, deadline=deadline)
        self._opened = False

    # The remote

    def fetch(self, branch: str = "") -> str:
        """Bring the remote branch (or another one) here; returns its commit."""
        name = branch or self.branch
        self._open()
        with self._explained("fetch"):
            source = name if name == "HEAD" else f"refs/heads/{name}"
            refspec = f"+{source}:refs/remotes/origin/{name}"
            self._fetch(refspec)
        return self.parse(f"refs/remotes/origin/{name}")

    def fetch_below(self, prefix: str) -> None:
        """Bring all branches of the remote here whose names begin so."""
        self._open()
        with self._explained("fetch"):
            self._fetch(f"+refs/heads/{prefix}*:refs/remotes/origin/{prefix}*")

    def containing(self, commit: str) -> dict[str, str]:
        """The remote's branches that contain a commit, and their own commits; none where it is not there at all."""
        self._open()
        with self._explained("fetch"):
            self._fetch("+refs/heads/*:refs/remotes/origin/*")
        form = "--format=%(refname) %(objectname)"
        listed = self._git.run("for-each-ref", "--contains", commit, form, _HEADS, ok=(0, 128, 129))
        return dict(line.removeprefix(_HEADS).split() for line in listed.text.splitlines())

    def default_branch(self) -> str:
        """The branch that the remote's HEAD names, "" for none."""
        self._open()
        with self._explained("fetch"):
            told = self._git.run("ls-remote", "--symref", "origin", "HEAD").text
        first = told.partition("\t")[0]
        return first.removeprefix("ref: refs/heads/") if first.startswith("ref: refs/heads/") else ""

    def _fetch(self, refspec: str) -> None:
        # A remote may be a CI system's shallow checkout on this machine.
        how = ("--quiet", "--no-tags", "--update-shallow")
        self._git.run("-C", str(self.tree), "fetch", *how, "origin", refspec)

    def heads(self) -> dict[str, str]:
        """The remote's branches and their commits, as they are now."""
        self._open()
        with self._explained("fetch"):
            listed = self._git.run("ls-remote", "--heads", "origin").text
        pairs = (line.split("\t") for line in listed.splitlines() if "\t" in line)
        return {ref.removeprefix("refs/heads/"): commit for commit, ref in pairs}

    def push(self, commit: str, *, dry_run: bool = False, to: str = "") -> bool:
        """Push without force; False if somebody else was there first. `dry_run`: only ask whether we may.

        `to`: another branch than ours.
        """
        with self._explained("push"):
            done = self._git.run(
                "push",
                "--porcelain",
                "--no-verify",
                *(["--dry-run"] if dry_run else []),
                "origin",
                f"{commit}:refs/heads/{to or self.branch}",
                ok=(0, 1),
            )
            if done.code == 0:
                return True
            if _RACE.search(f"{done.err}\n{done.text}"):
                return False
            raise GitFailed(("push",), done)

    def drop(self, branch: str) -> None:
        """Delete a branch of the remote, where it is there."""
        if branch not in self.heads():
            return
        with self._explained("push"):
            self._git.run("push", "--porcelain", "--no-verify", "origin", f":refs/heads/{branch}")

    # Reading

    def has(self, commit: str) -> bool:
        """Whether a commit is here."""
        self._open()
        return self._git.run("cat-file", "-e", f"{commit}^{{commit}}", ok=(0, 1, 128)).code == 0

    def message_of(self, commit: str) -> str:
        """A commit's whole message."""
        return self._git.run("log", "-1", "--format=%B", commit, "--").text

    def trailers(self, commit: str) -> dict[str, str]:
        """A commit's trailers."""
        block = self._git.run("log", "-1", "--format=%(trailers:only,unfold)", commit, "--").text
        pairs = (line.partition(":") for line in block.splitlines())
        return {key.strip(): value.strip() for key, _, value in pairs}

    def fork(self, one: str, other: str) -> str:
        """The last commit that two have in common."""
        return self._git.run("merge-base", one, other).text

    def touching(self, files: Sequence[str], after: str, until: str) -> list[str]:
        """The commits of a branch behind one of them that change these files, oldest first."""
        how = ("--first-parent", "--reverse", "--format=%H")
        return self._git.run("log", *how, f"{after}..{until}", "--", *files).text.split()

    def since(self, files: Sequence[str], time: str, until: str) -> list[str]:
        """The commits up to one of them that change these files and came to the branch since a time, newest first."""
        listed = self._git.run("log", "--first-parent", "--format=%H %ct", until, "--", *files).text
        rows = (line.split() for line in listed.splitlines())
        return [
            commit for commit, seconds in rows if int(seconds) >= datetime.fromisoformat(time).timestamp()
        ]

    def parse(self, revision: str) -> str:
        """The full id of a commit we have."""
        done = self._git.run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", ok=(0, 1, 128))
        if done.code != 0 or not _COMMIT.fullmatch(done.text):
            why = f"the commit {revision} is not in the branch {self.branch}"
            raise Inconclusive(why, where=without_secret(self.url))
        return done.text

    def find(self, trailers: Mapping[str, str], head: str) -> str:
        """The newest commit up to `head` with all these trailers, or "".

        A commit that undoes another carries the other's trailers too; it is only found by asking for it.
        """
        if not trailers:
            return ""
        greps = [f"--grep={key}: {value}" for key, value in trailers.items()]
        form = "--format=%H%x00%(trailers:only,unfold)%x1e"
        done = self._git.run("log", "--fixed-strings", "--all-match", *greps, form, head, "--")
        wanted = set(trailers.items())
        for entry in done.text.split("\x1e"):
            commit, _, block = entry.strip().partition("\x00")
            found = {(k.strip(), v.strip()) for k, _, v in (x.partition(":") for x in block.splitlines())}
            undoes = any(k == names.TRAILER_UNDOES for k, _ in found)
            if wanted <= found and (names.TRAILER_UNDOES in trailers or not undoes):
                return commit
        return ""

    def is_ancestor(self, commit: str, revision: str) -> bool:
        """Whether `revision` contains `commit`; False for what the branch does not have."""
        if not _COMMIT.fullmatch(commit) or not _COMMIT.fullmatch(revision):
            return False
        self._open()
        answer = self._git.run("merge-base", "--is-ancestor", commit, revision, ok=(0, 1, 128))
        if answer.code == 128:
            self.fetch()
            answer = self._git.run("merge-base", "--is-ancestor", commit, revision, ok=(0, 1, 128))
        return answer.code == 0

    def last_touched(self, file: str, head: str) -> str:
        """`<short id> (<author>: <subject>)` of the last commit that changed `file`, for messages."""
        done = self._git.run("log", "-1", "--format=%h (%an: %s)", head, "--", file, ok=(0, 128))
        return done.text or "no commit"

    def changed_files(self, parent: str, commit: str) -> set[str]:
        """The files in which two commits differ."""
        done = self._git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", parent, commit)
        return {name for name in done.out.decode("utf-8", "surrogateescape").split("\0") if name}

    def links(self, commit: str) -> tuple[str, ...]:
        """Symbolic links in a commit: they are not followed, so a folder that holds one can't be judged."""
        done = self._git.run("ls-tree", "-r", "-z", commit)
        entries = done.out.decode("utf-8", "surrogateescape").split("\0")
        return tuple(e.partition("\t")[2] for e in entries if e.startswith(("120000", "160000")))

    def added(self, file: str, head: str) -> str:
        """The newest commit up to `head` that added a file which is still there, or ""."""
        if self.read(file, head) is None:
            return ""
        return self._git.run("log", "-1", "--diff-filter=A", "--format=%H", head, "--", file).text

    def read(self, file: str, commit: str) -> bytes | None:
        """A file at a commit; None where it is not there."""
        done = self._git.run("cat-file", "blob", f"{commit}:{file}", ok=(0, 128))
        return done.out if done.code == 0 else None

    def patch(self, commit: str) -> bytes:
        """A commit as `git am` takes it."""
        return self._git.run("format-patch", "-1", "--stdout", "--binary", commit).out

    # The work tree

    def checkout(self, commit: str) -> None:
        """Put the work tree on `commit`, whatever it holds now."""
        for state in ("REVERT_HEAD", "CHERRY_PICK_HEAD", "sequencer"):
            left = self.tree / ".git" / state
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)
        self._git.run("-C", str(self.tree), "checkout", "--quiet", "--force", "--detach", commit)
        self._git.run("-C", str(self.tree), "clean", "-qffdx")

    def path(self, file: str) -> Path:
        """A file of the work tree; UsageError for a path that leaves it."""
        parts = Path(file).parts
        if not parts or Path(file).is_absolute() or ".." in parts or parts[0] == ".git":
            raise UsageError("this path leaves the repository", where=file)
        return self.tree / file

    def revert(self, commit: str) -> bool:
        """Revert `commit` in the work tree and index; False (and a clean tree) where it conflicts."""
        done = self._git.run("-C", str(self.tree), "revert", "--no-commit", commit, ok=(0, 1, 128))
        if done.code != 0:
            self.checkout("HEAD")
        return done.code == 0

    def holds(self, commit: str, head: str) -> bool:
        """Whether `head` has all that a commit of one parent changed, under whatever commits."""
        if not self.changed_files(f"{commit}^", commit):
            return False
        self.checkout(head)
        picked = self._git.run("-C", str(self.tree), "cherry-pick", "--no-commit", commit, ok=(0, 1, 128))
        same = self._git.run("-C", str(self.tree), "diff", "--quiet", "HEAD", ok=(0, 1))
        self.checkout(head)
        return picked.code == 0 and same.code == 0

    def commit(self, message: str, files: tuple[str, ...]) -> str:
        """Commit `files` as they are in the work tree (none: an empty commit); returns the commit."""
        note = self._folder / "private" / "message"
        note.write_text(message, encoding="utf-8")
        if files:
            self._git.run("-C", str(self.tree), "add", "--", *files)
        how = ["--quiet", "--no-verify", "--allow-empty", "--cleanup=verbatim"]
        self._git.run("-C", str(self.tree), "commit", *how, "-F", str(note))
        return self.parse("HEAD")

    # Opening

    def _open(self) -> None:
        if self._opened:
            return
        if not (self.tree / ".git" / _WHOLE).exists():
            self._clone()
        for lock in self.tree.glob(".git/**/*.lock"):
            lock.unlink(missing_ok=True)
        self._git.run("-C", str(self.tree), "remote", "set-url", "origin", self.url)
        self._opened = True

    def _clone(self) -> None:
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir(parents=True)
        self._git.run("init", "--quiet", "--template=")
        # Here and not in the global file, or a remote on this machine would not run its own hooks.
        self._git.run("config", "core.hooksPath", "/dev/null")
        self._git.run("remote", "add", "origin", self.url)
        (self.tree / ".git" / _WHOLE).touch()

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except GitFailed as error:
            raise explain(error, self.url, doing, self._hints) from error


def message(subject: str, body: str, trailers: Mapping[str, str]) -> str:
    """A commit message whose last paragraph is the trailers."""
    lines = [f"{key}: {value}" for key, value in trailers.items()]
    if any("\n" in line or "\r" in line for line in (subject, *lines)):
        raise ValueError("a subject or trailer with a line break")
    return "\n\n".join(part for part in (subject, body, "\n".join(lines)) if part) + "\n"


__all__ = ["Clone", "GitFailed", "Result", "message"]
