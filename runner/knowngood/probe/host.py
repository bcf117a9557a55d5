"""What the host's /proc, /sys and /usr show of drivers, below the folder where its root is mounted."""

from __future__ import annotations

import re
from pathlib import Path

_MAX_BYTES = 1024 * 1024


class Host:
    """A host's root. Every reader gives None, or nothing, for what is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def text(self, path: str) -> str | None:
        """A small file's text without the blank end; None where it can't be read."""
        try:
            with (self.root / path).open("rb") as file:
                return file.read(_MAX_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            return None

    def names(self, path: str) -> list[str]:
        """What a folder holds, sorted."""
        try:
            return sorted(entry.name for entry in (self.root / path).iterdir())
        except OSError:
            return []

    def boot_id(self) -> str:
        """The boot's id."""
        return self.text("proc/sys/kernel/random/boot_id") or ""

    def uptime(self) -> float | None:
        """Seconds since boot."""
        try:
            return float((self.text("proc/uptime") or "").split()[0])
        except (IndexError, ValueError):
            return None

    def gpus(self) -> list[str]:
        """PCI addresses of the GPUs that the driver has."""
        return self.names("proc/driver/nvidia/gpus")

    def module_version(self, module: str = "nvidia") -> str:
        """The loaded module's version; "" where it is not loaded."""
        return self.text(f"sys/module/{module}/version") or ""

    def user_space_versions(self) -> list[str]:
        """The versions of libcuda that are installed, by file name."""
        found = {
            match.group(1)
            for folder in ("usr/lib64", "run/nvidia/driver/usr/lib64", "usr/lib/x86_64-linux-gnu")
            for name in self.names(folder)
            if (match := re.fullmatch(r"libcuda\.so\.(\d+\.\d+(?:\.\d+)?)", name))
        }
        return sorted(found)

    def trouble(self, gpus: int) -> str:
        """Why this node's GPUs can't be trusted to work, or "": `gpus` is how many there must be."""
        module = self.module_version()
        if not module:
            return "the nvidia module is not loaded"
        present = self.gpus()
        if len(present) != gpus:
            return f"the driver has {len(present)} GPUs, expected {gpus}"
        versions = self.user_space_versions()
        if not versions:
            return "libcuda is not installed on the host"
        if versions != [module]:
            return f"libcuda is {', '.join(versions)}, the loaded module is {module}"
        return ""
