"""This machine: the programs that a run calls, and the disk that its journal is written to."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from knowngood.model.finding import Finding, refused
from knowngood.ports.machine import Machine

PROGRAMS: Mapping[str, str] = {
    "git": "install git, or put it on PATH",
    "ansible-playbook": "install knowngood with what it depends on: ansible-core lies beside its interpreter",
}
"""What every run calls, and how it is had. kubectl is asked for where an Application is rendered with it."""
ROOM = 200 * 1024 * 1024
"""Bytes that must be free. A run of six nodes leaves some 10 MiB here: journal, playbooks' output, reports, clones."""


class LocalMachine(Machine):
    """The machine that we run on; `folder` is the run's, or where it will be made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def tools(self) -> Sequence[Finding]:
        """See the port. A program is looked for where a run looks: beside our interpreter, then on PATH."""
        where = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        missing = [(name, hint) for name, hint in PROGRAMS.items() if shutil.which(name, path=where) is None]
        return [refused(name, "it is not on this machine", hint) for name, hint in missing]

    def room(self) -> Sequence[Finding]:
        """See the port."""
        hint = "free some, or name another folder with --runs-dir"
        there = next(f for f in (self._folder, *self._folder.parents) if f.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                free = shutil.disk_usage(there).free
        except OSError as error:
            return [refused(str(there), f"nothing can be written there: {error.strerror}", hint)]
        if free < ROOM:
            what = f"{free // 2**20} MiB are free, a run wants {ROOM // 2**20}"
            return [refused(str(self._folder), what, hint)]
        return []
