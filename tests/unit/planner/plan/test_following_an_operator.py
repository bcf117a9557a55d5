"""A version that Git leaves to an operator's ClusterServiceVersion moves with that operator, and only so."""

from __future__ import annotations

from dataclasses import replace

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.matrix import Cluster, Follows, Matrix
from knowngood.model.plan import Move
from knowngood.planner.movable import comes_with, obstacle
from knowngood.planner.plan.planning import plan
from knowngood.planner.plan.still import still

SHIPPED = load(matrix_dir())
DRIVER, OPERATOR = "nvidia-driver", "gpu-operator"
OLD, NEW = "25.10.1", "26.3.0"
BRINGS = {OLD: "580.105.08", NEW: "580.126.20"}
FROM = SHIPPED.releases["h200-4.18-r580.105"]


def prod(brings: dict[str, str] | None = None) -> Cluster:
    """A cluster whose ClusterPolicy names no driver."""
    shipped = SHIPPED.clusters["fra-prod"]
    kept = tuple(d for d in shipped.declarations if d.component == OPERATOR)
    return replace(
        shipped, declarations=kept, release=FROM.name, follows={DRIVER: Follows(OPERATOR, brings or BRINGS)}
    )


def matrix(own: Cluster, **versions: str) -> Matrix:
    changed = {name.replace("_", "-"): version for name, version in versions.items()}
    to = replace(FROM, name="to", components={**FROM.components, **changed})
    return replace(SHIPPED, clusters={own.name: own}, releases={**SHIPPED.releases, "to": to})


def test_the_operator_brings_it_and_each_ring_takes_it_in_its_turn() -> None:
    made = plan(matrix(prod(), gpu_operator=NEW, nvidia_driver=BRINGS[NEW]), "fra-prod", "to")
    (hop,) = made.hops
    assert not hop.not_movable
    assert [m.component for m in hop.moves] == [OPERATOR]
    assert Move(DRIVER, BRINGS[OLD], BRINGS[NEW]) in hop.follows
    for ring in hop.rings:
        assert Move(DRIVER, BRINGS[OLD], BRINGS[NEW]) in ring.moves
        assert ring.changes == (), "Git says nothing of it"
    assert {c.component for c in hop.fleet.changes} == {OPERATOR} if hop.fleet else False


def test_a_release_with_another_version_than_the_operator_brings_can_not_be_moved_to() -> None:
    made = plan(matrix(prod(), gpu_operator=NEW, nvidia_driver="580.173.02"), "fra-prod", "to")
    (why,) = made.hops[0].not_movable
    assert (
        f"{DRIVER} 580.173.02: it follows {OPERATOR} here, and {OPERATOR} {NEW} brings {BRINGS[NEW]}" in why
    )


def test_a_release_that_keeps_the_version_while_the_operator_brings_another_can_not_be_moved_to() -> None:
    made = plan(matrix(prod(), gpu_operator=NEW), "fra-prod", "to")
    (why,) = made.hops[0].not_movable
    assert f"{OPERATOR} {NEW} brings {BRINGS[NEW]}" in why


def test_an_operator_of_which_nobody_says_what_it_brings_is_not_moved() -> None:
    own = prod({OLD: BRINGS[OLD]})
    made = plan(matrix(own, gpu_operator=NEW, nvidia_driver=BRINGS[NEW]), "fra-prod", "to")
    assert "is not named in the cluster file" in made.hops[0].not_movable[0]


def test_it_can_not_move_without_its_operator() -> None:
    made = plan(matrix(prod(), nvidia_driver=BRINGS[NEW]), "fra-prod", "to")
    assert f"Git leaves it to {OPERATOR}, with which it moves" in made.hops[0].not_movable[0]


def test_it_is_shown_as_coming_with_its_operator() -> None:
    own = prod()
    component = SHIPPED.components[DRIVER]
    assert comes_with(component, SHIPPED.components, own, FROM.components) == OPERATOR
    assert obstacle(component, own) is not None


def test_what_a_run_would_need_can_be_asked_for() -> None:
    assert still(matrix(prod()), "fra-prod").hops[0].fleet is not None


def test_an_operator_that_takes_two_steps_brings_one_version_with_each() -> None:
    """The second hop starts from what the first one brought, not from what ran before the run."""
    between, far, last = "26.3.3", "26.7.0", "580.173.02"
    brings = {OLD: BRINGS[OLD], between: BRINGS[NEW], far: last}
    made = plan(matrix(prod(brings), gpu_operator=far, nvidia_driver=last), "fra-prod", "to")
    first, second = made.hops
    assert [m.to_version for hop in made.hops for m in hop.moves] == [between, far]
    for hop, before, after in ((first, BRINGS[OLD], BRINGS[NEW]), (second, BRINGS[NEW], last)):
        assert not hop.not_movable
        assert Move(DRIVER, before, after) in hop.follows
        assert all(Move(DRIVER, before, after) in ring.moves for ring in hop.rings)
    assert second.rings


def test_a_step_in_between_of_which_nobody_says_what_it_brings_is_not_made() -> None:
    far, last = "26.7.0", "580.173.02"
    brings = {OLD: BRINGS[OLD], far: last}
    made = plan(matrix(prod(brings), gpu_operator=far, nvidia_driver=last), "fra-prod", "to")
    assert any("is not named in the cluster file" in why for hop in made.hops for why in hop.not_movable)
