"""Listed commands as local processes on a node's root directory.

Only what LISTED names runs. Every absolute path in the arguments becomes a path below the node's root (where the
pod mounts the host) or below the pod's own empty folder (anything else), so that no pod reads this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from knowngood.twin.api.kubelet import ExecResult
from knowngood.twin.behaviours.kube import COMPONENT_LABEL, DRIVER_COMPONENT, labels_of
from knowngood.twin.values import Object

LISTED = frozenset({"cat", "grep", "ls", "find"})
PYTHONS = frozenset({"python", "python3"})
PROBE = "knowngood.probe"
# A privileged driver pod sees the host's own folders.
HOST_FOLDERS = ("/proc", "/sys", "/usr", "/run", "/etc", "/var")
# Any other privileged one sees at least what the kernel shows.
KERNEL_FOLDERS = ("/proc", "/sys")
# Options by which find would do more than look; -exec may start what only reads.
ACTING = ("-ok", "-delete", "-fprint", "-fls", "-execdir")
NOT_LISTED = 126
KILLED = 137


@dataclass(frozen=True, slots=True)
class HostView:
    """How a pod sees its node: mount path in the pod -> folder on this machine; the rest is `own`."""

    mounts: tuple[tuple[str, str], ...]
    own: Path
    root: str

    def local(self, path: str) -> str:
        """The local path of an absolute path in the pod."""
        clean = os.path.normpath(path)
        for mount, folder in self.mounts:
            if clean == mount:
                return folder
            if mount == "/" or clean.startswith(f"{mount}/"):
                return folder.rstrip("/") + clean[len(mount.rstrip("/")) :]
        return str(self.own) + clean

    def argument(self, text: str) -> str:
        """An argument with a leading path (also after --option=) made local."""
        option, sign, value = text.partition("=")
        if sign and option.startswith("-") and value.startswith("/"):
            return f"{option}={self.local(value)}"
        if text.startswith("/"):
            return self.local(text)
        # One that leaves the pod's own folder would come to this machine's.
        return self.local(f"/{text}") if ".." in text.split("/") else text

    def value(self, text: str) -> str:
        """An environment value with a leading mount path made local; other values stay."""
        inside = any(text == mount or text.startswith(f"{mount.rstrip('/')}/") for mount, _ in self.mounts)
        return self.local(text) if text.startswith("/") and inside else text

    def taken_out(self, output: bytes) -> bytes:
        """The output as it would read in the pod."""
        for mount, folder in sorted(self.mounts, key=lambda pair: -len(pair[1])):
            output = output.replace(folder.rstrip("/").encode(), mount.rstrip("/").encode())
        return output.replace(self.root.encode(), b"").replace(str(self.own).encode(), b"")


def host_view(pod: Object, container: Object, root: Path, own: Path) -> HostView:
    """What a container of a pod sees of the node with that root."""
    if labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT:
        mounts = [(folder, f"{root}{folder}") for folder in HOST_FOLDERS]
        return HostView(tuple(mounts), own, str(root))
    volumes = {v["name"]: v["hostPath"]["path"] for v in pod["spec"].get("volumes") or () if "hostPath" in v}
    mounts = [
        (
            os.path.normpath(mount["mountPath"]),
            f"{root}{os.path.normpath(volumes[mount['name']])}".rstrip("/"),
        )
        for mount in container.get("volumeMounts") or ()
        if mount["name"] in volumes
    ]
    if parts := _parts(mounts, str(root)):
        mounts.append((parts, str(root)))
    if (container.get("securityContext") or {}).get("privileged"):
        named = {mount for mount, _ in mounts}
        mounts += [(folder, f"{root}{folder}") for folder in KERNEL_FOLDERS if folder not in named]
    # The longest mount path wins: /host/run before /host.
    return HostView(tuple(sorted(mounts, key=lambda pair: -len(pair[0]))), own, str(root))


def _parts(mounts: Sequence[tuple[str, str]], root: str) -> str:
    """The folder below which a pod has parts of its host at their own paths, "" where there is none.

    A path of it is the host's here, and shows what was not mounted, too: the test of the probe's manifest shows that
    nothing else is read.
    """
    above = {mount.removesuffix(folder.removeprefix(root)) for mount, folder in mounts if folder != root}
    found = above.pop() if len(above) == 1 else ""
    return found if found not in {mount for mount, _ in mounts} else ""


def command_of(container: Object, env: Mapping[str, str]) -> list[str]:
    """Command and arguments with $(NAME) replaced, as the kubelet does."""

    def expand(match: re.Match[str]) -> str:
        return env.get(match[1], match[0])

    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return [re.sub(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)", expand, str(word)) for word in words]


def listed(argv: Sequence[str]) -> list[str] | None:
    """The command as it is run here, or None for one that is not on the list."""
    if not argv:
        return None
    program = os.path.basename(argv[0])  # noqa: PTH119 (a name in the pod, not a path here)
    if program in PYTHONS and list(argv[1:3]) == ["-m", PROBE]:
        return [sys.executable, *argv[1:]]
    words = argv[1:]
    started = [words[at + 1 : at + 2] for at, word in enumerate(words) if word == "-exec"]
    if program in LISTED and not any(word.startswith(ACTING) for word in words):
        return [program, *words] if all(one in (["cat"], ["grep"]) for one in started) else None
    return None


async def start(
    argv: Sequence[str],
    env: Mapping[str, str],
    view: HostView,
    python_path: str,
    *,
    stdin: int | None = None,
    stdout: IO[bytes] | int,
    stderr: IO[bytes] | int,
    more: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Start a listed command in its own session with nothing of our environment but PATH, and what `more` says."""
    command = listed(argv)
    if command is None:
        raise PermissionError(f"{argv[0] if argv else ''}: not on the twin's list of commands")
    view.own.mkdir(parents=True, exist_ok=True)
    base = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(view.own),
        "LANG": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "",  # a real GPU of this machine is not the node's
    }
    values = {name: view.value(value) for name, value in env.items()}
    return await asyncio.create_subprocess_exec(
        command[0],
        *(view.argument(word) for word in command[1:]),
        env={**values, **base, "PYTHONPATH": python_path, **(more or {})},
        cwd=view.own,
        stdin=stdin if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


async def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    view: HostView,
    python_path: str,
    stdin: bytes | None,
    timeout: float | None,
) -> ExecResult:
    """Run a listed command to its end, as exec does."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await start(
            argv, env, view, python_path, stdin=pipe if stdin is not None else None, stdout=pipe, stderr=pipe
        )
    except PermissionError as error:
        return ExecResult(b"", f"{error}\n".encode(), NOT_LISTED)
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        end(process)
        await process.wait()
        return ExecResult(b"", b"killed at the timeout\n", KILLED)
    except asyncio.CancelledError:
        end(process)
        raise
    return ExecResult(view.taken_out(out), view.taken_out(err), process.returncode or 0)


def end(process: asyncio.subprocess.Process, sign: signal.Signals = signal.SIGKILL) -> None:
    """Signal the process and everything it started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
