"""What a cluster's pools must be like before a release is committed: asked of objects alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.planner.matrices import cluster

from knowngood.adapters.cluster.held import written
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers import cluster_version_ready, pools_ready
from knowngood.adapters.movers.cluster_version_ready import Asked
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration, Ring
from knowngood.model.mover import MoverSpec, Moving
from knowngood.model.names import HOLD_ANNOTATION, ROLLS_ANNOTATION
from knowngood.ports.holds import Term

LABEL = "example.com/ring"
HELD = {HOLD_ANNOTATION: written(Term("r1", "ana@laptop", "2099-01-01T00:00:00+00:00"))}


MOVING = Moving("openshift", "4.18.52", "4.18.60", MoverSpec(kind="cluster-version"))


def node(name: str, ring: str = "ring-0") -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {LABEL: ring}}}


def pool(*, paused: bool, **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "ring-0", "annotations": annotations},
        "spec": {"paused": paused, "nodeSelector": {"matchLabels": {LABEL: "ring-0"}}, "maxUnavailable": 2},
        "status": {"machineCount": 2},
    }


def rings(nodes: list[dict[str, Any]], pools: list[dict[str, Any]]) -> list[str]:
    """What is found where one ring has gpu-1 and gpu-2."""

    class Answers:
        def list(self, where: str, **_more: Any) -> list[dict[str, Any]]:
            return pools if where.endswith("machineconfigpools") else nodes

    here = replace(cluster(), rings=(Ring("ring-0", ("gpu-1", "gpu-2"), 2),))
    return [f"{found.verdict}: {found}" for found in pools_ready.of_rings(cast(Kube, Answers()), here)]


BOTH = [node("gpu-1"), node("gpu-2")]


def test_a_pool_that_a_run_holds_and_has_let_go_refuses_the_next_release() -> None:
    assert rings(BOTH, [pool(paused=False)]) == [], "nobody holds it yet: the run will"
    assert rings(BOTH, [pool(paused=True, **HELD)]) == []
    (found,) = rings(BOTH, [pool(paused=False, **HELD, **{ROLLS_ANNOTATION: "r1"})])
    assert found.startswith("fail: MachineConfigPool ring-0: a run holds it and has let it go already")
    assert len(rings(BOTH, [pool(paused=False, **HELD)])) == 1, "also where somebody else had it go on"


def test_a_node_of_a_ring_that_no_pool_moves_refuses_it_and_no_pool_at_all_is_no_yes() -> None:
    (found,) = rings([node("gpu-1"), node("gpu-2", "elsewhere")], [pool(paused=False)])
    assert found.startswith("fail: node gpu-2: it belongs to no MachineConfigPool")
    (found,) = rings([node("gpu-1")], [pool(paused=False)])
    assert found.startswith("fail: node gpu-2: it belongs to no"), "one that is not there neither"
    (found,) = rings(BOTH, [])
    assert found.startswith("inconclusive: MachineConfigPools: there is none")


@pytest.mark.parametrize(
    ("trait", "verdicts"),
    [("true", ["fail"] * 2), ("false", []), ("", ["inconclusive"] * 2)],
    ids=["an air gap", "with the internet", "nobody says"],
)
def test_signature_and_toolkit_must_be_here_unless_the_cluster_file_says_they_come_from_outside(
    trait: str, verdicts: list[str]
) -> None:
    class Answers:
        def list(self, _where: str, **_more: Any) -> list[dict[str, Any]]:
            return []

    image = "mirror.example.com/ocp@sha256:" + "4" * 64
    at = ObjectRef("config.openshift.io/v1", "ClusterVersion", "version")
    declared = Declaration("openshift", "version.yaml", "spec.desiredUpdate.version", at, {"4.18.60": image})
    traits = {"disconnected": trait} if trait else {}
    here = replace(cluster(), declarations=(declared,), traits=traits)
    asked = Asked(cast(Kube, Answers()), here, MOVING, {})
    both = [*cluster_version_ready._taken_as(asked), *cluster_version_ready._toolkit(asked)]
    assert [str(found.verdict) for found in both] == verdicts


@pytest.mark.parametrize(
    ("after", "kubelet", "found"),
    [
        ("4.19.41", "v1.31.9", 0),
        ("4.20.33", "v1.31.9", 0),  # two behind an even one: one boot over two minors
        ("4.20.33", "v1.30.1", 1),  # three: Kubernetes takes it, OpenShift does not
        ("4.21.1", "v1.32.3", 1),  # two behind an odd one
        ("4.18.60", "v1.28.1", 0),  # within a minor nothing changes
    ],
)
def test_no_kubelet_may_be_further_behind_than_the_new_control_plane_takes(
    after: str, kubelet: str, found: int
) -> None:
    class Answers:
        def list(self, _where: str, **_more: Any) -> list[dict[str, Any]]:
            return [{**node("gpu-1"), "status": {"nodeInfo": {"kubeletVersion": kubelet}}}, node("untold")]

    moving = replace(MOVING, before="4.18.52", after=after)
    told = [str(f) for f in cluster_version_ready._skew(Asked(cast(Kube, Answers()), cluster(), moving, {}))]
    assert len(told) == found
    assert all("node gpu-1" in text and "have their pool roll first" in text for text in told)
