"""The class redfish: a drained machine's BMC is given an image, followed to its end, and believed by what then runs.

No controller of the cluster does it, so we do, and nobody fences a BMC: what is begun is written on the node before it
is asked for, so that a flash that goes on is followed and never begun twice; a Lease outlives it against others.
What a job says is progress only: the version that the machine tells counts, with the driver loaded on it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace

from knowngood.adapters.cluster import bmc_update, facts, redfish
from knowngood.adapters.kubernetes.client import ApiError, Object
from knowngood.adapters.movers import redfish_acts
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.movers.boots import boot_of
from knowngood.adapters.movers.flash_lease import FailureDomain
from knowngood.adapters.movers.flash_note import begun_of
from knowngood.adapters.movers.redfish_acts import BusyError
from knowngood.adapters.movers.watch import NOT_READY, UNREADABLE, Watch
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import NodeFailed, NotTold, Task
from knowngood.model.bmcs import BmcJob, BmcState, FirmwareImage
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Firmware, Mark, Moving
from knowngood.model.names import FLASH_ANNOTATION
from knowngood.planner.flash import Act, Begun, Seen, next_act
from knowngood.planner.readiness.bmc_jobs import is_over
from knowngood.planner.version import TEXT, runs

Look = tuple[Mapping[str, Mark] | None, str]
TOLD = {Firmware.SYSTEM: "bios", Firmware.MANAGER: "bmc"}
"""How a look at a BMC calls what runs."""


def apply(task: Task, name: str, turn: Turn) -> Arrived:
    """Have its BMC bring the version, unless it runs, and wait for the proof."""
    (moving,) = turn.moves
    if moving.spec.firmware is None:
        raise NodeFailed(f"the mover of {moving.component} does not say whose firmware it is")
    if not task.bmcs.at:
        raise NotTold("the cluster file names no BMCs (bmcs)")
    whole = task.limits.apply * max(len(task.batch), 1)  # others of its failure domain may go before
    watch = Watch(task, name, turn.ends_at + whole - task.limits.apply)
    flash = _Flash(task, name, moving, moving.spec.firmware, watch, whole + task.limits.apply)
    marks = watch.until(flash.look, moving.spec.words.it, age=whole)
    return Arrived(flash.worked, watch.held, marks)


class _Flash:
    """One machine. `worked`: something was begun, by us or by the runner before us."""

    def __init__(
        self, task: Task, name: str, moving: Moving, firmware: Firmware, watch: Watch, lasts: float
    ) -> None:
        self._task, self._name, self._moving, self._watch = task, name, moving, watch
        self._firmware = firmware
        self._bmc = redfish.bmc_of(task.bmcs, name)
        self._begun: Begun | None = begun_of(task.ours(name))
        self._domain = FailureDomain(task, name, firmware, watch.node, lasts)
        self._lasting: tuple[str, float] = ("", 0.0)
        self._now = ""  # which of the states that may not last this look found
        self._asked: float | None = None  # when it was asked to take the image
        self._resets = 0
        self._told = ""  # the job that the BMC named in its answer
        self._given_up = ""  # the job that it was asked to give up
        self.worked = self._begun is not None

    def look(self) -> Look:
        """Its mark, once the machine runs what is wanted and nothing of ours is under way any more."""
        self._now = ""
        try:
            return self._looked(self._watch.node)
        finally:
            if self._now != self._lasting[0]:
                self._lasting = ("", 0.0)

    def _looked(self, node: Object) -> Look:
        if not facts.node_ready(node):
            return None, NOT_READY
        try:
            return self._next(node, self._bmc.state())
        except Unreachable as error:
            why = f"its BMC {UNREADABLE}: {error}"
            return None, self._lasts(why, self._task.limits.node_unreachable, NotTold)

    def _next(self, node: Object, state: BmcState) -> Look:
        running = state.versions.get(TOLD[self._firmware], "")
        limit = self._task.limits.operand_age
        if not running:
            why = f"its BMC does not tell which {self._moving.component} it runs"
            return None, self._lasts(why, limit, NotTold)
        self._note(state)
        there = runs(self._moving.spec.scheme or TEXT, self._moving.after, running)
        seen = Seen(running, state.jobs, self._begun, boot_of(node))
        found = next_act(seen, self._moving.component, self._moving.after, there=there)
        match found.act:
            case Act.DONE | Act.START if self._may_still_come():
                return None, "whether its BMC has taken the image can't be told yet"
            case Act.DONE:
                self._end()
                return self._shown()
            case Act.START:
                return None, self._start(seen)
            case Act.RESET:
                return None, self._reset(node)
            case Act.CANCEL if found.job:
                return None, self._cancel(found.job)
            case Act.NOTE if found.job and self._begun:
                self._write(replace(self._begun, job=found.job.name))
            case Act.FAIL:
                raise NodeFailed(found.why)
            case Act.STUCK:
                return None, self._stuck(node, found.why)
            case Act.UNSURE if self._begun is None:
                raise NotTold(found.why)
            case Act.UNSURE:
                return None, self._lasts(found.why, limit, NotTold)
        return None, found.why

    def _note(self, state: BmcState) -> None:
        """What the BMC named is ours, whatever else came at the same time; what it gave up is no more."""
        jobs = {job.name: job for job in state.jobs}
        if self._begun and not self._begun.job and self._told in jobs:
            self._write(replace(self._begun, job=self._told))
        if self._given_up and (self._given_up not in jobs or is_over(jobs[self._given_up])):
            self._given_up = ""
            self._write(None)

    def _start(self, seen: Seen) -> str:
        """Give it the image, once that is proven and nobody else of its failure domain is at it."""
        limits, after = self._task.limits, self._moving.after
        image = self._task.bmcs.image(self._moving.component, after)
        if image is None:
            raise NotTold(f"bmcs.images names no image of {self._moving.component} {after}")
        if away := self._domain.away():
            return self._lasts(away, limits.node_unreachable, NotTold)
        if waits := self._domain.take():
            return waits
        try:
            return self._give(image, seen)
        except NodeFailed:  # it has taken nothing: others of its failure domain may go on
            self._domain.give()
            raise

    def _give(self, image: FirmwareImage, seen: Seen) -> str:
        """Written down before it is asked; what was begun before may still come, until it takes this one."""
        before, after = self._begun, self._moving.after
        way = bmc_update.way_of(bmc_update.update_service(self._bmc))
        if way is None:
            raise NotTold("its BMC takes no image: neither MultipartHttpPushUri nor SimpleUpdate is offered")
        with redfish_acts.proven(image, self._task.bmcs.ca) as file:
            self._write(Begun(self._moving.component, after, tuple(job.name for job in seen.jobs)))
            self._asked, self._told, self.worked = time.monotonic(), "", True
            try:
                self._told = redfish_acts.stage(self._bmc, way, self._firmware, image, file)
            except BusyError as error:
                self._write(before)
                return self._lasts(str(error), self._task.limits.operand_age, NotTold)
            except NodeFailed:
                self._write(before)
                raise
        return f"its BMC has been given {self._moving.component} {after}"

    def _may_still_come(self) -> bool:
        """Whether it was asked to take an image, by us or by a runner that was killed, and shows no job of it yet."""
        if self._begun is None or self._begun.job:
            return False
        self._asked = self._asked or time.monotonic()
        return time.monotonic() - self._asked < self._task.limits.operand_age

    def _reset(self, node: Object, *, force: bool = False) -> str:
        """Once a boot: what it was asked for is written down before."""
        if self._begun is None:
            raise NodeFailed("nothing was begun, so nothing is reset")
        if waits := self._domain.take():
            return waits
        now = self._task.ours(self._name)
        if not facts.node_ready(now) or boot_of(now) != boot_of(node):
            return NOT_READY  # its BMC boots it by itself
        self._write(replace(self._begun, reset=boot_of(node) or "of no boot"))
        self._resets += 1
        try:
            redfish_acts.reset(self._bmc, self._firmware, force=force)
        except BusyError as error:
            self._write(replace(self._begun, reset=""))
            return self._lasts(str(error), self._task.limits.operand_age, NotTold)
        return "it is reset by its BMC"

    def _stuck(self, node: Object, why: str) -> str:
        """It is activated, and does not run. A reset that never came is asked for once more, by force."""
        try:
            return self._lasts(why, self._task.limits.operand_age, NodeFailed)
        except NodeFailed:
            same_boot = self._begun is not None and self._begun.reset == boot_of(node)
            may = self._resets == 0 or (self._resets == 1 and self._firmware is Firmware.SYSTEM)
            if not (same_boot and may):
                raise
            self._lasting = ("", 0.0)
            return self._reset(node, force=True)

    def _cancel(self, job: BmcJob) -> str:
        """Ours, of another version, which only waits: it must not come with a later boot."""
        if self._given_up:
            why = f"job {job.name} was given up, and is {job.state}"
            return self._lasts(why, self._task.limits.operand_age, NodeFailed)
        self._task.ours(self._name)
        try:
            redfish_acts.cancel(self._bmc, job)
        except BusyError as error:
            return self._lasts(str(error), self._task.limits.operand_age, NotTold)
        self._given_up = job.name
        return f"job {job.name} is given up"

    def _shown(self) -> Look:
        """The mark: it runs on the load of the driver that is there, whose judgement covers both."""
        try:
            load = facts.module_load(self._task.kube, self._name)
        except (ApiError, Unreachable) as error:
            return None, f"its kernel log {UNREADABLE}: {type(error).__name__}"
        if load is None:
            return None, "no driver was loaded on this boot"
        return {self._moving.component: Mark(self._moving.after, load.boot_id, load.at)}, ""

    def _end(self) -> None:
        if self._begun is not None:
            self._write(None)
        self._domain.give()

    def _write(self, begun: Begun | None) -> None:
        """On the node, before anything is asked for by it; ClaimLost where the node is not ours any more."""
        text = json.dumps(asdict(begun), sort_keys=True) if begun else None
        claiming.note(self._task, self._name, FLASH_ANNOTATION, text)
        self._begun = begun

    def _lasts(self, why: str, limit: float, kind: type[NodeFailed]) -> str:
        """The state in words; `kind` once it has lasted for so many seconds."""
        now, (text, since) = time.monotonic(), self._lasting
        self._now = why
        if text != why:
            self._lasting = (why, now)
        elif now - since >= limit:
            raise kind(f"{why} for {now - since:.0f} s")
        return why
