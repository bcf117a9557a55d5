"""A cluster is widened in its later rings only, and stays one that a rehearsal can play."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.unit.rehearsal.shipped import matrix, shipped

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Ring
from knowngood.rehearsal.seed import seed
from knowngood.rehearsal.widen import described, widened
from knowngood.twin.seed import parse


@pytest.mark.parametrize("name", sorted(matrix().clusters))
@pytest.mark.parametrize("nodes", [12, 100, 1000])
def test_every_node_is_in_one_ring_and_the_canary_stays(name: str, nodes: int) -> None:
    before = shipped(name).cluster
    after = widened(before, nodes)
    placed = [node for ring in after.rings for node in ring.nodes]
    assert len(after.gpu) == len(set(after.gpu)) == nodes
    assert sorted(placed) == sorted(after.gpu)
    assert after.rings[0] == before.rings[0]
    assert [r.name for r in after.rings] == [r.name for r in before.rings]
    assert all(set(old.nodes) <= set(new.nodes) for old, new in zip(before.rings, after.rings, strict=True))


def test_later_rings_grow_and_no_batch_takes_more_than_a_fifth() -> None:
    after = widened(shipped("ams-prod").cluster, 100)
    sizes = [len(ring.nodes) for ring in after.rings]
    assert sizes == sorted(sizes)
    assert all(ring.batch <= 100 // 5 for ring in after.rings)
    assert described(after) == (
        "100 GPU nodes: ring-0 2 (batches of 2), ring-1 33 (batches of 20), ring-2 65 (batches of 20)"
    )


def test_names_go_on_where_the_cluster_file_ends_and_never_meet_another() -> None:
    cluster = replace(shipped("ams-prod").cluster, cpu=("gpu-8",))
    assert widened(cluster, 8).gpu[-2:] == ("gpu-7", "gpu-9")


def test_a_single_ring_is_the_canary_and_gets_one_behind_it() -> None:
    lab = shipped("lab-small").cluster
    alone = replace(lab, gpu=("n",), rings=(Ring("ring-0", ("n",), 1),))
    after = widened(alone, 3)
    assert [(r.name, r.nodes) for r in after.rings] == [("ring-0", ("n",)), ("ring-1", ("n-1", "n-2"))]


def test_the_file_says_the_same_and_the_twin_takes_its_seed() -> None:
    s = shipped("ams-prod")
    after = widened(s.cluster, 50)
    assert tuple(after.raw["nodes"]["gpu"]) == after.gpu
    assert [tuple(r["nodes"]) for r in after.raw["rings"]] == [r.nodes for r in after.rings]
    assert json.dumps(s.cluster.raw["nodes"]["gpu"]).count("gpu-") == 6
    assert len([n for n in parse(seed(replace(s, cluster=after), "x")).nodes if n.role == "gpu"]) == 50


def test_the_same_number_changes_nothing_and_a_smaller_one_is_refused() -> None:
    cluster = shipped("ams-prod").cluster
    assert widened(cluster, 6).rings == cluster.rings
    with pytest.raises(UsageError, match="has 6 GPU nodes"):
        widened(cluster, 5)
