"""The soak: each node of a ring carries the work that the profile asks for, tenants' own and else ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from knowngood.engine.steps import RingStep
from knowngood.engine.work import Done, Work, named
from knowngood.model.detail import Detail
from knowngood.model.errors import CouldNot, DeadlineExceeded, Interrupted, KnowngoodError, LockHeld
from knowngood.model.record import Status
from knowngood.planner.gpu_work import Meter
from knowngood.ports.cancel import Cancel

LOOKS = 20
"""Samples of a soak, at least; between two of them pass at most a minute and at least a twentieth of a second."""


def soak(work: Work, step: RingStep) -> Done:
    """Let tenants work for the soak's time, then fill up by a synthetic load what a node has not carried.

    That nobody works there says nothing of the release. What could not be sampled counts as no work, and where the
    load can't run either, the step is interrupted: CouldNot.
    """
    limit = work.cluster.limits.soak
    machines = {node: work.hardware.of(node) for node in step.nodes}
    wanted = {node: one.soak_gpu_share * one.gpus * limit for node, one in machines.items()}
    every = max(0.05, min(60.0, limit / LOOKS))
    _cleared(work, work.cancel)  # what a killed runner left
    soaked = _Soak(work, step, Meter(3 * every + 5.0, {n: one.gpus for n, one in machines.items()}), every)
    soaked.tenants(limit)
    if short := soaked.short(wanted):
        soaked.fill(short, wanted)
    return soaked.told(wanted, limit)


@dataclass(slots=True)
class _Soak:
    work: Work
    step: RingStep
    meter: Meter
    every: float
    free: Mapping[str, float] | None = None  # GPUs that no tenant asks for, as last seen

    def tenants(self, limit: float) -> None:
        """Look on for the soak's whole time."""
        clock = self.work.ports.clock
        began = clock.monotonic()

        def over() -> bool:
            self._look()
            return clock.monotonic() - began >= limit

        what = f"{limit:.0f} s of soak"
        clock.wait_for(over, deadline=limit + 600.0, what=what, cancel=self.work.cancel, every=self.every)

    def short(self, wanted: Mapping[str, float]) -> dict[str, float]:
        """Node -> GPU-seconds that it still has to carry."""
        return {n: wanted[n] - c for n in self.step.nodes if (c := self.meter.carried(n)) < wanted[n]}

    def fill(self, short: Mapping[str, float], wanted: Mapping[str, float]) -> None:
        """Run our own load until every node has carried enough; it is gone afterwards, whatever happened."""
        load, run, clock = self.work.ports.load, self.work.run, self.work.ports.clock
        gpus = {n: self._gpus(n) for n in short}
        seconds = max(short[n] / gpus[n] for n in short)
        deadline = seconds * 2 + self.work.cluster.limits.judge

        def filled() -> bool:
            self._look(ours=True)
            return not self.short(wanted)

        try:
            load.start(run, gpus, deadline)
            what, cancel = "synthetic load", self.work.cancel
            clock.wait_for(filled, deadline=deadline, what=what, cancel=cancel, every=min(self.every, 5.0))
        except DeadlineExceeded as error:
            trouble = self._unfilled(wanted, deadline)
            _cleared(self.work, self.work.cancel)
            raise trouble from error
        except Exception:
            # Not the run's cancel: what was started is cleared away also when the run is called off.
            _cleared(self.work, Cancel())
            raise
        _cleared(self.work, self.work.cancel)

    def _unfilled(self, wanted: Mapping[str, float], seconds: float) -> CouldNot:
        why = self.work.ports.load.trouble(self.work.run)
        told = {n: why.get(n, f"{gap:.0f} GPU-seconds are missing") for n, gap in self.short(wanted).items()}
        return CouldNot(
            named(f"the soak's work could not be filled up in {seconds:.0f} s", told),
            hint="see that a pod of the probe's image can run there (image, quota, PriorityClass of deploy/)",
        )

    def told(self, wanted: Mapping[str, float], limit: float) -> Done:
        """Who worked how much."""
        tenants = sum(self.meter.tenants.get(n, 0.0) for n in self.step.nodes)
        ours = {n: s for n in self.step.nodes if (s := self.meter.synthetic.get(n, 0.0))}
        why = ""
        if ours:
            least, most = min(wanted.values()), max(wanted.values())
            asked = f"{least:.0f}" + (f" to {most:.0f}" if most > least else "") + " GPU-seconds a node"
            why = (
                f"tenants brought {tenants:.0f} GPU-seconds in all; a synthetic load of {sum(ours.values()):.0f}"
                f" filled up to {asked} on {', '.join(sorted(ours)[:5])}{' and others' if len(ours) > 5 else ''}"
            )
        detail = Detail(
            why=why,
            seconds=limit,
            wanted_gpu_seconds=round(max(wanted.values()), 1),
            tenants_gpu_seconds=round(tenants, 1),
            synthetic_gpu_seconds=round(sum(ours.values()), 1),
            filled=tuple(sorted(ours)[:20]),
            unseen_seconds=round(self.meter.unseen, 1),
        )
        each = {
            n: {"tenants": self.meter.tenants.get(n, 0.0), "synthetic": self.meter.synthetic.get(n, 0.0)}
            for n in self.step.nodes
        }
        return Done(Status.OK, detail, self.work.keep("soak", each))

    def _gpus_of(self, node: str) -> int:
        return self.work.hardware.of(node).gpus

    def _gpus(self, node: str) -> int:
        free = (self.free or {}).get(node, float(self._gpus_of(node)))
        return max(1, int(free))

    def _look(self, *, ours: bool = False) -> None:
        """One sample; what can't be asked is not work."""
        try:
            use = self.work.ports.cluster.gpu_use(self.step.nodes)
            mine = self.work.ports.load.working(self.work.run) if ours else {}
        except (Interrupted, LockHeld):
            raise
        except KnowngoodError:
            self.meter.blind()
            return
        self.free = {n: self._gpus_of(n) - u.asked for n, u in use.items()}
        self.meter.sample(self.work.ports.clock.monotonic(), use, mine)


def _cleared(work: Work, cancel: Cancel) -> None:
    if left := work.ports.load.clear(work.run, cancel):
        raise CouldNot(f"the synthetic load can't be deleted: {left}")
