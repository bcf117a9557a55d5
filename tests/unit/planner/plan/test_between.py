"""A plan stays between its two ends, says where it rests on what is revoked, and names a next goal that holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.planner.matrices import matrix, release, rule

from knowngood.model.errors import Refused
from knowngood.model.graph import Edges, Version
from knowngood.model.matrix import Matrix
from knowngood.planner.edges.no_path import why_not
from knowngood.planner.plan.planning import plan

DRIVERS = ("570.172.08", "580.173.02", "590.48.01", "595.91.07", "610.57.04")


def known(value: Matrix, *drivers: str) -> Matrix:
    return replace(value, edges={"nvidia-driver": Edges("nvidia-driver", {v: Version(v) for v in drivers})})


def stops(value: Matrix, to: str) -> list[str]:
    hops = plan(value, "lab", to).hops
    return [m.to_version for hop in hops for m in hop.moves if m.component == "nvidia-driver"]


NEW = release("new", nvidia_driver="595.91.07", doca_ofed="26.04-1.1.0.0-1")
OFED = (
    rule("old-ofed", {"doca-ofed": "<26.01"}, {"nvidia-driver": "580.x || 590.x || 610.x"}),
    rule("new-ofed", {"doca-ofed": ">=26.01"}, {"nvidia-driver": ">=590"}),
)
"""Neither end's driver goes with the other end's DOCA-OFED: a driver between must be passed."""


def test_a_driver_between_may_be_passed_and_none_beyond_the_goal() -> None:
    value = known(matrix(NEW, rules=OFED), *DRIVERS)
    assert stops(value, "new") == ["590.48.01", "595.91.07"]
    without = known(matrix(NEW, rules=OFED), *(d for d in DRIVERS if d != "590.48.01"))
    with pytest.raises(Refused, match="past neither end"):
        plan(without, "lab", "new")


def test_a_way_back_stays_between_its_ends_too() -> None:
    value = known(matrix(NEW, rules=OFED), *DRIVERS)
    there = replace(value, clusters={"lab": replace(value.clusters["lab"], release="new")})
    assert stops(there, "old") == ["590.48.01", "580.173.02"]


def test_a_stop_on_all_versions_of_a_revoked_release_is_warned_of() -> None:
    bad = release("bad", "revoked", nvidia_driver="590.48.01")
    hops = plan(known(matrix(NEW, bad, rules=OFED), *DRIVERS), "lab", "new").hops
    said = "the cluster then runs all versions of bad, which is revoked: Xid 31 on every node"
    assert [said in hop.warnings for hop in hops] == [True, False, False]


def test_a_goal_with_all_versions_of_a_revoked_release_is_warned_of_and_what_runs_now_is_not() -> None:
    bad = replace(release("bad", "revoked"), components={"nvidia-driver": "595.91.07"})
    here = replace(release("here", "revoked"), components={"nvidia-driver": "580.173.02"})
    target = release("new", nvidia_driver="595.91.07")
    (hop,) = plan(matrix(target, bad, here), "lab", "new").hops
    assert [w for w in hop.warnings if "revoked" in w] == [
        "the cluster then runs all versions of bad, which is revoked: Xid 31 on every node"
    ]


def graph(*versions: str) -> Edges:
    found = {v: Version(v, previous=frozenset(versions[:i])) for i, v in enumerate(versions)}
    return Edges("openshift", found, graph=True, channels={"stable-4.18": versions})


def test_a_version_in_no_known_graph_is_said_and_is_no_crash() -> None:
    value = replace(
        matrix(release("new", openshift="4.18.99")), edges={"openshift": graph("4.18.52", "4.18.53")}
    )
    with pytest.raises(Refused, match=r"4\.18\.99 is in no update graph that is known") as caught:
        plan(value, "lab", "new")
    assert "knowngood refresh --component openshift" in caught.value.hint
    both = why_not(graph("4.18.52"), "openshift", "4.18.1", "4.18.99", "stable")
    assert both.reason.startswith("4.18.1 and 4.18.99 are in no update graph")


def test_the_nearest_release_with_a_plan_is_one_that_plan_accepts() -> None:
    """`near` has a way, but breaks a rule of this machine, which only its traits tell."""
    closed = replace(rule("no-591", {}, {"nvidia-driver": "!=591.59.01"}), traits={"gpu": ("h200",)})
    near = release("near", nvidia_driver="591.59.01", openshift="4.18.53")
    target = release("new", openshift="4.18.99")
    value = matrix(target, near, rules=(closed,))
    machine = replace(value.profiles["pcie"], traits={"gpu": "h200"})
    value = replace(value, edges={"openshift": graph("4.18.52", "4.18.53")}, profiles={"pcie": machine})
    with pytest.raises(Refused, match="no other release of the matrix has a plan"):
        plan(value, "lab", "new")
    with pytest.raises(Refused, match="breaks a blocking rule"):
        plan(value, "lab", "near")
