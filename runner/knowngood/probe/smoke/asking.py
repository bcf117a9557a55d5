"""Many requests at once on each device: every answer is compared, and the times of all are kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from knowngood.probe.answer import percentile
from knowngood.probe.smoke.by_value import Finding
from knowngood.probe.smoke.completions import Answered, Endpoint, Expected, Failed, ask, wrong
from knowngood.probe.smoke.ends import no_room
from knowngood.probe.values import Object, Values

CONCURRENCY, REQUESTS = 8, 64
"""Requests at once on each device, and in all. Ours."""
FAILED = "a request failed"
"""How the words of a finding begin where no answer came."""
PATIENCE = 30.0
"""Seconds without a word from a server: an answer takes well under one."""


class Load:
    """`requests` requests on each endpoint, `concurrency` of them at once. `until`: monotonic seconds."""

    def __init__(
        self,
        places: Sequence[Endpoint],
        known: Sequence[Expected],
        tolerance: float,
        params: Values,
        until: float,
    ) -> None:
        self._places, self._known, self._tolerance, self._until = places, known, tolerance, until
        self._each = max(1, int(params.get("requests", REQUESTS)))
        self._at_once = max(1, int(params.get("concurrency", CONCURRENCY)))
        self._patience = float(params.get("patience", PATIENCE))
        self._took: dict[int, list[Answered]] = {n: [] for n in range(len(places))}
        self._wrong: dict[int, list[str]] = {n: [] for n in range(len(places))}
        self._seconds: dict[int, float] = {}
        self._lock = threading.Lock()

    def run(self) -> None:
        """Ask all devices at the same time; the first request of each is not counted."""
        threads = [
            threading.Thread(target=self._device, args=(n,), daemon=True) for n in range(len(self._places))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _device(self, number: int) -> None:
        self._one(number, 0, counted=False)
        if self._wrong[number]:
            return
        turns = iter(range(self._each))
        started = time.perf_counter()
        askers = [
            threading.Thread(target=self._asker, args=(number, turns), daemon=True)
            for _ in range(self._at_once)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        self._seconds[number] = time.perf_counter() - started

    def _asker(self, number: int, turns: Iterator[int]) -> None:
        while not self._wrong[number]:
            if time.monotonic() > self._until:
                return
            with self._lock:
                turn = next(turns, None)
            if turn is None:
                return
            self._one(number, turn, counted=True)

    def _one(self, number: int, turn: int, *, counted: bool) -> None:
        wanted = self._known[turn % len(self._known)]
        try:
            got = ask(self._places[number], wanted.prompt, wanted.most, self._patience)
            words = wrong(got, wanted, self._tolerance)
        except Failed as error:
            words = f"{FAILED}: {error}"
        with self._lock:
            if words:
                self._wrong[number].append(words)
            elif counted:
                self._took[number].append(got)

    @property
    def failed(self) -> bool:
        """Whether any answer was wrong or missing."""
        return any(self._wrong.values())

    def findings(self) -> Iterator[Finding]:
        """What is wrong, of each device the first; or that not all was asked."""
        for number, said in self._wrong.items():
            if said:
                why = no_room(said[0])
                yield Finding(f"{why}: {said[0]}" if why else said[0], number, ok=None if why else False)
        if self.failed:
            return
        for number, took in self._took.items():
            if len(took) < self._each:
                yield Finding(f"{len(took)} of {self._each} requests were answered in time", number, ok=None)

    def figures(self) -> Object:
        """Of the slowest device each: milliseconds, requests and tokens a second."""
        devices = [self._of(number) for number in self._took if self._took[number]]
        if len(devices) < len(self._places):
            return {}
        least = {key: min(d[key] for d in devices) for key in ("requestsPerSecond", "tokensPerSecond")}
        most = {key: max(d[key] for d in devices) for key in devices[0] if key not in least}
        each = [d["tokensPerSecond"] for d in devices]
        return {
            **least,
            **most,
            "requests": self._each,
            "concurrency": self._at_once,
            "rankTokensPerSecond": each,
        }

    def _of(self, number: int) -> dict[str, float]:
        took, seconds = self._took[number], self._seconds[number]
        firsts = [a.first * 1000 for a in took]
        gaps = [gap * 1000 for a in took for gap in a.gaps]
        return {
            "requestsPerSecond": round(len(took) / seconds, 2),
            "tokensPerSecond": round(sum(len(a.tokens) for a in took) / seconds, 1),
            "firstTokenP50Ms": percentile(firsts, 50),
            "firstTokenP99Ms": percentile(firsts, 99),
            "nextTokenP50Ms": percentile(gaps, 50),
            "nextTokenP99Ms": percentile(gaps, 99),
        }
