"""A stage begins when each cluster of those before it is proven, and one that failed is the last."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import Location, UsageError
from knowngood.model.evidence import Evidence
from knowngood.model.matrix import Identity
from knowngood.model.stages import Stage
from knowngood.planner.stages import Doubt, aged, aims, doubts, proven_before, there, turn

MATRIX = load(matrix_dir(), edges=False)
NOWHERE = Location("fleet.yaml")


def stages(*clusters: tuple[str, ...], at_once: int = 1) -> list[Stage]:
    return [Stage(f"s{n}", names, at_once, NOWHERE) for n, names in enumerate(clusters)]


FLEETS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=4
)  # clusters and how many at once


@given(FLEETS, st.randoms(use_true_random=False))
def test_whatever_ends_how_no_cluster_moves_before_its_turn(
    shape: list[tuple[int, int]], chance: Random
) -> None:
    fleet = [
        Stage(f"s{n}", tuple(f"c{n}-{i}" for i in range(count)), at_once, NOWHERE)
        for n, (count, at_once) in enumerate(shape)
    ]
    aim = {name: "r" for stage in fleet for name in stage.clusters if chance.random() < 0.9}
    proven, running, failed = {n for n in aim if chance.random() < 0.1}, set[str](), set[str]()
    while True:
        now = turn(fleet, aim, proven, running, failed)
        for name in now.start:
            (number,) = [n for n, stage in enumerate(fleet) if name in stage.clusters]
            assert {n for stage in fleet[:number] for n in stage.clusters if n in aim} <= proven
            assert not failed
            assert name in aim
            running.add(name)
        for stage in fleet:
            assert sum(n in running for n in stage.clusters) <= stage.at_once
        if not running:
            break
        ended = chance.choice(sorted(running))
        running.discard(ended)
        (proven if chance.random() < 0.85 else failed).add(ended)
    assert failed or proven == aim.keys(), "it stops early only where one is not proven"


def test_of_a_stage_that_failed_nothing_more_is_started() -> None:
    fleet = stages(("a", "b", "c"), ("d",), at_once=2)
    aim = dict.fromkeys("abcd", "r")
    assert turn(fleet, aim, (), (), ()).start == ("a", "b")
    assert turn(fleet, aim, {"a"}, {"b"}, ()).start == ("c",)
    now = turn(fleet, aim, {"a"}, (), {"b"})
    assert (now.start, now.failed) == ((), ("b",))
    assert turn(fleet, aim, {"a", "b", "c"}, (), ()).start == ("d",)
    assert turn(fleet, aim, {*"abcd"}, (), ()).stage is None


def test_a_stage_for_which_nothing_is_meant_holds_nobody_up() -> None:
    assert turn(stages(("a",), ("b",)), {"b": "r"}, (), (), ()).start == ("b",)


def test_a_release_goes_to_the_clusters_whose_hardware_it_is_meant_for() -> None:
    fleet = stages(("lab-small", "vanilla"), ("fra-prod",))
    assert aims(MATRIX, fleet, ["r595", "vanilla=k8s-1.34-r595"]) == {
        "lab-small": "r595",
        "vanilla": "k8s-1.34-r595",
        "fra-prod": "r595",
    }
    with pytest.raises(UsageError, match=r"r595 and .* are both meant for xe7740-h200nvl, so for lab-small"):
        aims(MATRIX, fleet, ["r595", "k8s-1.34-r595"])
    with pytest.raises(UsageError, match="is meant for hgx-b200, and no cluster"):
        aims(MATRIX, fleet, ["r595", "b200-4.20-r580"])
    with pytest.raises(UsageError, match="ams-prod is in no stage"):
        aims(MATRIX, fleet, ["ams-prod=r595"])


AIM = {"lab-small": "r580", "ams-prod": "r595"}
NOW = "2026-08-22T03:00:00Z"


def seen(run: str, status: str = "rehearsed", time: str = "2026-08-01T03:00:00Z", **more: Any) -> Evidence:
    told: dict[str, Any] = {"cluster": "lab-small", "release": "r580", **more}
    return Evidence(run=run, versions={}, status=status, time=time, **told)


def test_proven_is_what_the_matrix_pins_and_evidence_says() -> None:
    proof = [seen("r1"), seen("r2", cluster="ams-prod", release="r595")]
    assert there(MATRIX, AIM, proof) == {"lab-small"}
    assert doubts(MATRIX, AIM, proof) == {}


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ([], "no evidence says that r580 ran there"),
        ([seen("r1", cluster="fra-prod"), seen("r2", release="r595")], "no evidence says"),
        ([seen("r1", "inconclusive")], "no evidence says"),
    ],
)
def test_a_pin_alone_proves_nothing(evidence: list[Evidence], why: str) -> None:
    assert there(MATRIX, AIM, evidence) == frozenset()
    assert doubts(MATRIX, AIM, evidence)["lab-small"].why.startswith(why)
    assert there(MATRIX, AIM, evidence, ["lab-small", "ams-prod"]) == {"lab-small"}, "a person takes it"


def test_where_the_release_failed_no_pin_will_do() -> None:
    told = [seen("r1"), seen("r2", "failed", "2026-08-02T03:00:00Z")]
    assert doubts(MATRIX, AIM, told)["lab-small"] == Doubt("r580 failed there in run r2", "r2")
    assert there(MATRIX, AIM, told, ["lab-small"]) == frozenset()
    again = seen("r3", time="2026-08-03T03:00:00Z")
    assert there(MATRIX, AIM, [*told, again]) == {"lab-small"}, "newer evidence does"


def test_evidence_that_has_only_run_out_is_told_of_and_stops_no_fleet() -> None:
    old = [seen("r1", expires="2026-08-20T00:00:00Z")]
    assert there(MATRIX, AIM, old) == {"lab-small"}
    assert aged(MATRIX, AIM, old, NOW)["lab-small"].startswith("the evidence of run r1 has run out")
    assert aged(MATRIX, AIM, [*old, seen("r2", time=NOW)], NOW) == {}


def test_what_could_not_be_told_and_an_older_fail_take_no_proof_away() -> None:
    told = [seen("r1", "failed", "2026-07-01T03:00:00Z"), seen("r2"), seen("r3", "inconclusive", NOW)]
    assert there(MATRIX, AIM, told) == {"lab-small"}


def test_an_earlier_cluster_of_the_same_hardware_proves_it_if_it_pins_an_identity() -> None:
    fleet = stages(("fra-prod", "lab-small"), ("ams-prod",))
    aim = dict.fromkeys(("fra-prod", "lab-small", "ams-prod"), "r595")
    assert proven_before(MATRIX, fleet, aim, "ams-prod") == ()
    pinned = replace(MATRIX.clusters["lab-small"], identity=Identity("uid", "ca"))
    known = replace(MATRIX, clusters={**MATRIX.clusters, "lab-small": pinned})
    assert proven_before(known, fleet, aim, "ams-prod") == ("lab-small",)
    assert proven_before(known, fleet, aim, "lab-small") == (), "not itself, and none beside it"
    assert proven_before(known, fleet, {**aim, "lab-small": "r610"}, "ams-prod") == (), "on the way elsewhere"


def test_of_two_kinds_of_hardware_each_must_be_proven_before() -> None:
    fleet = stages(("lab-small",), ("fra-prod",), ("ams-prod",))
    aim = dict.fromkeys(("fra-prod", "lab-small", "ams-prod"), "r595")
    pin = Identity("uid", "ca")
    both = {"xe7740-h200nvl": ("ams-gpu-1",), "hgx-h200": ("ams-gpu-2",)}
    lab = replace(MATRIX.clusters["lab-small"], identity=pin)
    ams = replace(MATRIX.clusters["ams-prod"], profile="", pools=both)
    known = replace(MATRIX, clusters={**MATRIX.clusters, "lab-small": lab, "ams-prod": ams})
    assert proven_before(known, fleet, aim, "ams-prod") == ()
    pinned = replace(known.clusters["fra-prod"], identity=pin)
    known = replace(known, clusters={**known.clusters, "fra-prod": pinned})
    assert proven_before(known, fleet, aim, "ams-prod") == ("lab-small", "fra-prod")
    with pytest.raises(UsageError, match="is meant for hgx-b200, and no cluster"):
        aims(known, fleet, ["b200-4.20-r580"])
