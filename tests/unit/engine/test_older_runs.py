"""A run that an older version began reads as before: its measurements, its plan, and it goes on to the same end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.movers import MOVERS
from tests.unit.engine.fakes import ports
from tests.unit.engine.kills import killed
from tests.unit.engine.scene import a_cluster, a_hardware, a_plan, a_world, an_engine
from tests.unit.engine.world import NEW, OLD, World

from knowngood.engine.engine import Engine, frozen_plan
from knowngood.model.jsonable import to_json
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState, node_from

NODE = NodeState("gpu-1", reachable=True, boot_id="b1", marks={"nvidia-driver": Mark(OLD, "b1", 12.5)})


def older_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node as older versions kept it: one load."""
    mark = next(iter(node["marks"].values()), None)
    load = {"version": mark["version"], "boot_id": mark["boot_id"], "monotonic": mark["at"]} if mark else None
    return {**{k: v for k, v in node.items() if k != "marks"}, "load": load}


def older(data: bytes) -> bytes:
    """A kept file as older versions wrote it."""
    value = json.loads(data)
    if isinstance(value, dict) and "hops" in value:
        del value["movers"]
        for ring in (r for hop in value["hops"] for r in hop["rings"]):
            ring.pop("own", None)
    elif isinstance(value, dict) and value and all("marks" in (v or {}) for v in value.values()):
        value = {name: older_node(node) for name, node in value.items()}
    return json.dumps(value, sort_keys=True).encode()


def begun(boundary: int) -> World:
    """A run that an older version began on this machine, and that was killed there."""
    world = killed(a_world(), boundary, lambda w: an_engine(w).run())
    world.files = {digest: older(data) for digest, data in world.files.items()}
    return world


def test_one_load_is_the_mark_of_what_moved() -> None:
    assert node_from(older_node(to_json(NODE)), ["nvidia-driver"]) == NODE
    assert node_from({**older_node(to_json(NODE)), "load": None}, ["nvidia-driver"]).marks == {}
    assert node_from(to_json(NODE), []) == NODE


@pytest.mark.parametrize("boundary", [12, 20, 26])
@pytest.mark.parametrize("bad", [False, True])
def test_a_run_that_an_older_version_began_goes_on_to_the_same_end(boundary: int, *, bad: bool) -> None:
    """With the movers that the matrix has now, since its plan froze none."""
    world = begun(boundary)
    if bad:
        world.bad = lambda _request, node, w: "Xid 79" if w.nodes[node].version == NEW else ""
    open_ports = ports(world)
    plan = frozen_plan(open_ports, "run-1")
    assert not plan.movers
    engine = Engine(open_ports, plan.moved_by(MOVERS), a_cluster(), a_hardware(), "run-1")
    end = engine.run().end
    assert end is not None
    assert end.name == ("restored" if bad else "done"), end


def test_a_plan_without_movers_moves_nothing() -> None:
    """Nobody is drained by guess."""
    world = begun(12)
    plan = frozen_plan(ports(world), "run-1")
    engine = Engine(ports(world), plan, a_cluster(), a_hardware(), "run-1")
    before = {name: node.version for name, node in world.nodes.items()}
    engine.cluster = a_cluster()
    with pytest.raises(Exception, match="does not say how nvidia-driver moves"):
        engine.run()
    assert {name: node.version for name, node in world.nodes.items()} == before


def test_a_plan_that_has_its_movers_takes_no_others() -> None:
    assert a_plan().moved_by({}).movers == MOVERS
