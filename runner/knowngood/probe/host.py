"""What the host's /proc, /sys and /usr show of drivers, below the folder where its root is mounted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from pathlib import Path

from knowngood.probe import files
from knowngood.probe.answer import Answer, bad, unmeasured

_MAX_BYTES = 1024 * 1024
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+~_-]{0,63}")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
LARGEST = 2**64 - 1
"""The kernel's counters have at most 64 bits; some NICs count in 32, and stop there."""
LIBRARIES = ("usr/lib64", "run/nvidia/driver/usr/lib64", "usr/lib/x86_64-linux-gnu")
"""Where libcuda may lie: the host's own, the driver container's, Debian's and Ubuntu's."""
_MAX_LONG = 64 * 1024 * 1024
"""Bytes of a long file: a kernel's list of symbols has some 15 MB."""
_LONG_LINE, _MOST_MATCHES = 4096, 10_000


class Host:
    """A host's root. Every reader gives None, or nothing, for what is not there or can't be read.

    `unread` tells these two apart: path -> why that, which is there, can't be read. Could not is not no.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unread: dict[str, str] = {}

    def text(self, path: str) -> str | None:
        """A small file's text without the blank end; None where it is not there or can't be read."""
        data = self.data(path)
        return None if data is None else data.decode("utf-8", "replace").strip()

    def data(self, path: str, most: int = _MAX_BYTES) -> bytes | None:
        """A file's bytes, as they are; None where it is not there, can't be read, or has more."""
        try:
            return files.read(self.root, path, most)
        except FileNotFoundError:
            return None
        except files.Unreadable as error:
            self.unread[path] = str(error)
            return None

    def matching(self, path: str, words: Collection[str]) -> list[str] | None:
        """A long file's lines that have one of these words; None where it is not there or can't be read."""
        data = self.data(path, _MAX_LONG)
        if data is None:
            return None
        wanted = re.compile(rb"\b(?:" + b"|".join(re.escape(w.encode()) for w in words) + rb")\b")
        found: dict[str, None] = {}
        for match in itertools.islice(wanted.finditer(data), _MOST_MATCHES):
            least = max(0, match.start() - _LONG_LINE)
            start = data.rfind(b"\n", least, match.start()) + 1
            end = data.find(b"\n", match.end(), match.end() + _LONG_LINE)
            whole = start or not least  # the file's first line has no line feed before it
            line = data[start if whole else match.start() : end if end >= 0 else match.end()]
            found[line.decode("utf-8", "replace").strip()] = None
        return list(found)

    def names(self, path: str) -> list[str]:
        """What a folder holds, sorted; nothing where it is not there or can't be read."""
        try:
            return files.names(self.root, path)
        except FileNotFoundError:
            return []
        except files.Unreadable as error:
            self.unread[path] = str(error)
            return []

    def number(self, path: str) -> int | None:
        """A counter's value, 0 to LARGEST; None where it is not there or is no such number."""
        text = self.text(path)
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,20}", text) or int(text) > LARGEST:
            self.unread[path] = f"no 64-bit number: {text[:40]!a}"
            return None
        return int(text)

    def boot_id(self) -> str:
        """The boot's id."""
        path = "proc/sys/kernel/random/boot_id"
        text = self.text(path)
        if text is not None and not re.fullmatch(r"[0-9a-f-]{32,36}", text):
            self.unread[path] = f"no boot id: {text[:40]!a}"
            return ""
        return text or ""

    def uptime(self) -> float | None:
        """Seconds since boot."""
        words = (self.text("proc/uptime") or "").split()
        return float(words[0]) if words and _SECONDS.fullmatch(words[0]) else None

    def gpus(self) -> list[str]:
        """PCI addresses of the GPUs that the driver has."""
        return self.names("proc/driver/nvidia/gpus")

    def module_version(self, module: str = "nvidia") -> str:
        """The loaded module's version; "" where it is not loaded, or its version can't be read."""
        path = f"sys/module/{module}/version"
        text = self.text(path)
        if text is not None and not _VERSION.fullmatch(text):
            self.unread[path] = f"no version: {text[:40]!a}"
            return ""
        return text or ""

    def user_space_versions(self) -> list[str]:
        """The versions of libcuda that are installed, by file name."""
        found = {
            match.group(1)
            for folder in LIBRARIES
            for name in self.names(folder)
            if (match := re.fullmatch(r"libcuda\.so\.(\d+\.\d+(?:\.\d+)?)", name))
        }
        return sorted(found)

    def refusal(self, gpus: int) -> Answer | None:
        """The result of a payload that can't compute on this node, or None: `gpus` is how many there must be.

        What is not there or disagrees is measured, and bad; what can't be read is neither good nor bad.
        """
        module, present, versions = self.module_version(), self.gpus(), self.user_space_versions()
        if self.unread:
            return unmeasured("", self.why_unread())
        if not module and not self.names("sys/module"):
            return unmeasured("", f"nothing of the kernel's modules is below {self.root}")
        if not module:
            return bad("", "the nvidia module is not loaded")
        if len(present) != gpus:
            return bad("", f"the driver has {len(present)} GPUs, expected {gpus}")
        if not versions:
            return bad("", "libcuda is not installed on the host")
        if versions != [module]:
            return bad("", f"libcuda is {', '.join(versions)}, the loaded module is {module}")
        return None

    def why_unread(self) -> str:
        """What can't be read, in words: the first three of it."""
        told = [f"/{path} can't be read: {why}" for path, why in sorted(self.unread.items())]
        more = f" and {len(told) - 3} more" if len(told) > 3 else ""
        return "; ".join(told[:3]) + more
