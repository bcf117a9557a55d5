"""What a judgement costs the runner does not grow with the judgements before it, nor with nodes it is not about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.unit.engine.fake_cluster import FakeCluster, FakeNodes
from tests.unit.engine.fakes import FakeJournal
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import World

from knowngood.model.mover import Hold, Moving, Specs
from knowngood.model.node import NodeState
from knowngood.ports.cancel import Cancel
from knowngood.ports.nodes import Outcome


class Looked(FakeCluster):
    """Counts how often each node is looked at by the engine itself."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.looks: Counter[str] = Counter()

    def observe(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        self.looks.update(nodes)
        return super().observe(nodes, specs)


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


def test_what_a_judge_or_a_playbook_has_just_seen_is_not_looked_at_again() -> None:
    """The run's start; the playbooks of the fakes tell nothing, so the claim and the apply."""
    world = a_world()
    engine = an_engine(world)
    cluster = Looked(world)
    engine.ports = replace(engine.ports, cluster=cluster)
    end = engine.run().end
    assert end is not None
    assert end.name == "done"
    assert set(cluster.looks.values()) == {3}


class Telling(FakeNodes):
    """As the playbooks do: a claim and an apply tell what they have just measured."""

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        return self.told(super().claim(nodes, fence, cancel, hold=hold, specs=specs), specs)

    def apply(self, nodes: Sequence[str], fence: str, moves: Sequence[Moving], cancel: Cancel) -> Outcome:
        specs = {moving.component: moving.spec for moving in moves}
        return self.told(super().apply(nodes, fence, moves, cancel), specs)

    def told(self, outcome: Outcome, specs: Specs) -> Outcome:
        return replace(outcome, seen=FakeCluster(self.world).observe(outcome.done, specs))


def test_what_a_playbook_tells_is_what_the_engine_would_have_seen() -> None:
    ends = []
    for tells in (False, True):
        world = a_world()
        engine = an_engine(world)
        cluster = Looked(world)
        nodes = Telling(world) if tells else FakeNodes(world)
        engine.ports = replace(engine.ports, cluster=cluster, nodes=nodes)
        state = engine.run()
        looks = set(cluster.looks.values())
        windows = {path: result.detail.windows.keys() for path, result in state.results.items()}
        loads = {path: result.detail.loads for path, result in state.results.items()}
        ends.append((state.end, windows, loads))
        assert looks == ({1} if tells else {3})
    assert ends[0] == ends[1]
