"""Upgrades by hand are judged as a run judges: since the module's load, without what earlier runs caused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.movers import MOVERS
from tests.unit.engine.fakes import FakeCheckpoint
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import NEW, OLD, World

from knowngood.cli import gate_since
from knowngood.model.context import Span, Window
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState

NODE, BOOT = "gpu-1", "boot-gpu-1"


def seen(
    load: float | None, version: str = OLD, uptime: float = 900.0, boot: str = BOOT
) -> dict[str, NodeState]:
    marks = {} if load is None else {"nvidia-driver": Mark(version, boot, load)}
    return {NODE: NodeState(NODE, reachable=True, boot_id=boot, uptime_seconds=uptime, marks=marks)}


def taken(load: float | None = 10.0) -> dict[str, Any]:
    """A baseline file of a cluster on which no run of ours ever was."""
    state = seen(load)
    kept = gate_since.kept(state, gate_since.before(state, FakeCheckpoint(a_world())), "2026-08-22T03:00:00Z")
    found: dict[str, Any] = json.loads(json.dumps({**kept, "figures": {}}))
    return found


def loads(*moments: float) -> gate_since.Loads:
    return lambda _node: tuple(Mark(NEW, BOOT, at) for at in moments)


def test_the_cluster_as_it_is_counts_the_drivers_errors_since_its_load() -> None:
    found = gate_since.now(seen(10.0))
    assert found.loads == {NODE: Window(BOOT, 10.0, "")}
    assert found.windows == {NODE: Window(BOOT, 0.0, "")}


def test_after_an_upgrade_errors_count_since_the_first_load_that_came_after_the_baseline() -> None:
    """Not since the last one: a second try by hand would hide what the first one said."""
    found = gate_since.after(taken(), seen(1200.0, NEW, 1300.0), loads(10.0, 1000.0, 1200.0))
    assert found.loads == {NODE: Window(BOOT, 1000.0, "")}
    assert found.windows[NODE].monotonic == 900.0


def test_where_nothing_was_loaded_anew_both_sides_count_since_the_same_load() -> None:
    kept = taken() | {"excluded": {NODE: [{"boot_id": BOOT, "start": 20.0, "end": 30.0}]}}
    found = gate_since.after(kept, seen(10.0, uptime=1300.0), loads(10.0))
    assert found.loads == {NODE: Window(BOOT, 10.0, "")}
    assert found.excluded == {NODE: (Span(BOOT, 20.0, 30.0),)}


@pytest.mark.parametrize(
    ("before", "now", "moments"),
    [
        (None, seen(10.0, uptime=1300.0), (10.0,)),
        (10.0, seen(None, uptime=1300.0), ()),
        (10.0, seen(5.0, uptime=50.0, boot="another"), (5.0,)),
    ],
    ids=["the baseline did not know its load", "no banner now", "rebooted since"],
)
def test_where_no_such_load_is_known_errors_count_since_the_baseline(
    before: float | None, now: dict[str, NodeState], moments: tuple[float, ...]
) -> None:
    found = gate_since.after(taken(before), now, loads(*moments))
    assert NODE not in found.loads
    assert found.windows[NODE].monotonic == 900.0


def test_a_baseline_by_hand_leaves_out_what_a_run_of_ours_caused() -> None:
    world = a_world()
    world.bad = lambda request, node, w: _xid(node, w) if not request.taking_baseline else ""
    an_engine(world).run()
    cluster = an_engine(world).ports.cluster.observe(tuple(world.nodes), MOVERS)
    found = gate_since.before(cluster, FakeCheckpoint(world))
    assert set(found.excluded) == {"gpu-1", "gpu-2"}


def _xid(node: str, world: World) -> str:
    return "Xid 31" if node == "gpu-1" and world.nodes[node].version == NEW else ""
