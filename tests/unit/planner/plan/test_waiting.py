"""Two minors, one boot: in channel eus the control plane goes twice, and each node once, over both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import Location, Refused
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration, Matrix, ReleaseStatus, Rule, Severity
from knowngood.model.plan import Move, Plan
from knowngood.planner.plan.case import Wishes
from knowngood.planner.plan.planning import plan

CLUSTER, BEFORE, BETWEEN, AFTER = "ams-prod", "4.18.51", "4.19.41", "4.20.33"
EARLIER, LATER = "26.3.3", "26.7.0"
BASE, NEW_BASE = "5.14.0-427.el9_4", "5.14.0-570.el9_6"
AT = ObjectRef("config.openshift.io/v1", "ClusterVersion", "version")


def declaring(*versions: str) -> Declaration:
    """Where Git declares it, with the images that the mirror has."""
    images = {v: f"mirror.example.com/ocp@sha256:{v}" for v in versions}
    return Declaration("openshift", "platform/version.yaml", "spec.desiredUpdate.version", AT, images)


@pytest.fixture(name="shipped", scope="module")
def _shipped() -> Matrix:
    """Ours, with the cluster's OpenShift declared, and a release that differs by that alone."""
    value = load(matrix_dir())
    old = value.releases["r580"]
    old = replace(old, components={**old.components, "openshift": BEFORE, "rhcos-kernel": BASE})
    new = {**old.components, "openshift": AFTER, "rhcos-kernel": NEW_BASE}
    goal = replace(old, name="next", components=new, status=ReleaseStatus.CANDIDATE, supersedes="")
    here = value.clusters[CLUSTER]
    here = replace(here, declarations=(*here.declarations, declaring(BEFORE, BETWEEN, AFTER)))
    releases = {**value.releases, "r580": old, "next": goal}
    return replace(value, releases=releases, clusters={**value.clusters, CLUSTER: here})


@pytest.fixture(name="made", scope="module")
def _made(shipped: Matrix) -> Plan:
    return plan(shipped, CLUSTER, "next", wishes=Wishes("eus"))


def test_the_control_plane_goes_twice_and_each_ring_once_over_both(made: Plan) -> None:
    first, second = made.hops
    assert (first.not_movable, second.not_movable) == ((), ())
    assert (first.paused, first.rings, first.disturbed) == (True, (), 0)
    assert not second.paused
    moves = {m for ring in second.rings for m in ring.moves if m.component == "rhcos-kernel"}
    assert moves == {Move("rhcos-kernel", BASE, NEW_BASE)}, "one boot brings a node over both"
    assert [ring.name for ring in second.rings] == ["ring-0", "ring-1", "ring-2"]
    assert first.proves_again == ()
    assert second.proves_again, "the kernel that evidence was taken on is gone then"


def test_git_asks_for_the_goals_channel_from_the_first_commit_on(made: Plan) -> None:
    first, second = (hop.fleet for hop in made.hops)
    assert first is not None
    assert second is not None
    assert ("spec.channel", "stable-4.18", "eus-4.20") in {(c.path, c.before, c.after) for c in first.changes}
    assert "spec.channel" not in {c.path for c in second.changes}


def test_nothing_between_the_two_is_a_place_to_rest_and_the_first_is_the_point_of_no_return(
    made: Plan,
) -> None:
    assert made.resting == ()
    assert made.point_of_no_return == "hop-1"
    assert made.versions_after(1)["rhcos-kernel"] == BASE, "nodes are as they were"
    assert made.starts_with("gpu-1")["rhcos-kernel"] == BASE
    assert made.holds[0] == "machine-config-pool"


def test_what_a_person_must_know_is_said_before(made: Plan) -> None:
    told = "; ".join(made.warnings)
    assert f"all pools of workers stay paused over {BETWEEN}" in told
    assert "MachineConfigControllerPausedPoolKubeletCA" in told
    assert "cpu-1, cpu-2: of no ring, so OpenShift drains and boots them itself, once" in told


def test_operators_must_fit_the_minor_in_between_too(shipped: Matrix) -> None:
    """A rule that only the minor in between breaks leaves no plan."""
    odd = Rule(
        name="not-on-the-odd-one",
        severity=Severity.BLOCK,
        when={"openshift": "4.19.x"},
        require={"gpu-operator": "<1.0.0"},
        message="this operator does not know that OpenShift",
        sources=(),
        where=Location("rule.yaml"),
    )
    value = replace(shipped, rules={**shipped.rules, odd.name: odd})
    with pytest.raises(Refused, match="not-on-the-odd-one"):
        plan(value, CLUSTER, "next", wishes=Wishes("eus"))


def with_operator(shipped: Matrix, *rules: Rule) -> Matrix:
    """The GPU Operator moves, too; and these rules hold."""
    old = shipped.releases["r580"]
    old = replace(old, components={**old.components, "gpu-operator": EARLIER})
    every = {**shipped.rules, **{rule.name: rule for rule in rules}}
    return replace(shipped, releases={**shipped.releases, "r580": old}, rules=every)


def needs(openshift: str, operator: str) -> Rule:
    return Rule(
        name=f"operator-on-{openshift}",
        severity=Severity.BLOCK,
        when={"openshift": f"{openshift}.x"},
        require={"gpu-operator": operator},
        message=f"OpenShift {openshift} wants gpu-operator {operator}",
        sources=(),
        where=Location("rule.yaml"),
    )


@pytest.mark.parametrize(
    ("minor", "first"), [("4.20", "gpu-operator"), ("4.18", "openshift")], ids=["before both", "after both"]
)
def test_what_else_moves_does_so_before_the_nodes_wait_or_after(
    shipped: Matrix, minor: str, first: str
) -> None:
    early = needs(minor, f">={LATER}") if first == "gpu-operator" else needs(minor, f"<{LATER}")
    made = plan(with_operator(shipped, early), CLUSTER, "next", wishes=Wishes("eus"))
    order = [move.component for hop in made.hops for move in hop.moves]
    assert order == sorted(order, reverse=first == "openshift"), order
    assert order.count("openshift") == 2
    boots = [hop.name for hop in made.hops if any(m.component == "rhcos-kernel" for m in hop.follows)]
    assert boots == [hop.name for hop in made.hops if hop.moves[0].to_version == AFTER], "where nodes boot"
    assert [rest.after for rest in made.resting] == (["hop-1"] if first == "gpu-operator" else ["hop-2"])


def test_what_would_have_to_move_while_nodes_wait_leaves_no_plan(shipped: Matrix) -> None:
    value = with_operator(shipped, needs("4.18", f"<{LATER}"), needs("4.20", f">={LATER}"))
    with pytest.raises(Refused, match="nothing moves there but OpenShift") as refused:
        plan(value, CLUSTER, "next", wishes=Wishes("eus"))
    assert "without --channel eus" in refused.value.hint


def test_the_image_of_the_minor_in_between_is_asked_for(shipped: Matrix) -> None:
    here = shipped.clusters[CLUSTER]
    here = replace(here, declarations=(*here.declarations[:-1], declaring(BEFORE, AFTER)))
    made = plan(
        replace(shipped, clusters={**shipped.clusters, CLUSTER: here}), CLUSTER, "next", wishes=Wishes("eus")
    )
    assert any(f"images names no image of {BETWEEN}" in why for why in made.hops[0].not_movable)


def test_a_channel_whose_releases_are_not_in_stable_yet_moves_nothing(shipped: Matrix) -> None:
    made = plan(shipped, CLUSTER, "next", wishes=Wishes("fast"))
    assert all(
        "not yet movable by channel fast, only by stable and eus" in hop.not_movable[0] for hop in made.hops
    )
