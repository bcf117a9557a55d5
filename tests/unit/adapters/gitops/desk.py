"""An engineer's checkout of a team's matrix, the remote it came from, and a colleague who pushes there too."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROTECTED = "#!/bin/sh\necho 'protected branch: only by pull request' >&2\nexit 1\n"


def git(folder: Path, *arguments: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Desk:
    """`root` is the checkout, with the matrix in a folder of it; `run` is a run's folder."""

    root: Path
    remote: Path
    run: Path

    @property
    def matrix(self) -> Path:
        return self.root / "matrix"

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    def as_it_is(self) -> tuple[str, ...]:
        """Branch, commit, index, changes: what a run must leave alone."""
        return (
            self.git("rev-parse", "--symbolic-full-name", "HEAD"),
            self.git("rev-parse", "HEAD"),
            self.git("ls-files", "--stage"),
            self.git("status", "--porcelain"),
            self.git("for-each-ref"),
        )

    def colleague(self, file: str, old: str, new: str, branch: str = "main") -> str:
        """Somebody else changes a file and pushes it; their commit."""
        other = self.remote.parent / "colleague"
        if not other.exists():
            git(self.remote.parent, "clone", "--quiet", str(self.remote), str(other))
        git(other, "checkout", "--quiet", branch)
        git(other, "pull", "--quiet", "--ff-only", "origin", branch)
        path = other / file
        text = path.read_text() if path.exists() else ""
        assert old in text
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace(old, new) if old else new)
        git(other, "add", "-A")
        git(other, "commit", "--quiet", "-m", "a colleague's")
        git(other, "push", "--quiet", "origin", branch)
        return git(other, "rev-parse", "HEAD")

    def protect(self) -> None:
        hook = self.remote / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(PROTECTED)
        hook.chmod(0o755)

    def there(self, branch: str = "main") -> str:
        """The remote branch's commit."""
        return git(self.remote, "rev-parse", branch)

    def subjects(self, branch: str = "main") -> list[str]:
        return git(self.remote, "log", "--format=%s", branch).splitlines()

    def read(self, file: str, branch: str = "main") -> str:
        return git(self.remote, "show", f"{branch}:matrix/{file}")


def desk_at(folder: Path, inner: str = "matrix") -> Desk:
    """`inner`: the matrix in the repository."""
    root, remote = folder / "ops", folder / "remote.git"
    matrix = root / inner
    for name in ("releases", "clusters"):
        (matrix / name).mkdir(parents=True)
    (matrix / "releases" / "r595.yaml").write_text("# the driver\nstatus: candidate\n")
    (matrix / "clusters" / "ams.yaml").write_text("profile: p\nrelease: r580   # pinned\n")
    git(folder, "init", "--quiet", "--bare", "-b", "main", str(remote))
    git(root, "init", "--quiet", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "first")
    git(root, "remote", "add", "origin", f"file://{remote}")
    git(root, "push", "--quiet", "-u", "origin", "main")
    (folder / "run").mkdir()
    return Desk(root, remote, folder / "run")
