"""What a judgement costs the runner does not grow with the judgements before it, nor with nodes it is not about."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.unit.engine.fakes import FakeJournal
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import World


class Counted(FakeJournal):
    """Counts how often each kept file is read."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.reads: Counter[str] = Counter()

    def get(self, digest: str) -> bytes:
        self.reads[digest] += 1
        return super().get(digest)


def test_a_run_reads_each_of_its_files_once_and_asks_gates_about_no_other_node() -> None:
    world = a_world()
    engine = an_engine(world, batch=1)
    journal = Counted(world)
    engine.ports = replace(engine.ports, journal=journal)
    end = engine.run().end
    assert end is not None
    assert end.name == "done"
    assert journal.reads
    # A record's own file is read back as the record is expanded, a judgement's where later ones compare with it.
    assert max(journal.reads.values()) <= 2
    for request in engine.ports.gates.requests:  # type: ignore[attr-defined]
        assert {key.partition("/")[2] for key in request.baseline} <= set(request.nodes)
