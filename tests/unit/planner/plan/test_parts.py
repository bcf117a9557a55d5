"""A hop's fleet part and rings: who is declared once, and what comes to the nodes all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.unit.planner.matrices import (
    MOVER,
    cluster,
    component,
    declaration,
    matrix,
    release,
    with_component,
)

from knowngood.model.declared import Scope
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Cluster, Component, Declaration, Follows, Matrix, UndoClass
from knowngood.model.mover import MoverSpec, Proof, Starts
from knowngood.model.plan import Hop, Move
from knowngood.planner.plan.case import Case, Wishes
from knowngood.planner.plan.parts import Parts
from knowngood.planner.plan.planning import plan

DRIVER = declaration("nvidia-driver", ring=False)
TO = release("new", nvidia_driver="595.91.07")


def with_movers(value: Matrix, *components: Component) -> Matrix:
    for one in components:
        value = with_component(value, one)
    return value


def operator(*settles: str) -> Component:
    """An operator that is approved and makes these anew."""
    mover = replace(MOVER, starts=Starts.APPROVE, settles=settles)
    return replace(component("gpu-operator", "numeric", undo="procedure"), mover=mover)


def hops(value: Matrix, *declarations: str, by_ring: tuple[str, ...] = ()) -> tuple[Hop, ...]:
    found = [declaration(name, ring=name in by_ring) for name in (*declarations, *by_ring)]
    here = replace(value, clusters={"lab": cluster(*found)})
    return plan(here, "lab", "new").hops


def test_what_one_object_declares_for_all_nodes_is_a_fleet_part_and_comes_to_them_ring_by_ring() -> None:
    (hop,) = hops(matrix(TO), "nvidia-driver")
    assert hop.not_movable == ()
    assert hop.scope is Scope.CLUSTER
    assert hop.fleet is not None
    assert [(c.file, c.before, c.after) for c in hop.fleet.changes] == [
        ("gpu/nvidia-driver.yaml", "580.173.02", "595.91.07")
    ]
    assert [(r.name, r.changes, r.moves) for r in hop.rings] == [
        (name, (), (Move("nvidia-driver", "580.173.02", "595.91.07"),)) for name in ("ring-0", "ring-1")
    ]
    assert hop.leaky == "any new pod takes nvidia-driver 595.91.07"
    assert hop.without_canary == ()


def test_an_operator_brings_what_it_makes_anew_to_the_rings_at_its_own_version() -> None:
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator("nvidia-driver"))
    (hop,) = hops(value, "gpu-operator", "nvidia-driver")
    assert hop.fleet is not None
    assert [c.component for c in hop.fleet.changes] == ["gpu-operator"]
    assert {r.moves for r in hop.rings} == {(Move("nvidia-driver", "580.173.02", "580.173.02"),)}
    assert hop.without_canary == ("gpu-operator",)
    assert hop.leaky == "any new pod takes gpu-operator 26.7.1"


def test_the_movers_of_what_is_made_anew_are_frozen_too() -> None:
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator("nvidia-driver"))
    here = replace(value, clusters={"lab": cluster(declaration("gpu-operator", ring=False), DRIVER)})
    assert set(plan(here, "lab", "new").movers) == {"gpu-operator", "nvidia-driver"}


def test_where_nothing_comes_to_nodes_they_are_read_by_the_driver_which_holds_nobody() -> None:
    """Else no arrival and no uptime of a node could be told, and nothing of it be proven."""
    watched = replace(
        component("nvidia-driver", "nvidia-driver", movable=True),
        mover=replace(MOVER, proof=Proof("nvidia", "NVRM", "x"), holds=("machine-config-pool",)),
    )
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator(), watched)
    here = replace(value, clusters={"lab": cluster(declaration("gpu-operator", ring=False), DRIVER)})
    made = plan(here, "lab", "new")
    assert (set(made.movers), made.hops[0].rings) == ({"gpu-operator", "nvidia-driver"}, ())
    assert (made.holds, made.words) == ((), made.movers["gpu-operator"].words)


def test_an_operator_that_touches_no_node_has_no_rings() -> None:
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator())
    (hop,) = hops(value, "gpu-operator")
    assert (hop.rings, hop.leaky, hop.not_movable) == ((), "", ())


def test_an_operator_that_makes_anew_what_can_not_move_is_not_moved() -> None:
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator("doca-ofed"))
    (hop,) = hops(value, "gpu-operator")
    assert "makes doca-ofed anew on every node" in hop.not_movable[0]
    assert hop.fleet is None


def test_one_drain_serves_what_is_declared_for_all_and_what_is_declared_ring_by_ring() -> None:
    nic = replace(component("doca-ofed", "doca-ofed", movable=True), moves_with=("nvidia-driver",))
    both = release("new", nvidia_driver="595.91.07", doca_ofed="26.04-1.1.0.0-1")
    (hop,) = hops(with_movers(matrix(both), nic), "doca-ofed", by_ring=("nvidia-driver",))
    assert hop.fleet is not None
    assert [c.component for c in hop.fleet.changes] == ["doca-ofed"]
    for ring in hop.rings:
        assert [c.component for c in ring.changes] == ["nvidia-driver"]
        assert {m.component for m in ring.moves} == {"doca-ofed", "nvidia-driver"}
    assert hop.leaky == "any new pod takes doca-ofed 26.04-1.1.0.0-1"


AT = ObjectRef("config.openshift.io/v1", "ClusterVersion", "version")
BASE, NEW_BASE = "5.14.0-427.el9_4", "5.14.0-570.el9_6"
IMAGES = {v: f"mirror/ocp@sha256:{v}" for v in ("4.18.52", "4.18.53", "4.19.42")}


def platform(images: Mapping[str, str] = IMAGES) -> Matrix:
    """OpenShift that is declared once, its system that follows, and a driver that each boot loads anew."""
    fields = {
        "spec.channel": "stable-{minor}",
        "spec.desiredUpdate.version": "{version}",
        "spec.image": "{image}",
    }
    leads = MoverSpec(
        kind="cluster-version",
        starts=Starts.DECLARE,
        fields={"ClusterVersion": fields},
        holds=("machine-config-pool",),
        settles=("rhcos-kernel", "nvidia-driver"),
    )
    boots = MoverSpec(kind="machine-config", users=("all",), order=1)
    kernel = replace(
        component("rhcos-kernel", "kernel"),
        follows=Follows("openshift", {"4.18.x": BASE, "4.19.x": NEW_BASE}),
        mover=boots,
    )
    openshift = replace(component("openshift", "openshift", undo="forward-only"), mover=leads)
    at = Declaration("openshift", "ocp/version.yaml", "spec.desiredUpdate.version", AT, images)
    here = cluster(at, declaration("nvidia-driver"))
    value = with_movers(matrix(release("patch", openshift="4.18.53"), release("minor", openshift="4.19.42")))
    return replace(with_movers(value, openshift, kernel), clusters={"lab": here})


def test_a_release_of_the_cluster_is_declared_once_and_boots_each_ring() -> None:
    (hop,) = plan(platform(), "lab", "minor").hops
    assert (hop.not_movable, hop.undo) == ((), UndoClass.FORWARD_ONLY)
    assert hop.fleet is not None
    assert [(c.path, c.before, c.after) for c in hop.fleet.changes] == [
        ("spec.channel", "stable-4.18", "stable-4.19"),
        ("spec.desiredUpdate.version", "4.18.52", "4.19.42"),
        ("spec.image", "mirror/ocp@sha256:4.18.52", "mirror/ocp@sha256:4.19.42"),
    ]
    driver = Move("nvidia-driver", "580.173.02", "580.173.02")
    assert {(r.changes, r.moves) for r in hop.rings} == {((), (Move("rhcos-kernel", BASE, NEW_BASE), driver))}
    assert hop.leaky == "what nobody holds takes openshift 4.19.42"
    assert hop.without_canary == ("openshift",)


def test_within_a_minor_each_node_boots_too_and_there_is_no_way_back_either() -> None:
    made = plan(platform(), "lab", "patch")
    (hop,) = made.hops
    assert {m for r in hop.rings for m in r.moves if m.component == "rhcos-kernel"} == {
        Move("rhcos-kernel", BASE, BASE)
    }
    assert (hop.undo, made.point_of_no_return) == (UndoClass.FORWARD_ONLY, "hop-1")
    assert made.holds == ("machine-config-pool",)


def test_a_state_between_two_hops_has_what_followed() -> None:
    made = plan(platform(), "lab", "minor")
    assert made.versions_after(0)["openshift"] == "4.18.52"
    two = replace(made, hops=(*made.hops, made.hops[0]))
    assert two.versions_after(1)["rhcos-kernel"] == NEW_BASE
    (hop,) = made.hops
    line = Move("kubernetes", "1.31.0", "1.32.0")
    two = replace(two, hops=(replace(hop, follows=(*hop.follows, line)), hop))
    two = replace(two, from_versions={**two.from_versions, "kubernetes": "1.31.9"})
    assert "kubernetes" not in two.versions_after(1), "1.32.0 stands for its line, and no node runs 1.31.9"
    named = replace(two, to_versions={**two.to_versions, "kubernetes": "1.32.0"})
    assert named.versions_after(1)["kubernetes"] == "1.32.0"


def test_a_second_release_starts_from_what_followed_the_first_one() -> None:
    """The same kernel goes with both, so that nothing follows the second one, and the nodes boot all the same."""
    value = platform()
    old = value.releases["old"]
    old = replace(old, components={**old.components, "rhcos-kernel": BASE})  # as a release that names it
    value = replace(value, releases={**value.releases, "old": old})
    parts = Parts(Case.of(value, "lab", "minor", {}, Wishes()))
    first, second = Move("openshift", "4.18.52", "4.19.42"), Move("openshift", "4.19.42", "4.20.33")
    at = {"openshift": "4.18.52", "rhcos-kernel": BASE, "nvidia-driver": "580.173.02"}
    parts.of((first,), (Move("rhcos-kernel", BASE, NEW_BASE),), at)
    _, rings = parts.of((second,), (), {**at, "openshift": "4.19.42", "rhcos-kernel": NEW_BASE})
    assert {ring.moves[0] for ring in rings} == {Move("rhcos-kernel", NEW_BASE, NEW_BASE)}


def test_an_image_that_the_cluster_file_does_not_name_is_said_and_nothing_is_planned_with_it() -> None:
    (hop,) = plan(platform(images={"4.18.52": "mirror/ocp@sha256:1"}), "lab", "minor").hops
    assert hop.not_movable == (
        "openshift 4.18.52 to 4.19.42: not yet movable here, declare.openshift.images names no image of 4.19.42",
    )
    assert (hop.fleet, hop.rings) == (None, ())


def by_itself() -> Component:
    """A driver whose commit starts it on the nodes of its ring."""
    found = component("nvidia-driver", "nvidia-driver")
    return replace(found, mover=replace(MOVER, starts=Starts.DECLARE))


def with_batches(size: int) -> Cluster:
    """The first ring, of three nodes, in batches of that size."""
    found = cluster(declaration("nvidia-driver"))
    first, *others = found.rings
    return replace(found, rings=(replace(first, batch=size), *others))


def test_a_ring_whose_commit_starts_the_change_is_moved_at_once() -> None:
    value = replace(with_movers(matrix(TO), by_itself()), clusters={"lab": with_batches(3)})
    (hop,) = plan(value, "lab", "new").hops
    assert hop.not_movable == ()
    assert [ring.at_once for ring in hop.rings] == [True, True]
    (slow,) = hops(matrix(TO), by_ring=("nvidia-driver",))
    assert [ring.at_once for ring in slow.rings] == [False, False], "a restart waits for us"


def test_a_batch_smaller_than_a_ring_that_moves_at_once_is_refused_by_name() -> None:
    value = replace(with_movers(matrix(TO), by_itself()), clusters={"lab": with_batches(2)})
    (hop,) = plan(value, "lab", "new").hops
    assert "a batch of ring-0 is smaller (make it as large as the ring" in hop.not_movable[0]


def test_what_a_version_says_in_its_fields_moves_with_it_and_is_read_back() -> None:
    """By digest, and with the repository that it is in: all of it is the ring's commit."""
    said = {
        "580.173.02": {"spec.version": "sha256:00", "spec.repository": "mirror/r580"},
        "595.91.07": {"spec.version": "sha256:01", "spec.repository": "mirror/r595"},
    }
    here = replace(matrix(TO), clusters={"lab": cluster(replace(declaration("nvidia-driver"), texts=said))})
    declared = {("nvidia-driver", ring): "sha256:00" for ring in ("ring-0", "ring-1")}
    (hop,) = plan(here, "lab", "new", declared=declared).hops
    assert [(c.path, c.before, c.after) for c in hop.rings[0].changes] == [
        ("spec.version", "sha256:00", "sha256:01"),
        ("spec.repository", "mirror/r580", "mirror/r595"),
    ]
    assert hop.rings[0].moves == (Move("nvidia-driver", "580.173.02", "595.91.07"),)


def test_a_digest_that_nobody_names_is_refused_and_a_version_without_its_texts_does_not_move() -> None:
    here = matrix(TO)
    with pytest.raises(UsageError, match="nobody says which version that is"):
        plan(here, "lab", "new", declared={("nvidia-driver", "ring-0"): "sha256:00"})
    partly = replace(declaration("nvidia-driver"), texts={"580.173.02": {"spec.version": "sha256:00"}})
    (hop,) = plan(replace(here, clusters={"lab": cluster(partly)}), "lab", "new").hops
    (why,) = hop.not_movable
    assert why.endswith("not yet movable here, declare.nvidia-driver.texts says nothing of 595.91.07")


def test_objects_of_one_file_each_have_their_change() -> None:
    """Two Subscriptions in one file differ in the object alone."""
    value = with_movers(matrix(release("new", gpu_operator="26.7.1", nvidia_driver="595.91.07")), operator())
    both = [
        replace(declaration(name, ring=False), file="all.yaml") for name in ("gpu-operator", "nvidia-driver")
    ]
    made = plan(replace(value, clusters={"lab": cluster(*both)}), "lab", "new")
    changes = [c for hop in made.hops if hop.fleet for c in hop.fleet.changes]
    assert {(c.object.name, c.after) for c in changes} == {
        ("gpu-operator", "26.7.1"),
        ("nvidia-driver", "595.91.07"),
    }


def test_what_brings_every_commit_moves_alone_and_after_all_others() -> None:
    """Though it says that it moves with another one, and though its hop has no canary and so would come first."""
    gitops = replace(
        component("openshift-gitops", "numeric", undo="procedure"),
        moves_with=("gpu-operator",),
        mover=replace(MOVER, starts=Starts.APPROVE, delivers=True),
    )
    old = release("old", gpu_operator="26.3.3", openshift_gitops="1.16.0")
    to = release("new", nvidia_driver="595.91.07", openshift_gitops="1.20.0")
    value = with_movers(matrix(old, to), operator(), gitops)
    made = hops(value, "nvidia-driver", "gpu-operator", "openshift-gitops")
    assert [m.component for m in made[-1].moves] == ["openshift-gitops"]
    assert made[-1].why[0].startswith("it brings every commit and every way back")
