"""A disk that is full interrupts a run, also one that was just told to stop."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.fakes import FakeJournal
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import World

from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode, Interrupted, UsageError
from knowngood.model.record import Record
from knowngood.model.state import End


class FullDisk(FakeJournal):
    """The journal takes nothing more from one record on."""

    full_from = 0

    def append(self, record: Record) -> None:
        if record.seq >= self.full_from:
            raise UsageError(
                "the journal can't be written: No space left on device", hint="is the disk full?"
            )
        super().append(record)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_full_disk_interrupts_also_at_ctrl_c(cancelled: bool) -> None:
    world = a_world()
    engine = an_engine(world)
    journal = FullDisk(world)
    journal.full_from = 25
    engine.ports = replace(engine.ports, journal=journal)

    def stop(request: JudgeRequest, node: str, w: World) -> str:
        if cancelled and len(w.records) >= journal.full_from - 1:
            engine.cancel.set("SIGINT")
        return ""

    world.bad = stop
    with pytest.raises(Interrupted) as stopped:
        engine.run()
    assert stopped.value.exit_code is ExitCode.INTERRUPTED
    world.bad = lambda *_: ""
    assert an_engine(world).run().end == End("done", ExitCode.DONE)
