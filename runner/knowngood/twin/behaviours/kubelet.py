"""The kubelets: run the pods that are bound to their node and say how they are.

Each pod has one runner task. A node that is down runs nothing and answers nothing; when it boots, its pods'
containers start again.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from knowngood.twin import faults
from knowngood.twin.behaviours import pod_status, processes
from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import (
    ENDED,
    GPU,
    GROUP_ANNOTATION,
    POD,
    annotations_of,
    controller_of,
    deleting,
    labels_of,
    name_of,
    namespace_of,
    node_of,
    phase_of,
    requests,
    stamp,
    uid_of,
)
from knowngood.twin.behaviours.pod_status import DONE, READY, RUNNING, WAITING, Progress
from knowngood.twin.behaviours.programs import (
    Failing,
    GangProgram,
    ProcessProgram,
    Program,
    ProgramError,
    is_process,
)
from knowngood.twin.values import Object

BACKOFF_S = 10.0  # doubled with each restart, as the kubelet does
BACKOFF_MAX_S = 300.0

ProgramFactory = Callable[[Twin, Object], Program | None]


class Kubelets:
    """All nodes' kubelets."""

    def __init__(self, twin: Twin, special: ProgramFactory) -> None:
        self.twin = twin
        self._special = special
        self.runners: dict[str, Runner] = {}
        self.went_down: dict[str, str] = {}  # node -> when what ran there ended

    async def start(self) -> None:
        """Take up all pods that are bound to our nodes, now and later."""
        await self.twin.cache.ensure(POD)
        self.twin.cache.listen(POD, self._changed)
        for pod in self.twin.cache.all(POD):
            self._changed("ADDED", pod)

    def node_down(self, node: str) -> None:
        """The node stops: whatever ran there is gone, without goodbye."""
        self.went_down[node] = stamp()
        for uid, runner in list(self.runners.items()):
            if runner.node == node:
                runner.abandon()
                del self.runners[uid]

    def node_up(self, node: str) -> None:
        """The node is back: start its pods' containers again."""
        for pod in self.twin.cache.pods_on(node):
            self._changed("ADDED", pod)

    def gpu_pods(self, node: str) -> list[Object]:
        """Running pods on the node that hold a GPU."""
        pods = self.twin.cache.pods_on(node)
        return [p for p in pods if phase_of(p) == "Running" and GPU in requests(p["spec"])]

    def program(self, pod: Object) -> Program:
        """What the pod's containers do."""
        special = self._special(self.twin, pod)
        if special is not None:
            return special
        if is_process(pod):
            return ProcessProgram(
                self.twin, pod, self.view(pod, pod["spec"]["containers"][0]), self.log_path(pod)
            )
        if GROUP_ANNOTATION in annotations_of(pod):
            return GangProgram(self.twin, pod)
        return Program(self.twin, pod)

    def view(self, pod: Object, container: Object) -> processes.HostView:
        """How a container sees its node."""
        root = self.twin.world.machines[node_of(pod)].root
        return processes.host_view(pod, container, root, self._folder(pod) / "rootfs")

    def log_path(self, pod: Object, container: str = "") -> Path:
        """Where a container's log is."""
        return self._folder(pod) / f"{container or pod['spec']['containers'][0]['name']}.log"

    def _folder(self, pod: Object) -> Path:
        folder: Path = self.twin.pods_dir / uid_of(pod)
        return folder

    def _changed(self, event: str, pod: Object) -> None:
        machine = self.twin.world.machines.get(node_of(pod))
        if machine is None or not machine.up:
            return
        uid = uid_of(pod)
        runner = self.runners.get(uid)
        if event == "DELETED":
            if runner:
                runner.abandon()
                del self.runners[uid]
            return
        if runner is None:
            if phase_of(pod) in ENDED and not deleting(pod):
                return
            runner = self.runners[uid] = Runner(self, pod)
            runner.begin()
        runner.update(pod)


class Runner:
    """One pod's life on its node."""

    def __init__(self, kubelets: Kubelets, pod: Object) -> None:
        self.kubelets = kubelets
        self.twin = kubelets.twin
        self.node = node_of(pod)
        self.pod = pod
        self.program = self._program()
        old = (pod.get("status", {}).get("containerStatuses") or [{}])[0]
        again = 1 if old.get("containerID") else 0
        ended = kubelets.went_down.get(self.node) or stamp()
        self.progress = Progress(
            restarts=int(old.get("restartCount", 0)) + again, ended=ended if again else ""
        )
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def _program(self) -> Program:
        program = self.kubelets.program(self.pod)
        program.tell = self._failing
        return program

    async def _failing(self, containers: Failing) -> None:
        await self._show(failing=containers)

    def begin(self) -> None:
        """Start the pod's task, unless it is to go at once."""
        if not deleting(self.pod):
            self._task = self.twin.spawn(self._live(), f"pod {namespace_of(self.pod)}/{name_of(self.pod)}")

    def update(self, pod: Object) -> None:
        """The pod changed; a deletion starts its end."""
        self.pod = pod
        if deleting(pod) and not self._stopping:
            self._stopping = True
            self.twin.spawn(self._end(), f"end of pod {namespace_of(pod)}/{name_of(pod)}")

    def abandon(self) -> None:
        """Drop it without a word: the node is down, or the object is gone already."""
        if self._task:
            self._task.cancel()
        if isinstance(self.program, ProcessProgram):
            self.twin.spawn(self.program.stop(0), "kill")

    async def _live(self) -> None:
        backoff = BACKOFF_S
        while True:
            try:
                if self.program.has_init:
                    await self._show(init=RUNNING)
                await self.program.init()
                self.progress = replace(self.progress, init=DONE, message="", started=stamp())
                code = await self.program.run(self._ready)
            except ProgramError as error:
                at_init = self.progress.init != DONE
                self._say(str(error), init=at_init)
                await self._show(
                    init=WAITING if at_init else DONE,
                    main=WAITING,
                    reason=error.reason,
                    message=str(error),
                    **self._again(init=at_init),
                )
                await self.twin.clock.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX_S)
                self.program = self._program()
                continue
            if self.pod["spec"].get("restartPolicy") == "Never" or code == 0:
                await self._show(main=DONE, code=code, message=self.program.last_words)
                self._tell_job(code)
                return
            await self._show(main=WAITING, reason="CrashLoopBackOff", **self._again())
            await self.twin.clock.sleep(backoff)
            self.program = self._program()

    def _again(self, *, init: bool = False) -> dict[str, object]:
        """What a restart counts."""
        if init:
            return {"init_restarts": self.progress.init_restarts + 1}
        return {"restarts": self.progress.restarts + 1, "ended": stamp()}

    async def _ready(self) -> None:
        if not self.progress.started:
            self.progress = replace(self.progress, started=stamp())
        await self._show(main=READY)
        if GPU in requests(self.pod["spec"]):
            self.twin.fire(faults.GPU_POD, self.node)

    async def running(self) -> None:
        """The main container runs but is not ready yet."""
        await self._show(main=RUNNING)

    async def _show(self, **changes: object) -> None:
        self.progress = replace(self.progress, **changes)  # type: ignore[arg-type]
        machine = self.twin.world.machines[self.node]
        new = pod_status.status(self.pod, self.progress, self.twin.host_ip(self.node), pod_ip(self.pod))
        answer = await self.twin.api.status(self.pod, new)
        if answer is not None:
            self.pod = answer
        elif not machine.up:
            self.abandon()

    async def _end(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        grace = self.pod["metadata"].get("deletionGracePeriodSeconds")
        if self.progress.main in {RUNNING, READY} or self.progress.init == RUNNING:
            await self.program.stop(30.0 if grace is None else float(grace))
        if self.twin.world.machines[self.node].up:
            with contextlib.suppress(KeyError):
                del self.kubelets.runners[uid_of(self.pod)]
            await self.twin.api.delete(self.pod, grace=0)

    def _say(self, text: str, *, init: bool) -> None:
        """Append to the log of the container that spoke."""
        spec = self.pod["spec"]
        name = (spec["initContainers"] if init and spec.get("initContainers") else spec["containers"])[0][
            "name"
        ]
        path = self.kubelets.log_path(self.pod, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")

    def _tell_job(self, code: int) -> None:
        owner = controller_of(self.pod)
        if owner and owner["kind"] == "Job":
            self.twin.events.write(
                "job-ran",
                self.node,
                namespace=namespace_of(self.pod),
                job=owner["name"],
                pod=name_of(self.pod),
                exitCode=code,
                labels=dict(labels_of(self.pod)),
                index=annotations_of(self.pod).get("batch.kubernetes.io/job-completion-index", ""),
            )


def host_ip(node: str) -> str:
    """A node's address: invented, stable."""
    return f"10.0.{zlib.crc32(node.encode()) % 250 + 1}.{zlib.crc32(node.encode()) // 250 % 250 + 1}"


def pod_ip(pod: Object) -> str:
    """A pod's address: invented, stable."""
    number = zlib.crc32(uid_of(pod).encode())
    return f"10.128.{number % 250 + 1}.{number // 250 % 250 + 1}"
