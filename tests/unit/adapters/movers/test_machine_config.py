"""What a MachineConfigPool says counts only of nodes that it has counted, and it is let go when all of them are out."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import FENCE, RUN, task

from knowngood.adapters.cluster import actors, held
from knowngood.adapters.movers import machine_config
from knowngood.adapters.nodes.batch import NotTold, Task
from knowngood.model import names
from knowngood.ports.holds import Term

LABEL = "example.com/ring"


class Asked:
    """A task, as far as it is asked: pools, and one node."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.kube = self

    def list(self, _where: str, **_more: Any) -> list[dict[str, Any]]:
        config = {"name": "rendered-ring-0-1"}
        return [
            {
                "metadata": {"name": "ring-0"},
                "spec": {
                    "nodeSelector": {"matchLabels": {LABEL: "ring-0"}},
                    "configuration": config,
                },
                "status": {"configuration": config, "machineCount": self.count},
            }
        ]

    def node(self, name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "labels": {LABEL: "ring-0"}}}


def test_a_pool_that_counts_no_node_says_nothing_of_one() -> None:
    assert machine_config._pool(cast(Task, Asked(1)), "gpu-1").name == "ring-0"
    with pytest.raises(NotTold, match="counts no node"):
        machine_config._pool(cast(Task, Asked(0)), "gpu-1")


POOL = held.POOL.where("ring-0")
CONFIG = "rendered-ring-0-2"
CLAIMED = {names.CLAIM_ANNOTATION: FENCE}
DONE = {actors.MCO_CURRENT: CONFIG, actors.MCO_DESIRED: CONFIG, actors.MCO_STATE: "Done"}
QUARANTINED = {"taints": [{"key": names.QUARANTINE_TAINT, "value": RUN}], "unschedulable": True}


def two_in_one_pool(annotations: dict[str, str], spec: dict[str, Any]) -> FakeKube:
    """A pool that the run holds, with gpu-1, which it has claimed, and gpu-2, which is as it is said."""
    kube = FakeKube()
    kube.collections |= {"machineconfigpools"}
    term = held.written(Term(RUN, "ana@laptop", "2099-01-01T00:00:00+00:00"))
    selector = {"matchLabels": {LABEL: "ring-0"}}
    pool_spec = {"paused": True, "nodeSelector": selector, "configuration": {"name": CONFIG}}
    kube.put(POOL, {"metadata": {"annotations": {names.HOLD_ANNOTATION: term}}, "spec": pool_spec})
    for name, its, how in (("gpu-1", CLAIMED, {}), ("gpu-2", annotations, spec)):
        metadata = {"name": name, "labels": {LABEL: "ring-0"}, "annotations": its}
        kube.put(f"/api/v1/nodes/{name}", {"metadata": metadata, "spec": how})
    return kube


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [
        ({}, {}),
        ({}, {"unschedulable": True}),
        ({names.CLAIM_ANNOTATION: "another-run/7"}, {}),
        ({**DONE, actors.MCO_CURRENT: "rendered-ring-0-1"}, {}),
    ],
    ids=["given back", "cordoned by somebody", "another run's", "on its way"],
)
def test_a_pool_is_not_let_go_while_a_node_of_it_is_not_drained_by_us(
    annotations: dict[str, str], spec: dict[str, Any]
) -> None:
    kube = two_in_one_pool(annotations, spec)
    with pytest.raises(NotTold, match="would boot gpu-2, which is not out of service by this run"):
        machine_config._let_go(task(kube), "gpu-1", ["all"])
    assert kube.objects[POOL]["spec"]["paused"]
    assert kube.writes == []


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [(CLAIMED, {}), (DONE, {}), ({}, QUARANTINED)],
    ids=["ours", "has the config", "quarantined"],
)
def test_a_pool_is_let_go_when_all_of_it_is_out(annotations: dict[str, str], spec: dict[str, Any]) -> None:
    kube = two_in_one_pool(annotations, spec)
    machine_config._let_go(task(kube), "gpu-1", ["all"])
    assert not kube.objects[POOL]["spec"]["paused"]


def test_a_pool_of_which_no_node_is_seen_is_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    kube = two_in_one_pool(CLAIMED, {})
    monkeypatch.setattr("knowngood.adapters.movers.machine_config.pools.members", lambda *_: {})
    asked = task(kube)
    with pytest.raises(NotTold, match="which nodes it would boot can't be told"):
        machine_config._refuse_in_use(asked, kube.objects[POOL], ["all"])
    assert kube.writes == []


def test_a_pool_is_not_let_go_while_somebody_works_on_a_claimed_node() -> None:
    """A claim alone is no drain, and the operator's own deletes by force."""
    kube = two_in_one_pool(CLAIMED, {})
    owner = {"kind": "ReplicaSet", "name": "train", "controller": True}
    metadata = {"name": "train-0", "namespace": "vision", "ownerReferences": [owner]}
    where, at = "/api/v1/namespaces/vision/pods/train-0", {"nodeName": "gpu-2"}
    kube.put(where, {"metadata": metadata, "spec": at, "status": {"phase": "Running"}})
    with pytest.raises(NotTold, match="would boot gpu-2, on which vision/train-0 is still at work"):
        machine_config._let_go(task(kube), "gpu-1", ["all"])
    assert kube.objects[POOL]["spec"]["paused"]
    kube.put(where, {"metadata": metadata, "spec": at, "status": {"phase": "Succeeded"}})
    machine_config._let_go(task(kube), "gpu-1", ["all"])
    assert not kube.objects[POOL]["spec"]["paused"]
