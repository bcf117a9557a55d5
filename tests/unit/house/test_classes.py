"""A class of movers is one adapter and one role, both called as a component file calls the class, and none is large."""

from __future__ import annotations

from pathlib import Path

from tests.movers import EVERY

from knowngood.adapters.movers.fleet_work import FLEETS
from knowngood.adapters.movers.node_work import MOVERS, mover

ROOT = Path(__file__).parents[3]
ROOM = ROOT / "runner/knowngood/adapters/movers"
ROLES = ROOT / "playbooks/collections/ansible_collections/knowngood/fleet/roles"
LINES = 250


def test_each_class_has_its_adapter_and_its_role_and_each_role_its_class() -> None:
    kinds = {spec.kind for spec in EVERY.values()}
    kinds |= {other.kind for spec in EVERY.values() for other in spec.instead.values()}
    classes = {kind.replace("-", "_") for kind in kinds}
    assert classes == {kind.replace("-", "_") for kind in {*FLEETS, *MOVERS}}
    assert all((ROOM / f"{name}.py").is_file() for name in classes)
    assert {role.name.removeprefix("mover_") for role in ROLES.glob("mover_*")} == classes


def test_each_class_of_nodes_can_be_called_by_its_name() -> None:
    assert all(callable(mover(kind)) for kind in MOVERS)


def test_no_file_of_a_class_has_250_lines() -> None:
    """A class that needs more has files beside its adapter, each about one thing."""
    lengths = {path.name: len(path.read_text().splitlines()) for path in ROOM.glob("*.py")}
    assert not {name: lines for name, lines in lengths.items() if lines >= LINES}
