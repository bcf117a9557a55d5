"""Budgets are never bypassed: a node whose tenants do not let go is given back, disturbed as little as can be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import FENCE, NODE, NODE_PATH, RUN, machine, task

from knowngood.adapters.nodes import claiming, drain
from knowngood.adapters.nodes.batch import ClaimLost, GivenBack
from knowngood.model import names
from knowngood.model.errors import KnowngoodError

PODS = "/api/v1/namespaces/vision/pods"


@pytest.fixture(name="kube")
def _kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    monkeypatch.setattr(drain, "LONGEST_PAUSE", 0.02)
    kube = FakeKube()
    machine(kube)
    claiming.claim(task(kube), NODE)
    return kube


def work(kube: FakeKube, name: str, owner: str = "ReplicaSet", **metadata: Any) -> str:
    where = f"{PODS}/{name}"
    references = [{"kind": owner, "name": "serve-abc", "controller": True}] if owner else []
    kube.put(
        where,
        {
            "metadata": {
                "namespace": "vision",
                "labels": {"pod-template-hash": "abc"},
                "ownerReferences": references,
                **metadata,
            },
            "spec": {
                "nodeName": NODE,
                "containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "2"}}}],
            },
            "status": {"phase": "Running"},
        },
    )
    return where


def really_evicted(kube: FakeKube) -> list[str]:
    return [name for name, dry in kube.evictions if not dry]


def is_as_before_the_claim(kube: FakeKube) -> bool:
    obj = kube.objects[NODE_PATH]
    return (obj["spec"], obj["metadata"]["annotations"]) == ({}, {"other": "kept"})


def test_users_are_evicted_and_counted_in_workloads(kube: FakeKube) -> None:
    for name in ("serve-1", "serve-2"):
        work(kube, name)
    changed, detail = drain.drain(task(kube), NODE)
    assert changed
    assert really_evicted(kube) == ["serve-1", "serve-2"]
    assert detail["evicted"] == [
        {
            "tenant": "vision",
            "namespace": "vision",
            "kind": "Deployment",
            "name": "serve",
            "gang": False,
            "pods": 2,
        }
    ]
    assert detail["skipped"] == 6  # the driver and five operands stay


def test_a_second_drain_changes_nothing(kube: FakeKube) -> None:
    work(kube, "serve-1")
    drain.drain(task(kube), NODE)
    kube.writes.clear()
    changed, detail = drain.drain(task(kube), NODE)
    assert not changed
    assert detail["evicted"] == []
    assert kube.writes == []


def test_a_budget_that_says_no_for_a_while_is_waited_for(kube: FakeKube) -> None:
    work(kube, "serve-1")
    kube.refusals["serve-1"] = 3
    assert drain.drain(task(kube), NODE)[0]
    assert really_evicted(kube) == ["serve-1"]


def test_a_budget_that_never_lets_go_leaves_everybody_undisturbed(kube: FakeKube) -> None:
    """Two pods could go, the third may not: none is evicted, and the node is given back as it was."""
    for name in ("serve-1", "serve-2", "serve-3"):
        work(kube, name)
    kube.refusals["serve-3"] = 10_000
    with pytest.raises(
        GivenBack, match=r"vision/serve-3 is still there.*violate the budget.*before that: nothing"
    ):
        drain.drain(task(kube), NODE)
    assert really_evicted(kube) == []
    assert is_as_before_the_claim(kube)


def test_a_budget_used_up_halfway_gives_the_node_back_and_says_who_went(kube: FakeKube) -> None:
    for name in ("serve-1", "serve-2"):
        work(kube, name)

    def used_up(method: str, where: str) -> None:
        if really_evicted(kube):
            kube.refusals["serve-2"] = 10_000

    kube.before.append(used_up)
    with pytest.raises(GivenBack, match="before that: vision/Deployment/serve"):
        drain.drain(task(kube), NODE)
    assert really_evicted(kube) == ["serve-1"]
    assert is_as_before_the_claim(kube)


def test_a_pod_nobody_would_bring_back_gives_the_node_back_at_once(kube: FakeKube) -> None:
    work(kube, "notebook", owner="")
    work(kube, "serve-1")
    with pytest.raises(GivenBack, match="vision/notebook: no controller would bring it back"):
        drain.drain(task(kube), NODE)
    assert kube.evictions == []
    assert is_as_before_the_claim(kube)


def test_a_pod_that_never_ends_gives_the_node_back(kube: FakeKube) -> None:
    work(kube, "serve-1", deletionTimestamp="2026-08-22T03:15:00Z")
    with pytest.raises(GivenBack, match="on its way out"):
        drain.drain(task(kube), NODE)
    assert kube.evictions == []


def test_the_pod_we_looked_at_is_evicted_and_no_other_of_its_name(kube: FakeKube) -> None:
    """A StatefulSet's pod came back under the same name between our look and our eviction."""
    where = work(kube, "serve-0", owner="StatefulSet")
    first = kube.objects[where]["metadata"]["uid"]

    def replaced(method: str, path: str) -> None:
        if path.endswith("/eviction"):
            kube.before.clear()
            work(kube, "serve-0", owner="StatefulSet")

    kube.before.append(replaced)
    drain.drain(task(kube), NODE)
    assert really_evicted(kube) == ["serve-0"]
    assert first not in {obj["metadata"]["uid"] for obj in kube.objects.values()}


def test_a_lost_claim_stops_the_drain_before_the_next_eviction(kube: FakeKube) -> None:
    work(kube, "serve-1")
    obj = kube.objects[NODE_PATH]
    obj["metadata"]["annotations"][names.CLAIM_ANNOTATION] = f"{RUN}/9"
    kube.put(NODE_PATH, obj)
    with pytest.raises(ClaimLost):
        drain.drain(task(kube), NODE)
    assert kube.evictions == []
    assert kube.objects[NODE_PATH]["metadata"]["annotations"][names.CLAIM_ANNOTATION] == f"{RUN}/9"


def test_a_cordon_lifted_meanwhile_is_put_back(kube: FakeKube) -> None:
    work(kube, "serve-1")
    obj = kube.objects[NODE_PATH]
    del obj["spec"]["unschedulable"]
    kube.put(NODE_PATH, obj)
    drain.drain(task(kube), NODE)
    assert kube.objects[NODE_PATH]["spec"]["unschedulable"] is True


def test_check_mode_says_who_would_go_and_asks_for_nothing(kube: FakeKube) -> None:
    work(kube, "serve-1")
    changed, detail = drain.drain(task(kube, dry_run=True), NODE)
    assert not changed
    assert [w["name"] for w in detail["evicted"]] == ["serve"]
    assert kube.evictions == []


def test_an_error_that_is_no_budget_is_not_taken_for_one(kube: FakeKube) -> None:
    work(kube, "serve-1")

    def broken(method: str, where: str) -> None:
        if where.endswith("/eviction"):
            raise KnowngoodError("the webhook is down")

    kube.before.append(broken)
    with pytest.raises(KnowngoodError, match="webhook"):
        drain.drain(task(kube), NODE)
    assert kube.objects[NODE_PATH]["metadata"]["annotations"][names.CLAIM_ANNOTATION] == FENCE


def test_a_single_pod_is_asked_for_once_and_a_refusal_disturbs_nobody(kube: FakeKube) -> None:
    work(kube, "serve-1")
    kube.refusals["serve-1"] = 1
    drain.drain(task(kube), NODE)
    assert kube.evictions == [("serve-1", False)]
