"""A copy of the tree to be wrong in, with an environment of its own: what the tests start finds the copy, too."""

from __future__ import annotations

import itertools
import os
import shutil
import site
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("runner", "gates", "matrix", "playbooks", "deploy", "tests", "docs", "tools")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md")
BESIDE = ROOT.parent / "shared"
"""Facts and cases that some tests are held against, where they lie beside the checkout."""
LIMIT, HEALTHY = 300.0, 1800.0
"""Seconds for the tests of one mutant: with one that never ends they do not, either; and for all without any."""


NEAREST = 2
"""Test files that are played first."""
NOTHING_RAN = (4, 5)
"""Exit codes of pytest that say nothing of a mutant: a test that is not there, or none that was chosen."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How the tests of a tree ended: `ok` all passed; else the first that did not. `ended`: before time was up."""

    ok: bool
    words: str
    ended: bool = True

    @property
    def killed(self) -> bool:
        """Whether a test failed: on a busy machine time is up for the healthy, too."""
        return self.ended and not self.ok


class Copy:
    """One copy. Only one of its files is another at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._times = itertools.count(int(time.time()) + 100_000)
        ignored = shutil.ignore_patterns("__pycache__", ".mypy_cache", "*.pyc")
        for part in PARTS:
            if (ROOT / part).exists():
                shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=ignored)
        for name in FILES:
            shutil.copy2(ROOT / name, folder / name)
        if BESIDE.exists() and not (folder.parent / BESIDE.name).exists():
            (folder.parent / BESIDE.name).symlink_to(BESIDE)
        venv.create(folder / ".venv", symlinks=True)
        (packages,) = (folder / ".venv").glob("lib/python3*/site-packages")
        # The copy first; ours only lends what is installed, not its own .pth, which would lead to the original.
        lent = next(p for p in site.getsitepackages() if p.startswith(sys.prefix))
        (packages / "copy.pth").write_text(f"{folder / 'runner'}\n{lent}\n", encoding="utf-8")

    def ran(self, tests: list[str], limit: float = LIMIT) -> Ran:
        """Run these tests until the first fails; `limit` in seconds."""
        command = [str(self.folder / ".venv/bin/python"), "-m", "pytest", "-x", "-q", "--no-header"]
        command += ["-p", "no:cacheprovider", "-p", "no:randomly", "--tb=line", "--show-capture=no"]
        try:
            done = subprocess.run(
                [*command, "-m", "not slow and not exhaustive", *tests],
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            return Ran(ok=False, words="it did not end", ended=False)
        if done.returncode in NOTHING_RAN:
            raise RuntimeError(f"pytest ran nothing: {done.stdout[-500:]}{done.stderr[-500:]}")
        failed = [x for x in done.stdout.splitlines() if x.startswith(("FAILED", "ERROR"))]
        last = (done.stdout.strip() or done.stderr.strip() or "?").splitlines()[-1]
        return Ran(done.returncode == 0, failed[0] if failed else last)

    def with_change(self, file: str, text: str, tests: list[str]) -> Ran:
        """The same with a file of that text, which is as it was afterwards.

        The nearest tests go first, by themselves: most mutants die of them, and the others cost time to be read.
        """
        path = self.folder / file
        before = path.read_text(encoding="utf-8")
        self._write(path, text)
        try:
            ran = self.ran(tests[:NEAREST])
            return self.ran(tests[NEAREST:]) if ran.ok and tests[NEAREST:] else ran
        finally:
            self._write(path, before)

    def _write(self, path: Path, text: str) -> None:
        """Each text has a second of its own: compiled files go by time and size, and none may outlive its source."""
        path.write_text(text, encoding="utf-8")
        os.utime(path, (at := next(self._times), at))
