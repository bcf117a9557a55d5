"""What a node runs before its turn is compared with what its ring moves from, also where that only follows."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from tests.unit.engine.scene import a_plan

from knowngood.engine import restarts
from knowngood.engine.steps import Place, Verb
from knowngood.engine.work import Work
from knowngood.model.node import NodeState
from knowngood.model.plan import Move


@pytest.mark.parametrize(("running", "is_early"), [("4.18.1", False), ("4.19.7", True), ("", False)])
def test_what_follows_and_came_before_its_turn_is_told_though_no_version_of_it_is_planned(
    running: str, is_early: bool
) -> None:
    """A second hop brings a system that follows: the plan's own versions do not name it."""
    plan = a_plan()
    (first,) = plan.hops
    ring = replace(first.rings[0], own=(Move("system", "4.18.1", "4.19.7"),))
    second = replace(first, name="hop-2", moves=(Move("platform", "4.18", "4.19"),), rings=(ring,))
    plan = replace(plan, hops=(first, second))
    assert "system" not in {**plan.from_versions, **plan.to_versions}
    work = cast(Work, SimpleNamespace(plan=plan, state=SimpleNamespace(results={}, redone={})))
    step = Place.of(second, ring, "batch-1").step(Verb.CLAIM, ring.nodes[:1])
    seen = {"gpu-1": NodeState("gpu-1", reachable=True, versions={"system": running} if running else {})}
    found = restarts.otherwise(work, step, seen)
    assert list(found) == (["gpu-1"] if is_early else [])
    once_more = SimpleNamespace(results={}, redone={step.path.parent: ()})
    assert restarts.otherwise(cast(Work, SimpleNamespace(plan=plan, state=once_more)), step, seen) == {}
    assert all("it runs system 4.19.7 before the run came to it" in why for why in found.values())
