"""What a person is told to type next is what the program then does: no command is offered that refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine import test_holds
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import NEW, Commit, World
from tests.unit.report.played import Played, held, play, undone

from knowngood.model.context import JudgeRequest
from knowngood.model.errors import Refused
from knowngood.report.advice import next_steps

OTHER = "r20260822-031500-7f3a"


def bad_and_somebody_writes_the_field(request: JudgeRequest, node: str, world: World) -> str:
    """The canary fails, and meanwhile somebody else declares a third version for it."""
    if node != "gpu-1" or world.nodes[node].version != NEW:
        return ""
    if "c-other" not in {commit.sha for commit in world.commits}:
        fields = {**world.head().fields, ("nvidiadriver-ring-0.yaml", "spec.version"): "601.1"}
        world.commits.append(Commit("c-other", fields, {}))
    return "Xid 31"


def test_a_held_run_whose_way_back_has_begun_is_not_told_to_go_on() -> None:
    """Git would not take its revert, so no undo commit shows that it went back."""
    world = a_world()
    world.bad = bad_and_somebody_writes_the_field
    summary = play(world).summary
    assert (summary.end, summary.goes_on) == ("held", False)
    assert not [step for step in next_steps(summary) if "resume" in step]
    again = an_engine(world)
    again.go_on()
    with pytest.raises(Refused, match="has begun its way back"):
        again.run()


def test_a_held_run_that_stopped_on_its_way_is_told_to_go_on() -> None:
    summary = held().summary
    assert summary.goes_on
    assert f"mend what stopped it, then knowngood resume {summary.run}" in next_steps(summary)


def test_a_run_that_only_could_not_let_others_go_is_told_how_to() -> None:
    """All was proven: there is nothing to mend and nothing to go on with."""
    world = a_world()
    world.broken.add("pool-stays")
    test_holds.run(world)
    summary = Played(tuple(world.records), dict(world.files)).summary
    assert (summary.end, summary.goes_on) == ("held", False)
    assert "knowngood clear --holds" in next_steps(summary)
    assert not [step for step in next_steps(summary) if "resume" in step]


def test_a_run_that_a_reason_merely_names_is_not_told_to_go_on() -> None:
    """Its mark was left over; it ended long ago, and what clears the mark stands in the reason."""
    left = f"claim at gpu-1: left over from before: claim {OTHER}/3 (once it is well: knowngood clear gpu-1)"
    refused = replace(undone().summary, end="refused", why=left)
    assert next_steps(refused)[0] == "clear what the reason names"
    is_open = f"run {OTHER} has not ended; knowngood resume {OTHER}, or knowngood rollback {OTHER}"
    assert next_steps(replace(refused, why=is_open)) == (
        f"knowngood resume {OTHER}",
        f"knowngood rollback {OTHER}",
    )
