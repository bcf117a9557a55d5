"""Plans on the shipped facts: incidents that really happened to people, and the long way from 4.14 to 4.22."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import Refused
from knowngood.model.graph import Bundle
from knowngood.model.matrix import Matrix, ReleaseStatus, Severity, UndoClass
from knowngood.model.plan import Hop, Plan
from knowngood.planner.edges.following import catalogs, moves, place
from knowngood.planner.edges.path import minor
from knowngood.planner.plan.case import GivenCatalog, Wishes
from knowngood.planner.plan.planning import plan, refuse_unmovable
from knowngood.planner.rules.evaluation import broken, completed, evaluate, traits_of
from knowngood.planner.search.question import Question
from knowngood.planner.search.space import space
from knowngood.planner.search.tracks import offers

LAST, FIRST = "h200-4.22-r595", "h200-4.14-r550"


@pytest.fixture(scope="module")
def shipped() -> Matrix:
    return load(matrix_dir())


def pinned(matrix: Matrix, release: str) -> Matrix:
    """The shipped matrix, with ams-prod on this release."""
    cluster = replace(matrix.clusters["ams-prod"], release=release)
    return replace(matrix, clusters={"ams-prod": cluster})


@pytest.fixture(scope="module")
def long_way(shipped: Matrix) -> Plan:
    return plan(pinned(shipped, FIRST), "ams-prod", LAST)


def steps(made: Plan, component: str) -> list[tuple[str, str]]:
    return [
        (m.from_version, m.to_version) for hop in made.hops for m in hop.moves if m.component == component
    ]


def hop_to(made: Plan, component: str, version: str) -> int:
    """The number of the hop that brings the component to a version that begins so."""
    return next(
        n
        for n, hop in enumerate(made.hops)
        for m in hop.moves
        if m.component == component and m.to_version.startswith(version)
    )


def state_after(made: Plan, number: int) -> Mapping[str, str]:
    state = dict(made.from_versions)
    for hop in made.hops[: number + 1]:
        state |= {m.component: m.to_version for m in (*hop.moves, *hop.follows)}
    return {name: version for name, version in state.items() if version}  # one that follows may be unknown


def test_every_state_on_the_long_way_keeps_every_blocking_rule(shipped: Matrix, long_way: Plan) -> None:
    cluster = shipped.clusters["ams-prod"]
    traits = traits_of(shipped.profiles[cluster.profile], cluster)
    for number in range(len(long_way.hops)):
        versions = completed(shipped.components, state_after(long_way, number))
        findings = evaluate(shipped.rules.values(), shipped.components, versions, traits)
        assert broken(findings, Severity.BLOCK) == (), long_way.hops[number].name
    assert state_after(long_way, len(long_way.hops)).items() >= long_way.to_versions.items()


def test_every_operator_step_is_one_that_its_catalog_and_its_vendor_have(
    shipped: Matrix, long_way: Plan
) -> None:
    for number, hop in enumerate(long_way.hops):
        openshift = minor(state_after(long_way, number - 1)["openshift"])
        for m in hop.moves:
            edges = shipped.edges.get(m.component)
            if edges is not None:
                scheme = shipped.components[m.component].scheme
                assert m.to_version in moves(edges, scheme, m.from_version, openshift=openshift), hop.name


def test_gpu_operator_is_split_into_vendor_steps_although_olm_would_jump(long_way: Plan) -> None:
    majors = [[minor(a), minor(b)] for a, b in steps(long_way, "gpu-operator")]
    assert majors == [
        ["24.6", "24.9"],
        ["24.9", "25.3"],
        ["25.3", "25.10"],
        ["25.10", "26.3"],
        ["26.3", "26.7"],
    ]
    second = long_way.hops[hop_to(long_way, "gpu-operator", "25.3")]
    assert any("a catalog would go from 24.6.2 to 25.3" in why for why in second.why)


def test_network_operator_is_at_the_gate_before_openshift_passes_it(long_way: Plan) -> None:
    """The 4.21 catalog begins at 25.10.0, that of 4.22 has 26.4.1 only."""
    assert hop_to(long_way, "network-operator", "25.10") < hop_to(long_way, "openshift", "4.21")
    last = hop_to(long_way, "network-operator", "26.4.1")
    assert last < hop_to(long_way, "openshift", "4.22")
    assert "network-operator-for-openshift-4-22" in " ".join(long_way.hops[last].why)


def test_sriov_operator_is_new_enough_before_the_kernel_that_breaks_it(shipped: Matrix) -> None:
    """Builds before 2024-08-26 fail from 4.15.25 on: a newer one of the line that is there comes first."""
    old = {"sriov-network-operator": "4.14.0-202401010000", "openshift": "4.14.30"}
    made = plan(pinned(shipped, FIRST), "ams-prod", LAST, wishes=Wishes(observed=old))
    moved = hop_to(made, "sriov-network-operator", "4.")
    (first,) = [m.to_version for m in made.hops[hop_to(made, "openshift", "4.")].moves]
    assert int(first.split(".")[2]) >= 25, "it goes where the old build fails"
    assert moved < hop_to(made, "openshift", "4.15.")
    assert "sriov-operator-for-changed-kernel" in " ".join(made.hops[moved].why)


def test_openshift_minors_can_not_be_undone_and_come_as_late_as_the_rules_allow(long_way: Plan) -> None:
    closed = [hop for hop in long_way.hops if hop.undo is UndoClass.FORWARD_ONLY]
    moved = [m.component for hop in closed for m in hop.moves]
    assert moved == ["openshift"] * 8 + ["nfd", "sriov-network-operator"]
    assert long_way.point_of_no_return == closed[0].name
    first = long_way.hops.index(closed[0])
    late = ("must come before", "waits for", "it can't be undone", "the next step after")
    assert all(hop.why[0].startswith(late) for hop in long_way.hops[first:]), "nothing comes later by chance"


def test_a_new_kernel_voids_what_was_proven(long_way: Plan) -> None:
    kernels = [hop for hop in long_way.hops if any(m.component == "rhcos-kernel" for m in hop.follows)]
    assert [minor(h.moves[0].to_version) for h in kernels] == ["4.16", "4.19", "4.22"]
    assert all("smoke_training" in h.proves_again for h in kernels)
    assert not any(h.proves_again for h in long_way.hops if h not in kernels)


def test_an_operator_that_the_new_minors_catalog_has_left_behind_can_not_come_back(
    shipped: Matrix, long_way: Plan
) -> None:
    """Nobody could install it again; where the team's own catalog still holds it, there is a way back."""
    value, to, old = pinned(shipped, "h200-4.20-r580"), "h200-4.21-r595", {"openshift": "4.20.14"}

    def moves_nfd(made: Plan) -> Hop:
        return made.hops[hop_to(made, "nfd", "4.21")]

    hop = moves_nfd(plan(value, "ams-prod", to, wishes=Wishes(observed=old)))
    assert (hop.closed, long_way.hops[hop_to(long_way, "nfd", "4.22")].closed) == (True, True)
    assert "catalog of OpenShift 4.21 is not known to hold nfd 4.20.0" in hop.procedure
    both = replace(
        shipped.edges["nfd"].catalogs["4.21"],
        channels={"stable": (Bundle("4.21.0", replaces="4.20.0"), Bundle("4.20.0"))},
    )
    given = {("nfd", "4.21"): GivenCatalog(both, "next.yaml")}
    hop = moves_nfd(plan(value, "ams-prod", to, wishes=Wishes(observed=old, catalogs=given)))
    assert (hop.undo, "startingCSV" in hop.procedure) == (UndoClass.PROCEDURE, True)


def test_what_runs_now_came_from_this_minors_catalog_whatever_the_shipped_facts_say(shipped: Matrix) -> None:
    """Real builds carry a date that no public list has: the catalog itself is asked, before anything moves."""
    value, old = pinned(shipped, "h200-4.20-r580"), {"nfd": "4.19.0-202501010000"}
    made = plan(value, "ams-prod", "h200-4.20-r580", wishes=Wishes(observed=old))
    (hop,) = made.hops
    assert (hop.moves[0].from_version, hop.undo) == (old["nfd"], UndoClass.PROCEDURE)


def test_an_operator_going_back_is_a_procedure(long_way: Plan, shipped: Matrix) -> None:
    for hop in long_way.hops:
        if hop.moves[0].component in ("gpu-operator", "network-operator"):
            assert hop.undo is UndoClass.PROCEDURE
            assert "startingCSV" in hop.procedure
    back = {**shipped.releases[LAST].components, "gpu-operator": "26.3.3"}
    older = replace(shipped.releases[LAST], name="older", components=back)
    value = replace(pinned(shipped, LAST), releases={**shipped.releases, "older": older})
    with pytest.raises(Refused) as caught:
        plan(value, "ams-prod", "older")
    assert "gpu-operator 26.7.0 to 26.3.3: no way leads there" in caught.value.message
    assert "going back is a procedure by hand: Delete the Subscription" in caught.value.message


def test_the_long_way_is_planned_and_not_made(long_way: Plan) -> None:
    with pytest.raises(Refused) as caught:
        refuse_unmovable(long_way)
    assert "not yet movable" in caught.value.message


def test_the_same_question_has_the_same_answer(shipped: Matrix, long_way: Plan) -> None:
    """Deterministic: nothing depends on hashing or on what was asked before."""
    assert plan(pinned(shipped, FIRST), "ams-prod", LAST) == long_way


def four(shipped: Matrix, **goal: str) -> Question:
    """The four components that issue people have in mind."""
    cluster = shipped.clusters["ams-prod"]
    start = {
        "openshift": "4.14.34",
        "gpu-operator": "24.6.2",
        "network-operator": "24.4.1",
        "nvidia-driver": "550.90.07",
    }
    end = {n.replace("_", "-"): v for n, v in goal.items()}
    return Question(
        shipped, cluster, start, {**start, **end}, traits_of(shipped.profiles[cluster.profile], cluster)
    )


def test_the_eus_way_reboots_workers_once_for_two_minors(shipped: Matrix) -> None:
    value, old = pinned(shipped, "h200-4.20-r580"), {"openshift": "4.20.14"}
    stable = plan(value, "ams-prod", LAST, wishes=Wishes(observed=old))
    eus = plan(value, "ams-prod", LAST, wishes=Wishes("eus", observed=old))
    assert stable.cost["reboots"] - eus.cost["reboots"] == 8  # each worker once
    odd = eus.hops[hop_to(eus, "openshift", "4.21")]
    assert odd.paused
    assert odd.name not in [r.after for r in eus.resting]


def test_a_gpu_problem_that_the_update_graph_declares_late_is_no_stop_on_the_way(shipped: Matrix) -> None:
    """4.18.22 and 4.18.23 break GPU pods, 4.18.24 to 4.18.26 panic: no plan passes them with a GPU Operator."""
    problem = space(four(shipped, openshift="4.19.41")).problem
    versions = problem.tracks[0].versions
    seen = [v for v in ("4.18.22", "4.18.23", "4.18.24", "4.18.25", "4.18.26") if v in versions]
    assert seen, "none is on the way, so nothing is shown"
    assert not any(problem.board.allowed((versions.index(v),)) for v in seen)


@pytest.mark.parametrize("name", ["h200-4.16-r570", "h200-4.18-r580", "h200-4.21-r595"])
def test_rows_in_between_are_reached_from_the_first_one(shipped: Matrix, name: str) -> None:
    made = plan(pinned(shipped, FIRST), "ams-prod", name)
    assert made.hops
    assert dict(made.to_versions) == dict(shipped.releases[name].components)


def test_revoked_rows_are_never_a_goal(shipped: Matrix) -> None:
    revoked = [r.name for r in shipped.releases.values() if r.status is ReleaseStatus.REVOKED]
    for name in revoked:
        with pytest.raises(Refused, match="revoked"):
            plan(pinned(shipped, FIRST), "ams-prod", name)


def test_what_the_planner_reads_from_a_catalog_is_what_moves_says(shipped: Matrix) -> None:
    """The planner asks for all versions at once; one by one the answer is the same."""
    for name, edges in shipped.edges.items():
        scheme = shipped.components[name].scheme
        versions = tuple(sorted(edges.versions, key=lambda v: (place(scheme, v), v)))
        for openshift in edges.catalogs:
            found = offers(edges, versions, catalogs(edges, openshift, None))
            for a, mask in zip(versions, found, strict=True):
                told = tuple(v for j, v in enumerate(versions) if mask >> j & 1)
                assert told == moves(edges, scheme, a, openshift=openshift), (name, openshift, a)


def test_a_minor_of_openshift_is_planned_to_be_made_whole_on_the_shipped_fra_prod(shipped: Matrix) -> None:
    """Operators before and after it, the cluster at once, then ring by ring; and no way back from its first commit."""
    made = plan(shipped, "fra-prod", "h200-4.19-r580.105")
    assert [reason for hop in made.hops for reason in hop.not_movable] == []
    refuse_unmovable(made)
    (hop,) = [h for h in made.hops if h.name == made.point_of_no_return]
    assert [m.component for m in hop.moves] == ["openshift"]
    assert hop.fleet is not None
    assert {c.path.rpartition(".")[2] for c in hop.fleet.changes} == {"channel", "image", "version"}
    for ring in hop.rings:
        assert [m.component for m in ring.moves] == ["rhcos-kernel", "doca-ofed", "nvidia-driver"]
    assert made.movers["rhcos-kernel"].users == ("all",)
    assert "machine-config-pool" in made.holds
    (told,) = [w for w in made.warnings if "OpenShift drains and boots them itself" in w]
    assert told.startswith("fra-cpu-1: of no ring")
