"""Where a checkpoint is written: the payload's own temporary folder, or a volume of the tenants' storage class."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


def mounted(folder: str, mounts: Path = MOUNTS) -> str:
    """The type of the file system that is mounted at the folder (nfs4, ext4); "" where none is.

    A folder of the container's own would do as well for a write, and prove nothing (proc_pid_mountinfo(5)).
    """
    found = ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 4 and after and _plain(fields[4]) == folder:
            found = after.split()[0]  # of two at one place, the later one is seen
    return found


def _plain(text: str) -> str:
    """Blanks and the like are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)
