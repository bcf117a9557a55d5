"""A cluster of several kinds of machines: rules hold for each, gates judge their own, and proof is of one kind only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.planner.matrices import matrix, release, rule
from tests.unit.planner.test_status import CLUSTER, GOOD, MEASURED, PROFILE, RELEASE, STANDARD

from knowngood.model.errors import Refused
from knowngood.model.evidence import Evidence, Said, by_pool
from knowngood.model.matrix import Matrix, ReleaseStatus, Ring
from knowngood.planner.again import Failure, Proof, standing
from knowngood.planner.consent import untried
from knowngood.planner.plan.planning import plan
from knowngood.planner.status import Standard, appraise_pools

NVL_GATES = {**matrix().profiles["pcie"].gates, "fabric": {"kind": "active"}}


def pooled(*targets: str, rules: bool = False) -> Matrix:
    """Six GPU nodes of two kinds; `targets`: the profiles that release new is meant for."""
    new = replace(release("new", nvidia_driver="595.91.07"), profiles=targets)
    closed = replace(rule("no-595", {}, {"nvidia-driver": "<595"}), traits={"gpu": ("b200",)})
    value = matrix(new, rules=(closed,) if rules else ())
    pcie = replace(value.profiles["pcie"], traits={"gpu": "h200"})
    hgx = replace(pcie, name="hgx", traits={"gpu": "b200"}, gates=NVL_GATES)
    lab = value.clusters["lab"]
    first, second, *rest = lab.gpu
    pools = {"pcie": (first, *rest), "hgx": (second,)}
    rings = (Ring("ring-0", (first, second), 2), *([Ring("ring-1", tuple(rest), 1)] if rest else []))
    lab = replace(lab, profile="", pools=pools, rings=rings)
    old = replace(value.releases["old"], profiles=("pcie", "hgx"))
    return replace(
        value,
        profiles={"pcie": pcie, "hgx": hgx},
        clusters={"lab": lab},
        releases={**value.releases, "old": old},
    )


def test_a_rule_about_one_kind_of_machine_holds_for_the_cluster() -> None:
    with pytest.raises(Refused, match="no-595"):
        plan(pooled("pcie", "hgx", rules=True), "lab", "new")


def test_a_release_must_be_meant_for_every_pool() -> None:
    with pytest.raises(Refused, match="new is meant for pcie, lab is hgx"):
        plan(pooled("pcie"), "lab", "new")


def test_a_gate_judges_the_pools_that_have_it() -> None:
    value = pooled("pcie", "hgx")
    made = plan(value, "lab", "new")
    nodes = value.clusters["lab"].gpu
    assert made.profiles == ("pcie", "hgx")
    assert "fabric" in made.active_gates
    assert made.judged_by("fabric", nodes) == (nodes[1],)
    assert made.judged_by("drift", nodes) == nodes


def test_a_search_closes_what_a_rule_forbids_any_of_the_pools() -> None:
    """Half-way states, too: the driver in between is forbidden on the one node of the other kind."""
    value = pooled("pcie", "hgx", rules=True)
    fine = {**value.releases, "new": replace(release("new", gpu_operator="26.7.1"), profiles=("pcie", "hgx"))}
    assert plan(replace(value, releases=fine), "lab", "new").hops


POOLED = replace(CLUSTER, profile="", pools={"xe": ("gpu-1",), "hgx": ("gpu-2",)})
BOTH = replace(
    GOOD,
    profile="",
    pools={"xe": ("gpu-1",), "hgx": ("gpu-2",)},
    verdicts=(*GOOD.verdicts, Said("smoke_training", "gpu-2", "pass", "cuda")),
)


def standard(profile: str) -> Standard:
    profiles = {"xe": PROFILE, "hgx": replace(PROFILE, name="hgx")}
    both = replace(RELEASE, profiles=("xe", "hgx"))
    return replace(STANDARD, release=both, cluster=POOLED, profile=profiles.get(profile))


def test_evidence_of_all_pools_counts_as_the_least_of_them() -> None:
    assert appraise_pools(BOTH, standard).status is ReleaseStatus.KNOWN_GOOD
    tagged = replace(MEASURED, images={"driver": "nv:latest"})
    less = replace(BOTH, nodes={**BOTH.nodes, "gpu-2": tagged})
    assert appraise_pools(less, standard).status is ReleaseStatus.REHEARSED


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (replace(BOTH, verdicts=GOOD.verdicts), "smoke_training gave no verdict"),
        (replace(GOOD, profile="xe"), "it says nothing of the pool hgx"),
        (replace(BOTH, pools={"xe": ("gpu-1", "gpu-2")}), "it says nothing of the pool hgx"),
        (replace(BOTH, verdicts=(*BOTH.verdicts, Said("drift", "gpu-9", "fail"))), "drift on gpu-9: fail"),
    ],
)
def test_a_pool_that_nothing_was_proven_on_refuses_the_whole(evidence: Evidence, why: str) -> None:
    worth = appraise_pools(evidence, standard)
    assert worth.status is None
    assert why in worth.because


def test_evidence_is_taken_apart_by_pool() -> None:
    xe, hgx = by_pool(BOTH)
    assert (xe.profile, set(xe.nodes), {v.node for v in xe.verdicts}) == ("xe", {"gpu-1"}, {"gpu-1"})
    assert (hgx.profile, set(hgx.nodes)) == ("hgx", {"gpu-2"})
    assert by_pool(GOOD) == (GOOD,)


def test_a_proof_on_other_hardware_takes_no_failure_back() -> None:
    failure = Failure("r1", "ams", "2026-08-20T00:00:00Z", "Xid 31", profile="hgx")
    later = Proof("ams", "2026-08-22T00:00:00Z", "xe")
    assert standing([failure], [later], "ams") == (failure,)
    assert standing([failure], [replace(later, profile="hgx")], "ams") == ()
    assert standing([failure], [replace(later, profile="")], "ams") == ()


def test_what_has_no_canary_must_be_known_good_on_each_kind_of_machine() -> None:
    value = pooled("pcie", "hgx")
    lab = replace(value.clusters["lab"], declarations=())
    made = plan(replace(value, clusters={"lab": lab}), "lab", "new")
    assert made.hops[0].without_canary
    there = replace(GOOD, cluster="other", versions=dict(made.to_versions), profile="pcie")
    assert untried(made, [there], STANDARD.now)
    assert untried(made, [there, replace(there, profile="hgx")], STANDARD.now) == ()
