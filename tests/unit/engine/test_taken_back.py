"""A run is done only where Git and the live objects still declare what it declared: others push, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.engine.fake_cluster import FakeDelivery
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import NEW, OLD, Commit, World

from knowngood.model.errors import DeadlineExceeded
from knowngood.model.field import FieldChange
from knowngood.model.state import End
from knowngood.ports.cancel import Cancel

FIELD = ("nvidiadriver-ring-0.yaml", "spec.version")


def run(world: World, *, on: bool = False) -> End:
    engine = an_engine(world)
    if on:
        engine.go_on()
    end = engine.run().end
    assert end is not None
    return end


def declares(world: World, version: str, *, live_only: bool = False) -> None:
    """Somebody else pushes that value for the canary's ring, or writes the live object."""
    if not live_only:
        world.commits.append(Commit(f"c-other-{version}", {**world.head().fields, FIELD: version}, {}))
    world.live = {**world.live, FIELD: version}


@pytest.mark.parametrize("live_only", [False, True], ids=["in Git", "past Git"])
def test_what_somebody_took_back_after_its_ring_was_proven_is_not_done(live_only: bool) -> None:
    """The nodes still run it, and the next pod of their driver would not: held, nothing promoted, no evidence."""
    calm, world = a_world(), a_world()
    run(calm)
    world.strike_at = calm.moments.index("judge hop-1/ring-2/batch-1/judge")  # the last commit is delivered
    world.meanwhile = lambda: declares(world, OLD, live_only=live_only)
    end = run(world)
    where = "the live object" if live_only else "Git"
    assert end.name == "held", end
    assert end.nodes == dict.fromkeys(("gpu-1", "gpu-2"), f"{where} holds spec.version {OLD}, not {NEW}")
    assert (world.promoted, world.failures) == ([], {})

    declares(world, NEW, live_only=live_only)
    assert run(world.revived(), on=True).name == "done"


class BranchOnly(FakeDelivery):
    """Brings what the branch says, and waits in vain for anything else."""

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        fields = self.world.head().fields
        if any(fields[change.file, change.path] != change.after for change in changes):
            raise DeadlineExceeded(f"Argo CD did not bring commit {commit}")
        return super().wait(commit, changes, deadline, cancel)


def test_a_commit_that_somebody_takes_back_at_once_is_a_taken_field_and_not_argo_cds_fault() -> None:
    """Nothing was drained yet: what was pushed goes back, and the reason names the field."""
    calm, world = a_world(), a_world()
    run(calm)
    world.strike_at = calm.moments.index("push")
    world.meanwhile = lambda: world.commits.append(Commit("c-other", {**world.head().fields, FIELD: OLD}, {}))
    engine = an_engine(world)
    engine.ports = replace(engine.ports, delivery=BranchOnly(world))
    end = engine.run().end
    assert end is not None
    assert end.name == "restored", end
    assert f"spec.version is {OLD}, not {NEW}: somebody else wrote it after commit" in end.why
    assert world.failures == {}
