"""One machine's BMC: what it runs, its jobs, and what becomes of an image that it is given. No HTTP here.

Two dialects: DMTF's, whose tasks are forgotten when the BMC starts anew, and an iDRAC's, whose jobs outlive that and
are Scheduled until a boot (dell/iDRAC-Redfish-Scripting). An image is JSON: {"part": "bios" | "bmc", "version": ...}.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

DMTF, DELL = "dmtf", "dell"
TAKES_S, BURNS_S, RESTARTS_S, POST_S = 20.0, 60.0, 120.0, 240.0
"""Seconds of the cluster's time: to look at an image, to write it, for the BMC's own start, for one in a boot."""
PENDING = "Job completed, server reboot pending"

Sleep = Callable[[float], Awaitable[None]]
Struck = Callable[[str, str], bool]
"""Whether a fault of that name is on for this machine now, where it comes to that version; then it counts as hit."""


@dataclass
class Job:
    """A job, in the words of its dialect. `part`, `version`: what it brings."""

    name: str
    state: str
    what: str
    part: str = ""
    version: str = ""
    percent: int = 0
    message: str = ""
    began: float = 0.0


def no_fault(_name: str, _version: str) -> bool:
    """Nothing goes wrong."""
    return False


async def _at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


@dataclass
class Bmc:
    """The BMC of one machine. `boots` boots the host: it is awaited until that is up again.

    `versions`: what runs, by part. `away`: nobody answers. `refusing`: it answers with this status only.
    """

    dialect: str
    versions: dict[str, str]
    boots: Callable[[str], Awaitable[None]]
    sleep: Sleep = _at_once
    struck: Struck = no_fault
    changed: Callable[[str, str], None] = lambda _part, _version: None
    jobs: dict[str, Job] = field(default_factory=dict)
    away: bool = False
    refusing: int = 0
    begun: list[str] = field(default_factory=list)  # every image that it ever took: part and version
    resets: list[str] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict)  # name of who is signed in -> secret
    _written: dict[str, str] = field(default_factory=dict)  # part -> what the next boot brings
    _work: set[asyncio.Task[None]] = field(default_factory=set)
    _count: int = 0

    def take(self, image: bytes | None, when: str) -> tuple[int, str, Job | None]:
        """Take an image: the status, the message, and the job that was made of it. `when`: Immediate, or OnReset."""
        part, version = _read(image)
        if self.struck("lifecycle-controller-busy", version):
            return 503, "Unable to run the method because Lifecycle Controller is currently in use.", None
        if self.struck("bmc-refuses-downgrade", version):
            return 400, f"Version {version} is not allowed by the downgrade policy.", None
        job = self._job(f"Firmware Update: {part.upper() or 'unknown'}", part, version)
        self.begun.append(f"{part} {version}")
        self._spawn(self._bring(job, when))
        return 202, "", job

    def stage_foreign(self) -> None:
        """A colleague staged something for the next boot."""
        job = self._job("Firmware Update: NIC, by a colleague", "", "")
        job.state = self._scheduled

    def give_up(self, name: str) -> bool:
        """Whether a job that waits was taken off."""
        job = self.jobs.get(name)
        if job is None or job.state not in {self._scheduled, "UserIntervention", "New"}:
            return False
        if self._written.get(job.part) == job.version:
            del self._written[job.part]
        del self.jobs[name]
        return True

    async def reset_host(self, kind: str) -> None:
        """The host boots; a graceful one may be left undone by its system."""
        self.resets.append(f"system {kind}")
        if kind == "GracefulRestart" and self.struck("reset-is-not-heeded", ""):
            return
        await self.boots("redfish reset")

    async def reset_self(self, kind: str) -> None:
        """The BMC starts anew."""
        self.resets.append(f"manager {kind}")
        await self._restart(self._written.pop("bmc", ""))

    def booted(self) -> None:
        """The host came through a boot: what is staged is there now, and its jobs end."""
        for job in self.jobs.values():
            if job.state not in {self._scheduled, "UserIntervention"} or not job.part:
                continue
            if self.struck("job-stuck-at-scheduled", job.version):
                return
            if self.struck("bios-staged-not-running", job.version):
                self._written.pop(job.part, None)
            self._end(job)
        if version := self._written.pop("bios", ""):
            self._run("bios", version)

    @property
    def _scheduled(self) -> str:
        return "Scheduled" if self.dialect == DELL else "Pending"

    @property
    def staged(self) -> dict[str, str]:
        """What the next boot brings, by part."""
        return dict(self._written)

    async def _bring(self, job: Job, when: str) -> None:
        job.state = "Downloading" if self.dialect == DELL else "Running"
        await self.sleep(TAKES_S)
        if not job.version:
            self._fail(job, "The image is not valid for this device.")
            return
        if self.struck("bmc-task-exception", job.version):
            self._fail(job, "Unable to verify Update Package signature.")
            return
        job.state, job.percent = "Running", 50
        await self.sleep(BURNS_S)
        self._written[job.part] = job.version
        if job.part == "bmc":
            if when != "OnReset":
                await self._own(job)
            else:
                self._end(job)
        elif when == "OnReset" or self.dialect == DELL:
            await self._stage(job)
        else:
            self._end(job)  # it is written, and comes with the next boot

    async def _stage(self, job: Job) -> None:
        job.state, job.percent = self._scheduled, 0
        if self.struck("job-reboot-pending", job.version):
            job.state, job.percent, job.message = "UserIntervention", 100, PENDING
        if self.struck("reboots-by-itself", job.version):
            await self.boots("idrac")

    async def _own(self, job: Job) -> None:
        """Its own firmware: it starts anew with it, and is away meanwhile."""
        version = self._written.pop("bmc")
        if self.struck("bmc-burned-not-running", job.version):
            version = ""
        self._end(job)
        await self._restart(version)

    async def _restart(self, version: str) -> None:
        self.away = True
        if self.dialect == DMTF:
            self.jobs.clear()
        await self.sleep(RESTARTS_S)
        if self.struck("bmc-does-not-come-back", version):
            return
        self.away = False
        if self.struck("idrac-goes-away", version):
            for self.refusing in (401, 404, 503):
                await self.sleep(RESTARTS_S / 4)
            self.refusing = 0
        if version:
            self._run("bmc", version)

    def _run(self, part: str, version: str) -> None:
        self.versions[part] = version
        self.changed(part, version)

    def _end(self, job: Job) -> None:
        job.state, job.percent, job.message = "Completed", 100, "Job completed successfully."

    def _fail(self, job: Job, message: str) -> None:
        job.state = "Failed" if self.dialect == DELL else "Exception"
        job.message = message

    def _job(self, what: str, part: str, version: str) -> Job:
        self._count += 1
        name = f"JID_{4711_0000_0000 + self._count}" if self.dialect == DELL else str(self._count)
        self.jobs[name] = Job(name, "New", what, part, version)
        return self.jobs[name]

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def stop(self) -> None:
        """End what it is at."""
        for task in self._work:
            task.cancel()


def _read(image: bytes | None) -> tuple[str, str]:
    try:
        found = json.loads(image or b"")
        return str(found["part"]), str(found["version"])
    except (ValueError, KeyError, TypeError):
        return "", ""
