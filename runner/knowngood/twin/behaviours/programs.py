"""What the containers of a pod do, from the kubelet's view. Drivers and operands are in their own modules."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from knowngood.twin.behaviours import meeting, processes
from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.indices import GROUP
from knowngood.twin.behaviours.kube import (
    GROUP_ANNOTATION,
    POD,
    POD_GROUP,
    annotations_of,
    deleting,
    environment,
    namespace_of,
    node_of,
)
from knowngood.twin.behaviours.processes import HostView
from knowngood.twin.values import Object

Ready = Callable[[], Awaitable[None]]
Failing = Mapping[str, str]
"""Containers beside the first one that do not run, with their last words."""
Tell = Callable[[Failing], Awaitable[None]]

START_S = 2.0  # image there already: create the sandbox, start the container
LAST_WORDS, MOST_WORDS = "/dev/termination-log", 4096
"""Where a container leaves its termination message, unless its spec says otherwise, and how many bytes are kept."""
STOP_S = 5.0  # what an obedient container needs after SIGTERM


class ProgramError(Exception):
    """A container ended with an error; its message becomes the pod's."""

    reason = "CrashLoopBackOff"  # of a container that is started again


class PullError(ProgramError):
    """An image that the registry does not have."""

    reason = "ImagePullBackOff"


class Program:
    """Does nothing but run: every container that is not on the list of commands."""

    has_init = False
    last_words = ""  # the main container's termination message, once it has ended

    def __init__(self, twin: Twin, pod: Object) -> None:
        self.twin = twin
        self.pod = pod
        self.tell: Tell = _nobody  # who runs it is told of containers beside the first one

    async def init(self) -> None:
        """The init containers; returns when the last has ended. ProgramError: it failed."""

    async def run(self, ready: Ready) -> int:
        """The main container, to its end; calls `ready` when it is. Returns the exit code."""
        await self.twin.clock.sleep(START_S)
        await ready()
        return await self.hold()

    async def hold(self) -> int:
        """Run until cancelled."""
        await asyncio.Event().wait()
        return 0

    async def stop(self, grace: float) -> None:
        """End within `grace` seconds of the cluster's time; run() was cancelled already."""
        await self.twin.clock.sleep(min(grace, STOP_S))


async def _nobody(_failing: Failing) -> None:
    """Nobody listens."""


class GangProgram(Program):
    """A rank of a gang: works only while all ranks do. One lost rank ends the others, as NCCL does."""

    @property
    def _group(self) -> str:
        return annotations_of(self.pod)[GROUP_ANNOTATION]

    async def run(self, ready: Ready) -> int:
        """Wait for the others, work, and fail with the first that goes."""
        await self.twin.clock.sleep(START_S)
        while not self._complete():
            await self.twin.cache.changed((POD, GROUP, (namespace_of(self.pod), self._group)))
        await ready()
        while self._complete():
            await self.twin.cache.changed((POD, GROUP, (namespace_of(self.pod), self._group)))
        raise ProgramError("NCCL WARN Call to recv from a peer failed: connection closed by remote peer")

    def _complete(self) -> bool:
        place = namespace_of(self.pod)
        members = [p for p in self.twin.cache.gang(place, self._group) if not deleting(p)]
        started = [p for p in members if node_of(p) and self.twin.world.machines[node_of(p)].up]
        found = self.twin.cache.get(POD_GROUP, self._group, place)
        need = int((found or {"spec": {}})["spec"].get("minMember", 1))
        return len(started) >= need


class ProcessProgram(Program):
    """A listed command as a process on the node's root; its output is the container's log."""

    def __init__(self, twin: Twin, pod: Object, view: HostView, log: Path) -> None:
        super().__init__(twin, pod)
        self._view = view
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, ready: Ready) -> int:
        """Run the command to its end."""
        container = self.pod["spec"]["containers"][0]
        env = environment(self.pod, container)
        here = await meeting.place(self.twin, self.pod)
        argv = processes.command_of(container, env)
        if here:
            argv = meeting.resolved(self.twin, argv)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self.twin.world.machines[node_of(self.pod)].tick()
        words = Path(self._view.local(str(container.get("terminationMessagePath") or LAST_WORDS)))
        words.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            process = self._process = await processes.start(
                argv, env, self._view, self.twin.python_path, stdout=log, stderr=log, more=here
            )
        await ready()
        code = await process.wait()
        with contextlib.suppress(OSError):
            self.last_words = words.read_bytes()[:MOST_WORDS].decode("utf-8", "replace")
        return code

    async def stop(self, grace: float) -> None:
        """TERM, and KILL after the grace."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        processes.end(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(max(self.twin.clock.real(grace), 0.2)):
                await process.wait()
        except TimeoutError:
            processes.end(process)
            await process.wait()


def is_process(pod: Object) -> bool:
    """Whether the pod's first container runs a listed command."""
    container = pod["spec"]["containers"][0]
    return processes.listed(processes.command_of(container, environment(pod, container))) is not None
