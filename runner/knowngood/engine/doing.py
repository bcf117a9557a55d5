"""Doing one step: again where it could not be done, by the table in `trouble`; an outcome, or Interrupted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from knowngood.engine.steps import RingStep, Step, Verb
from knowngood.engine.trouble import Meaning, Patience, Phase, meaning, phase_of, status_of, told
from knowngood.engine.verbs import perform
from knowngood.engine.work import Done, NodesCouldNot, Work
from knowngood.model.errors import CouldNot, Interrupted, KnowngoodError, LockHeld
from knowngood.model.record import Status

CLOCK_JUMP = 60.0
"""Seconds: far above what NTP slews in a run, far below what would move a change window."""


def then_resume(run: str, mend: str = "") -> str:
    """What to do about an interruption: what mends it, where that is known, and how the run goes on then."""
    return "; then ".join(filter(None, (mend, f"knowngood resume {run}")))


@dataclass
class Doing:
    """Does the steps of one run in this process. `undo`: seconds that a way back tries again what could not be done."""

    undo: float

    def __post_init__(self) -> None:
        self._back_since: float | None = None  # when this process began the way back

    def do(self, work: Work, step: Step) -> Done:
        """Do a step; what goes wrong outside the verdicts means what the table in `trouble` says.

        Forward, what did not answer is asked once more; on the way back, until its own deadline. A step that could not
        be done has no outcome: the run is interrupted, and `resume` repeats it.
        """
        patience = Patience(work.ports.clock.monotonic, self._undo_ends(work, step))
        while True:
            try:
                self._steady(work, step)
                return self._stand_firm(work, step, perform(work, step))
            except (Interrupted, LockHeld):
                raise
            except Exception as error:  # noqa: BLE001 (a bug of ours must not leave nodes half done)
                work.cancel.check()
                trouble, phase = error, self._phase(work, step)
            meant = meaning(trouble, phase)
            if meant not in (Meaning.UNCHANGED, Meaning.INTERRUPT, Meaning.AGAIN):
                return Done(status_of(meant, trouble), told(trouble))
            pause = patience.next_pause(phase, trouble)
            if pause is not None:
                self._wait(work, pause)
            elif meant is Meaning.UNCHANGED:
                return Done(status_of(meant, trouble), told(trouble))
            else:
                return self._given_up(work, phase, trouble)

    def _given_up(self, work: Work, phase: Phase, trouble: Exception) -> Done:
        """A step that could not be done in its time: Interrupted, so that `resume` repeats it.

        On the way back a node that others keep from us must not keep the rest: where the cluster answers, the outcome
        names it and the way back goes on.
        """
        if phase is Phase.BACK and isinstance(trouble, NodesCouldNot):
            with suppress(KnowngoodError):
                work.ports.cluster.identity()
                return trouble.done
        mend = getattr(trouble, "hint", "")
        raise Interrupted(f"stopped: {trouble}", hint=then_resume(work.run, mend)) from trouble

    def _phase(self, work: Work, step: Step) -> Phase:
        """Where the run stands. A first commit that surely never left changes nothing, so the run may end there."""
        declared = any(p.verb == Verb.DECLARE for p in work.state.results)
        if not isinstance(step, RingStep) or step.verb is not Verb.DECLARE or step.undo or declared:
            return phase_of(step)
        try:
            left = work.ports.gitops.find(work.trailers(step))
        except KnowngoodError:
            left = "perhaps"
        return Phase.FORWARD if left else Phase.START

    def _steady(self, work: Work, step: Step) -> None:
        """CouldNot where this machine's clock jumped: windows and what evidence says of time would be wrong.

        A way back is not kept by it.
        """
        jump = work.ports.clock.jumped()
        if abs(jump) > CLOCK_JUMP and step.verb is not Verb.RECLAIM and phase_of(step) is not Phase.BACK:
            raise CouldNot(
                f"this machine's clock jumped by {jump:.0f} s", hint="set it right (NTP), and go on"
            )

    def _stand_firm(self, work: Work, step: Step, done: Done) -> Done:
        """The outcome; where nothing could be told, only if we can still ask at all. Raises what the cluster says."""
        if done.status is Status.INCONCLUSIVE and phase_of(step) is not Phase.START:
            work.ports.cluster.identity()
            changes = step.ring.changes if isinstance(step, RingStep) else ()
            if missing := tuple(work.ports.readiness.rights(changes)):
                raise CouldNot(f"we may not do all of it any more: {missing[0]}")
        return done

    def _undo_ends(self, work: Work, step: Step) -> float:
        """When this process gives a way back up for now, on the monotonic clock; counted from its first step here."""
        if self._back_since is None and phase_of(step) is Phase.BACK:
            self._back_since = work.ports.clock.monotonic()
        return (self._back_since or 0.0) + self.undo

    def _wait(self, work: Work, seconds: float) -> None:
        until = work.ports.clock.monotonic() + seconds
        work.ports.clock.wait_for(
            lambda: work.ports.clock.monotonic() >= until or None,
            deadline=seconds + 60,
            what="the next try",
            cancel=work.cancel,
            every=seconds / 2,
        )
