"""The clusters of a fleet, stage by stage: each in a `knowngood` of its own, with its own journal and Lease."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
    """Plays the stages. `begin` starts a run; `proven` reads anew which clusters are pinned to where they go."""

    stages: Sequence[Stage]
    aim: Mapping[str, str]
    begin: Callable[[str], Run]
    proven: Callable[[], Collection[str]]
    cancel: Cancel
    ended: dict[str, Ended] = field(default_factory=dict)
    _running: dict[Future[int], tuple[str, Run]] = field(default_factory=dict)

    def play(self) -> ExitCode:
        """To the end of the last stage, or of the first that is not proven; what has begun goes to its own end."""
        proven = {*self.proven()}
        told = False
        with ThreadPoolExecutor(max_workers=max(1, len(self.aim))) as pool:
            while True:
                now = self._turn(proven)
                for cluster in now.start if not self.cancel.is_set() else ():
                    self._start(now, cluster, pool)
                if not self._running:
                    if self.cancel.is_set() or not self._turn(proven).start:
                        break
                    continue
                done, _ = wait(self._running, timeout=ASK, return_when=FIRST_COMPLETED)
                if self.cancel.is_set() and not told:
                    told = True
                    for _, run in self._running.values():
                        run.interrupt()
                for future in done:
                    proven |= self._over(future)
        return self._code(proven)

    def _turn(self, proven: Collection[str]) -> Turn:
        running = {cluster for cluster, _ in self._running.values()}
        failed = {cluster for cluster in self.ended if cluster not in proven}
        return turn(self.stages, self.aim, proven, running, failed)

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

    def _over(self, future: Future[int]) -> set[str]:
        """Keep how a run ended; the clusters that are proven by now."""
        cluster, run = self._running.pop(future)
        code = future.result()
        proven: set[str] = set()
        why = run.last_words() if code else ""
        if code == ExitCode.DONE:
            try:
                proven = {*self.proven()}
                why = (
                    ""
                    if cluster in proven
                    else "done, but the matrix does not pin it: its record is not delivered"
                )
            except KnowngoodError as error:
                why = f"done, but what the matrix says now can't be read: {error}"
            code = code if cluster in proven else int(ExitCode.INCONCLUSIVE)
        self.ended[cluster] = Ended(code, why)
        say(f"{cluster}: {'proven' if cluster in proven else f'exit {code}, {why}'}", err=True)
        return proven

    def _code(self, proven: Collection[str]) -> ExitCode:
        codes = {e.code for cluster, e in self.ended.items() if cluster not in proven}
        worst = next((c for c in WORST_FIRST if c in codes), ExitCode.DONE)
        return ExitCode.INTERRUPTED if self.cancel.is_set() and worst is ExitCode.DONE else worst
