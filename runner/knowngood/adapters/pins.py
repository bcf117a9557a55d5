"""What a pipeline installs: knowngood by version and hash, and all that it needs by theirs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit

from knowngood.matrix.locate import data_root
from knowngood.model.errors import UsageError

NAME = "knowngood"
HEAD = """\
# What the pipelines install, by version and hash: pip refuses anything else (--require-hashes).
# Made by `knowngood init`. For a newer knowngood remove this file and say it again with the new one's --wheel.
"""
UNPINNED = """\
# NO HASH: the knowngood that wrote this was not installed from a wheel that pip remembers, so pip refuses this line.
# Remove this file and run: knowngood init . --wheel FILE
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """This knowngood, for a pins file. `url`: where its wheel can be had, "" for an index or a folder of yours."""

    version: str
    sha256: str = ""
    url: str = ""

    @property
    def line(self) -> str:
        """Its requirement."""
        what = f"{NAME} @ {self.url}" if self.url else f"{NAME}=={self.version}"
        return f"{what} \\\n    --hash=sha256:{self.sha256}\n" if self.sha256 else f"{UNPINNED}{what}\n"


def tool(version: str, wheel: Path | None) -> Tool:
    """By the wheel that is named, else by what pip remembers of the one that this was installed from. UsageError."""
    if wheel is None:
        return _remembered(version)
    try:
        data = wheel.read_bytes()
    except OSError as error:
        raise UsageError(
            f"can't be read: {error.strerror}", where=str(wheel), hint="name knowngood's wheel"
        ) from error
    parts = wheel.name.split("-")
    if wheel.suffix != ".whl" or parts[0] != NAME or parts[1:2] != [version]:
        raise UsageError(
            f"is not the wheel of knowngood {version}, which this is",
            where=str(wheel),
            hint=f"{NAME}-{version}-py3-none-any.whl, or install the other version first",
        )
    return Tool(version, hashlib.sha256(data).hexdigest())


def _remembered(version: str) -> Tool:
    """By direct_url.json, which pip writes where it was given a file or an address and not a name."""
    try:
        told = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
        found = str(told.get("archive_info", {}).get("hashes", {}).get("sha256", ""))
        url = str(told.get("url", ""))
    except (PackageNotFoundError, ValueError, AttributeError):
        return Tool(version)
    return Tool(version, found, url if found and _plain(url) else "")


def _plain(url: str) -> bool:
    """Whether an address can be written into a file: a user, a query or a fragment may be a credential."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https") and "@" not in parts.netloc and not (parts.query or parts.fragment)
    )


def pins(found: Tool) -> str:
    """The whole file."""
    needs = (data_root() / "requirements" / "run.txt").read_text(encoding="utf-8")
    return f"{HEAD}{found.line}\n# What it needs.\n{needs}"
