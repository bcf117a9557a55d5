"""Talos, asked through talosctl: which version a machine itself tells, and to take another one.

Commands and flags: siderolabs/talos cmd/talosctl/cmd/talos version.go, read.go and upgrade.go. Who may ask is in the
file that TALOSCONFIG names: talosctl reads it, we do not, and no argument tells anything of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from knowngood.adapters.cluster import readouts
from knowngood.model.errors import Unreachable
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.text import printable
from knowngood.model.values import Values

PROGRAM, CONFIG = "talosctl", "TALOSCONFIG"
PATIENCE = 30.0
"""Seconds for one answer."""
ENDS = 5.0
"""Seconds that it may take to end when it is asked to."""
NO_DRAIN = "--drain"
"""Since 1.13 talosctl drains by itself, unless it is told not to; an older one knows no such word."""
POWERCYCLE = "powercycle"
"""Through the firmware, as the next power failure would: a kexec comes up where that does not (talos issue 14146)."""
WORDS = 300
_BOOT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WORKERS = 16
"""Machines that are asked at the same time."""
_NODE = re.compile(r"^\s*NODE:\s*(\S+)", re.MULTILINE)
_TAG = re.compile(r"^\s*Tag:\s*v?(\S+)", re.MULTILINE)


def ready() -> Sequence[Finding]:
    """What this machine lacks to move Talos: the program, a flag of it, the file that says who may ask."""
    if shutil.which(PROGRAM) is None:
        return [refused(PROGRAM, "it is not on this machine", f"put {PROGRAM} on PATH, 1.13 or newer")]
    found: list[Finding] = []
    try:
        if NO_DRAIN not in _ran("upgrade", "--help").stdout:
            what = f"it has no {NO_DRAIN}: {_client()} would drain by itself"
            found.append(refused(PROGRAM, what, "install 1.13 or newer"))
    except Unreachable as error:
        found.append(unknown(PROGRAM, error.message, f"see that {PROGRAM} can be run here"))
    return [*found, *_config()]


def _client() -> str:
    """Which version of it is here, in words."""
    tags = _TAG.findall(_ran("version", "--client").stdout)
    return f"version {printable(tags[0], 40)}" if tags else "one of no known version"


def _config() -> list[Finding]:
    """Whether the file that says who may ask can be read; not what it says."""
    named = os.environ.get(CONFIG, "")
    hint = f"{CONFIG}=/path/to/talosconfig, of a user that may upgrade (os:admin)"
    if not named:
        return [refused(CONFIG, "nothing says how machines are asked", hint)]
    try:
        with Path(named).open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        return [refused(CONFIG, f"{named} can't be read: {error.strerror}", hint)]
    return [refused(CONFIG, f"{named} is empty", hint)] if empty else []


def against(nodes: Mapping[str, Values]) -> Iterator[Finding]:
    """What these machines do not answer, or answer otherwise than their nodes; many are asked at the same time."""
    with ThreadPoolExecutor(max_workers=min(max(len(nodes), 1), WORKERS)) as pool:
        for found in pool.map(_differs, nodes.values()):
            yield from found


def _differs(node: Values) -> list[Finding]:
    name, kubelet = f"node {node['metadata']['name']}", told_by(node)
    if kubelet is None or not (address := address_of(node)):
        what = "its node tells no Talos that can be read, or no address"
        return [unknown(name, what, "see its status.nodeInfo.osImage and status.addresses")]
    try:
        told = tell(address)
    except Unreachable as error:
        return [
            unknown(name, f"its Talos can't be read: {error.message}", f"{PROGRAM} version --nodes {address}")
        ]
    if told == kubelet:
        return []
    return [unknown(name, f"its Talos tells {told}, and its node {kubelet}", f"see who answers at {address}")]


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one machine, by itself or by its node: the version without its `v`, and which boot that is."""

    version: str
    boot: str

    def __str__(self) -> str:
        return f"{self.version} (boot {self.boot[:8]})"


def told_by(node: Values) -> Told | None:
    """What a node's kubelet tells, None where it tells no Talos that can be read, or no boot."""
    info = (node.get("status") or {}).get("nodeInfo") or {}
    running, boot = readouts.of_kubelet(info).get("talos", ""), str(info.get("bootID") or "")
    return Told(running, boot) if running and boot else None


def address_of(node: Values) -> str:
    """Where a node's machine is asked, as its own kubelet says; "" where that says nothing."""
    told = (node.get("status") or {}).get("addresses") or ()
    return next((str(one["address"]) for one in told if one.get("type") == "InternalIP"), "")


def tell(address: str) -> Told:
    """What the machine itself tells. Unreachable: no answer, or none that can be read.

    Its boot shows that it is the node's machine: an address may be somebody else's, a boot id is not.
    """
    server = _answer("version", "--nodes", address).partition("Server:")[2]
    nodes, tags = _NODE.findall(server), _TAG.findall(server)
    if (len(nodes), len(tags)) != (1, 1):
        raise Unreachable(f"{PROGRAM} tells of {len(nodes)} machines and {len(tags)} versions, not of one")
    boot = _answer("read", readouts.BOOT_ID, "--nodes", address).strip()
    if not _BOOT.fullmatch(boot):
        raise Unreachable(f"{PROGRAM} read {readouts.BOOT_ID} tells no boot: {_last(boot)}")
    return Told(str(tags[0]), boot)


class Upgrade:
    """A machine is asked to take an image, by a talosctl that runs beside us: what it says is progress, no proof."""

    def __init__(self, address: str, image: str) -> None:
        """Unreachable where it can't be started."""
        flags = (f"{NO_DRAIN}=false", "--wait=false", f"--reboot-mode={POWERCYCLE}")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as it runs)
        try:
            self._process = subprocess.Popen(
                [PROGRAM, "upgrade", "--nodes", address, "--image", image, *flags],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            self._said.close()
            raise Unreachable(f"{PROGRAM} can't be run: {error.strerror}") from error

    @property
    def ended(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    @property
    def words(self) -> str:
        """The last that it said."""
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(size - 4 * WORDS, 0))
        return _last(self._said.read().decode(errors="replace"))

    def stop(self) -> None:
        """End it; what the machine was told goes on."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(ENDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._said.close()


def _answer(*arguments: str) -> str:
    """What it prints, where it ends well."""
    done = _ran(*arguments)
    if done.returncode:
        raise Unreachable(f"{PROGRAM} ended with {done.returncode}: {_last(done.stderr)}")
    return done.stdout


def _ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One short call of it. Unreachable where it can't be run, or gives no answer."""
    try:
        return subprocess.run(
            [PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{PROGRAM} {arguments[0]} gave no answer in {PATIENCE:.0f} s") from None
    except OSError as error:
        raise Unreachable(f"{PROGRAM} can't be run: {error.strerror}") from error


def _last(text: str) -> str:
    """The last line of what it said, for people."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1], WORDS) if lines else "it said nothing"
