"""The clusters of a fleet, stage by stage: each in a `knowngood` of its own, with its own journal and Lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from knowngood.cli.terminal import say
from knowngood.model.errors import ExitCode, KnowngoodError
from knowngood.model.stages import Stage
from knowngood.planner.stages import Turn, turn
from knowngood.ports.cancel import Cancel

WORST_FIRST = (
    ExitCode.HUMAN,
    ExitCode.INTERRUPTED,
    ExitCode.RESTORED,
    ExitCode.LOCKED,
    ExitCode.INCONCLUSIVE,
    ExitCode.REFUSED,
    ExitCode.USAGE,
)
"""Of several clusters that are not proven, whose exit code is the fleet's."""
ASK = 0.5
"""Seconds between two looks at whether somebody wants to stop."""


class Run(Protocol):
    """One cluster's run, on its way."""

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        ...

    def interrupt(self) -> None:
        """Ask it to stop."""
        ...

    def last_words(self) -> str:
        """What it said last."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a cluster's turn ended."""

    code: int
    why: str = ""


@dataclass
class FleetRun:
    """Plays the stages. `begin` starts a run; `proven` reads anew which clusters are pinned to where they go.

    Afterwards `ended` says how each turn ended, and `pinned` which clusters were proven when that was last read.
    """

    stages: Sequence[Stage]
    aim: Mapping[str, str]
    begin: Callable[[str], Run]
    proven: Callable[[], AbstractSet[str]]
    cancel: Cancel
    ended: dict[str, Ended] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    _running: dict[Future[int], tuple[str, Run]] = field(default_factory=dict)

    def play(self) -> ExitCode:
        """To the end of the last stage, or of the first that is not proven; what has begun goes to its own end.

        Where we can't go on ourselves, every run is interrupted: nobody is left to hear how it ends.
        """
        self.pinned |= self.proven()
        with ThreadPoolExecutor(max_workers=max(1, len(self.aim))) as pool:
            try:
                self._play(pool)
            except BaseException:
                self._interrupt()
                raise
        return self._code()

    def _play(self, pool: ThreadPoolExecutor) -> None:
        told = False
        while True:
            now = self._turn()
            for cluster in now.start if not self.cancel.is_set() else ():
                self._start(now, cluster, pool)
            if not self._running:
                if self.cancel.is_set() or not self._turn().start:
                    return
                continue
            done, _ = wait(self._running, timeout=ASK, return_when=FIRST_COMPLETED)
            if self.cancel.is_set() and not told:
                told = True
                self._interrupt()
            for future in done:
                self._over(future)

    def _interrupt(self) -> None:
        for _, run in self._running.values():
            run.interrupt()

    def _turn(self) -> Turn:
        running = {cluster for cluster, _ in self._running.values()}
        return turn(self.stages, self.aim, self.pinned, running, self.ended.keys() - self.pinned)

    def _start(self, now: Turn, cluster: str, pool: ThreadPoolExecutor) -> None:
        stage = now.stage.name if now.stage else ""
        try:
            run = self.begin(cluster)
        except KnowngoodError as error:
            self.ended[cluster] = Ended(int(error.exit_code), str(error))
            say(f"{stage}: {cluster} does not start: {error}", err=True)
            return
        say(f"{stage}: {cluster} → {self.aim[cluster]}", err=True)
        self._running[pool.submit(run.wait)] = (cluster, run)

    def _over(self, future: Future[int]) -> None:
        """Keep how a run ended; done alone proves nothing, what the matrix pins does."""
        cluster, run = self._running.pop(future)
        code = future.result()
        why = run.last_words() if code else ""
        if code == ExitCode.DONE:
            try:
                self.pinned |= self.proven()
                why = "done, but the matrix does not pin it: its record is not delivered"
            except KnowngoodError as error:
                why = f"done, but what the matrix says now can't be read: {error}"
        if cluster in self.pinned:
            self.ended[cluster] = Ended(int(ExitCode.DONE))
            say(f"{cluster}: proven", err=True)
            return
        self.ended[cluster] = Ended(code or int(ExitCode.INCONCLUSIVE), why)
        say(f"{cluster}: exit {self.ended[cluster].code}, {why}", err=True)

    def _code(self) -> ExitCode:
        codes = {e.code for cluster, e in self.ended.items() if cluster not in self.pinned}
        worst = next((c for c in WORST_FIRST if c in codes), ExitCode.DONE)
        if worst is not ExitCode.DONE or self.aim.keys() <= self.pinned:
            return worst
        return ExitCode.INTERRUPTED if self.cancel.is_set() else ExitCode.INCONCLUSIVE
