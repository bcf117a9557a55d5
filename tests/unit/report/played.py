"""Records of real runs of the engine on fakes, for the reports to fold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import World

from knowngood.adapters.clock import timestamp
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import KnowngoodError
from knowngood.model.record import Record
from knowngood.report.summary import Summary, summarise

BAD_REASON = "Xid 31 <script>alert('x')</script> & more"
SECONDS_A_RECORD = timedelta(seconds=10)
Bad = Callable[[JudgeRequest, str, World], str]


@dataclass(frozen=True)
class Played:
    """A run's records and how to read what they name."""

    records: tuple[Record, ...]
    files: dict[str, bytes]

    def load(self, digest: str) -> Any:
        return json.loads(self.files[digest])

    @property
    def summary(self) -> Summary:
        return summarise(self.records, self.load)

    def until(self, step: str) -> Played:
        """The run as it was right after a step's intent."""
        for index, record in enumerate(self.records):
            if record.step == step:
                return Played(self.records[: index + 1], self.files)
        raise AssertionError(f"no {step} in this run")


def calm() -> Played:
    """A run that ends done."""
    return play(a_world())


def undone() -> Played:
    """A run whose canary fails a gate after the soak, twice, and is restored."""

    def bad(request: JudgeRequest, node: str, world: World) -> str:
        new = world.nodes[node].version == "595.91.07"
        after = request.name in ("hop-1/ring-0/confirm", "hop-1/ring-0/retest")
        return BAD_REASON if new and node == "gpu-1" and after else ""

    world = a_world()
    world.bad = bad
    return play(world)


def held() -> Played:
    """A run with a later node that fails alone: quarantined, the rest held."""
    world = a_world()
    world.bad = lambda request, node, world: BAD_REASON if _new(world, node) and node == "gpu-4" else ""
    return play(world)


def given_back() -> Played:
    """A run in which a tenant's budget gives a node back once."""
    world = a_world()
    world.blocked = {"gpu-3": 1}
    return play(world)


def _new(world: World, node: str) -> bool:
    return world.nodes[node].version == "595.91.07"


def play(world: World) -> Played:
    try:
        an_engine(world).run()
    except KnowngoodError as error:
        raise AssertionError(str(error)) from error
    began = datetime(2026, 8, 22, 3, 0, tzinfo=UTC)
    timed = (replace(r, time=timestamp(began + SECONDS_A_RECORD * r.seq)) for r in world.records)
    return Played(tuple(timed), dict(world.files))
