"""Why a component can't be moved, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.planner.matrices import MOVER, cluster, component, declaration

from knowngood.model.matrix import Cluster, Component, Follows
from knowngood.model.mover import MoverSpec
from knowngood.planner.movable import comes_with, obstacle

DRIVER = component("nvidia-driver", "nvidia-driver", movable=True)
STRANGER = replace(DRIVER, mover=replace(MOVER, fields={"Driver": {"spec.other": "{version}"}}))


SYSTEM = replace(
    component("rhcos-kernel", "kernel"),
    follows=Follows("openshift", {"4.18.x": "5.14.0"}),
    mover=MoverSpec(kind="machine-config"),
)


@pytest.mark.parametrize(
    ("of", "where", "why"),
    [
        (SYSTEM, None, ""),
        (SYSTEM, cluster(declaration("openshift", ring=False)), ""),
        (SYSTEM, cluster(), "lab does not say where Git declares openshift, which it follows"),
        (DRIVER, None, ""),
        (DRIVER, cluster(), ""),
        (replace(DRIVER, judged_only=True), None, "read and judged only"),
        (replace(DRIVER, mover=None), cluster(), "not yet movable"),
        (replace(DRIVER, mover=replace(MOVER, kind="unheard-of")), None, "not yet movable"),
        (DRIVER, cluster(declaration("doca-ofed")), "lab does not say where Git declares it"),
        (STRANGER, cluster(), "its mover does not know Driver spec.version in gpu/nvidia-driver-{ring}.yaml"),
    ],
)
def test_what_stands_in_the_way_is_said(of: Component, where: Cluster | None, why: str) -> None:
    found = obstacle(of, where)
    assert why in (found.why if found else "")
    assert bool(found) is bool(why)
    if found:
        assert len(found.change) > 20, "what would have to change is said, too"


def test_what_is_not_declared_is_told_where_it_could_be() -> None:
    found = obstacle(DRIVER, cluster(declaration("doca-ofed")))
    assert found is not None
    assert found.change == "name it under declare in clusters/lab.yaml: Driver spec.version"


def test_what_follows_a_component_that_moves_comes_with_it_unless_the_release_names_it() -> None:
    """As Kubernetes comes with OpenShift: no mover of its own is missed."""
    leader = replace(DRIVER, name="openshift")
    follower = replace(component("kubernetes", "numeric"), follows=Follows("openshift", {"4.18.x": "1.31.0"}))
    both = {one.name: one for one in (leader, follower)}
    assert comes_with(follower, both, None, ()) == "openshift"
    assert comes_with(follower, both, None, ("kubernetes",)) == ""
    assert comes_with(follower, both, cluster(declaration("openshift", ring=False)), ()) == "openshift"
    assert comes_with(follower, both, cluster(), ()) == "", "its leader does not move there"
    assert comes_with(leader, both, None, ()) == ""
    assert comes_with(follower, {}, None, ()) == ""
