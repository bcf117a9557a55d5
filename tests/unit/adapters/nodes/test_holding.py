"""Holds: what is paused, what is left alone, what is let go, and what a held object says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.cluster import held
from knowngood.adapters.cluster.held import MACHINE_CHECK_PAUSED, SCALE_DOWN_DISABLED
from knowngood.adapters.nodes import holding
from knowngood.adapters.nodes.holding import CONTROLLER_CONFIG, KubeHolds
from knowngood.model.errors import CouldNot, UsageError
from knowngood.model.mover import HOLDS
from knowngood.model.names import HOLD_ANNOTATION, ROLLS_ANNOTATION
from knowngood.ports.holds import Term

TERM = Term("r1", "ana@laptop", "2099-01-01T00:00:00+00:00")
OTHER = Term("r0", "ben@desk", "2099-01-01T00:00:00+00:00")
POOL = "MachineConfigPool gpu"
CHECK = "MachineHealthCheck openshift-machine-api/workers"
NODE_CHECK = "NodeHealthCheck workers"
GPU = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/gpu": ""}


def where(what: str) -> str:
    pausable, name = held.by_name(what)
    return pausable.where(name)


def a_pool(name: str, role: str, **spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {f"node-role.kubernetes.io/{role}": ""}}
    return {"metadata": {"name": name}, "spec": {"nodeSelector": selector, "paused": False, **spec}}


@pytest.fixture
def kube() -> FakeKube:
    """A cluster that has all that can be held, of which some concerns gpu-1."""
    kube = FakeKube()
    kube.collections |= {"machineconfigpools", "machinehealthchecks", "nodehealthchecks", "machines"}
    for name, labels in (("gpu-1", GPU), ("cpu-1", {"node-role.kubernetes.io/worker": ""})):
        kube.put(f"/api/v1/nodes/{name}", {"metadata": {"name": name, "labels": labels}})
        space = "openshift-machine-api"
        machine = {
            "metadata": {"name": name, "namespace": space, "labels": {"of": name}},
            "status": {"nodeRef": {"kind": "Node", "name": name}},
        }
        kube.put(f"/apis/machine.openshift.io/v1beta1/namespaces/{space}/machines/{name}", machine)
    for name, role in (("worker", "worker"), ("gpu", "gpu"), ("master", "master")):
        kube.put(where(f"MachineConfigPool {name}"), a_pool(name, role))
    for name, of in (("workers", "gpu-1"), ("others", "cpu-1")):
        metadata = {"name": name, "namespace": "openshift-machine-api"}
        spec = {"selector": {"matchLabels": {"of": of}}}
        kube.put(
            where(f"MachineHealthCheck openshift-machine-api/{name}"), {"metadata": metadata, "spec": spec}
        )
    expression = {"key": "node-role.kubernetes.io/gpu", "operator": "Exists"}
    check = {"metadata": {"name": "workers"}, "spec": {"selector": {"matchExpressions": [expression]}}}
    kube.put(where(NODE_CHECK), check)
    return kube


def term_of(kube: FakeKube, what: str) -> Mapping[str, str] | None:
    text = (kube.objects[where(what)]["metadata"].get("annotations") or {}).get(HOLD_ANNOTATION)
    return json.loads(text) if text else None


def paused(kube: FakeKube) -> set[str]:
    """What is paused by anybody."""
    return {
        pausable.called(item)
        for pausable, item in held.paused_objects(kube)
        if pausable.stands(item) or pausable.paused(item)
    }


def test_what_acts_on_the_nodes_is_paused_and_says_whose_hold_it_is(kube: FakeKube) -> None:
    taken = KubeHolds(kube).take(HOLDS, ["gpu-1"], TERM)
    assert set(taken.held) == {POOL, CHECK, NODE_CHECK} == paused(kube)
    assert (taken.others, taken.busy, taken.failed) == ((), {}, {})
    for what in taken.held:
        assert term_of(kube, what) == {"run": "r1", "who": "ana@laptop", "until": TERM.until}


def test_only_the_kinds_that_are_asked_for_are_held(kube: FakeKube) -> None:
    assert KubeHolds(kube).take(["machine-config-pool"], ["gpu-1"], TERM).held == (POOL,)
    assert paused(kube) == {POOL}


def test_a_cluster_that_has_none_of_it_is_asked_and_left_alone() -> None:
    kube = FakeKube()
    kube.put("/api/v1/nodes/gpu-1", {"metadata": {"name": "gpu-1"}})
    assert KubeHolds(kube).take(HOLDS, ["gpu-1"], TERM).held == ()
    assert kube.writes == []


def test_taking_twice_writes_once(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    holds.take(HOLDS, ["gpu-1"], TERM)
    before = list(kube.writes)
    assert set(holds.take(HOLDS, ["gpu-1"], TERM).held) == {POOL, CHECK, NODE_CHECK}
    assert kube.writes == before


def test_what_others_had_paused_is_neither_marked_nor_let_go(kube: FakeKube) -> None:
    kube.objects[where(POOL)]["spec"]["paused"] = True
    kube.objects[where(CHECK)]["metadata"]["annotations"] = {MACHINE_CHECK_PAUSED: ""}
    kube.objects[where(NODE_CHECK)]["spec"]["pauseRequests"] = ["somebody's"]
    holds = KubeHolds(kube)
    taken = holds.take(HOLDS, ["gpu-1"], TERM)
    assert (set(taken.others), taken.held) == ({POOL, CHECK}, (NODE_CHECK,))
    assert holds.let_go(HOLDS, "r1").done == (NODE_CHECK,)
    assert kube.objects[where(POOL)]["spec"]["paused"] is True
    assert kube.objects[where(CHECK)]["metadata"]["annotations"] == {MACHINE_CHECK_PAUSED: ""}
    assert kube.objects[where(NODE_CHECK)]["spec"]["pauseRequests"] == ["somebody's"]


def test_letting_go_takes_off_what_we_wrote_and_nothing_else(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    holds.take(HOLDS, ["gpu-1"], TERM)
    assert set(holds.let_go(HOLDS, "r1").done) == {POOL, CHECK, NODE_CHECK}
    assert paused(kube) == set()
    assert [term_of(kube, what) for what in (POOL, CHECK, NODE_CHECK)] == [None, None, None]
    assert holds.let_go(HOLDS, "r1").done == ()


def test_a_pause_that_somebody_made_his_own_meanwhile_stays(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    holds.take(HOLDS, ["gpu-1"], TERM)
    kube.objects[where(CHECK)]["metadata"]["annotations"][MACHINE_CHECK_PAUSED] = "ben's maintenance"
    holds.let_go(HOLDS, "r1")
    assert kube.objects[where(CHECK)]["metadata"]["annotations"] == {
        MACHINE_CHECK_PAUSED: "ben's maintenance"
    }


def test_another_runs_hold_is_busy_and_is_not_let_go_by_us(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    holds.take(HOLDS, ["gpu-1"], OTHER)
    taken = holds.take(HOLDS, ["gpu-1"], TERM)
    assert taken.held == ()
    assert set(taken.busy) == {POOL, CHECK, NODE_CHECK}
    assert "run r0 holds it" in taken.busy[POOL]
    assert "boots every node of it that lacks its config, at once and undrained" in taken.busy[POOL]
    assert "boots" not in taken.busy[CHECK]
    assert holds.let_go(HOLDS, "r1").done == ()
    assert paused(kube) == {POOL, CHECK, NODE_CHECK}


def test_a_pool_that_rolls_is_not_paused_half_way(kube: FakeKube) -> None:
    kube.objects[where(POOL)]["status"] = {"conditions": [{"type": "Updating", "status": "True"}]}
    taken = KubeHolds(kube).take(["machine-config-pool"], ["gpu-1"], TERM)
    assert list(taken.busy) == [POOL]
    assert kube.writes == []


def let_go_for_its_ring(kube: FakeKube, **conditions: str) -> KubeHolds:
    """A run holds the pool, and has unpaused it for its ring."""
    holds = KubeHolds(kube)
    holds.take(["machine-config-pool"], ["gpu-1"], TERM)
    pool = kube.objects[where(POOL)]
    pool["spec"]["paused"] = False
    pool["metadata"]["annotations"][ROLLS_ANNOTATION] = "r1"
    pool["status"] = {"conditions": [{"type": kind, "status": said} for kind, said in conditions.items()]}
    return holds


def test_a_pool_that_was_let_go_for_its_ring_is_paused_again_before_the_next_release(kube: FakeKube) -> None:
    holds = let_go_for_its_ring(kube, Updating="False", Updated="True")
    assert holds.keep([POOL], TERM) == {}, "as such it was not lifted"
    assert holds.take(["machine-config-pool"], ["gpu-1"], TERM).held == (POOL,)
    pool = kube.objects[where(POOL)]
    assert pool["spec"]["paused"]
    assert pool["metadata"]["annotations"].get(ROLLS_ANNOTATION) is None
    before = list(kube.writes)
    holds.take(["machine-config-pool"], ["gpu-1"], TERM)
    assert kube.writes == before, "a resume repeats it"


@pytest.mark.parametrize("said", [{"Updating": "True"}, {"Updated": "False"}, {}])
def test_and_not_while_a_node_of_it_may_lack_its_config(kube: FakeKube, said: dict[str, str]) -> None:
    holds = let_go_for_its_ring(kube, **said)
    before = list(kube.writes)
    assert list(holds.take(["machine-config-pool"], ["gpu-1"], TERM).busy) == [POOL]
    assert kube.writes == before


def test_only_a_pool_that_is_paused_says_that_letting_it_go_boots_nodes(kube: FakeKube) -> None:
    """One that a run has let go for its ring is marked still, and goes on already."""
    holds = KubeHolds(kube)
    holds.take(HOLDS, ["gpu-1"], TERM)
    assert [one.where for one in holds.standing() if one.starts] == [POOL]
    kube.objects[where(POOL)]["spec"]["paused"] = False
    assert POOL in [one.where for one in holds.standing()]
    assert [one.where for one in holds.standing() if one.starts] == []


def test_what_was_lifted_is_held_again_and_told(kube: FakeKube) -> None:
    """The SR-IOV operator unpauses a pool without asking who paused it."""
    holds = KubeHolds(kube)
    taken = holds.take(HOLDS, ["gpu-1"], TERM)
    kube.objects[where(POOL)]["spec"]["paused"] = False
    found = holds.keep(taken.held, TERM)
    assert found == {POOL: "somebody had it go on: held again"}
    assert paused(kube) == {POOL, CHECK, NODE_CHECK}
    assert holds.keep(taken.held, TERM) == {}


def test_a_hold_whose_mark_was_taken_off_is_taken_again(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    taken = holds.take(HOLDS, ["gpu-1"], TERM)
    pool = kube.objects[where(POOL)]
    pool["spec"]["paused"], pool["metadata"]["annotations"] = False, {}
    assert list(holds.keep(taken.held, TERM)) == [POOL]
    assert term_of(kube, POOL) is not None


def test_what_is_gone_or_another_runs_by_now_is_told_and_left(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    taken = holds.take(HOLDS, ["gpu-1"], TERM)
    del kube.objects[where(NODE_CHECK)]
    kube.objects[where(POOL)]["metadata"]["annotations"] = {HOLD_ANNOTATION: held.written(OTHER)}
    assert holds.keep(taken.held, TERM) == {NODE_CHECK: "it is gone", POOL: "run r0 holds it now"}


def test_keeping_renews_a_term_that_runs_out(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    taken = holds.take(["machine-config-pool"], ["gpu-1"], Term("r1", "ana@laptop", "2020-01-01T00:00:00Z"))
    assert holds.keep(taken.held, TERM) == {}
    assert (term_of(kube, POOL) or {})["until"] == TERM.until


def test_a_conflict_is_tried_again_on_what_is_there_then(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "pause", lambda *_: 0.0)

    def meanwhile(method: str, path: str) -> None:
        if method == "PATCH" and path == where(POOL):
            kube.before.remove(meanwhile)
            kube.put(path, {**kube.objects[path], "status": {"machineCount": 3}})

    kube.before.append(meanwhile)
    assert KubeHolds(kube).take(["machine-config-pool"], ["gpu-1"], TERM).held == (POOL,)
    assert kube.objects[where(POOL)]["status"] == {"machineCount": 3}


def refuse(kube: FakeKube, what: str) -> None:
    def no(method: str, path: str) -> None:
        if method == "PATCH" and path == where(what):
            raise UsageError("403: you may not patch it")

    kube.before.append(no)


def test_what_may_not_be_patched_fails_by_name_and_the_others_go_on(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    holds.take(HOLDS, ["gpu-1"], TERM)
    refuse(kube, POOL)
    gone = holds.let_go(HOLDS, "r1")
    assert (set(gone.done), list(gone.failed)) == ({CHECK, NODE_CHECK}, [POOL])
    kube.objects[where(POOL)]["spec"]["paused"] = False
    with pytest.raises(CouldNot, match=POOL):
        holds.keep([POOL], TERM)


def test_only_the_kinds_that_are_named_are_let_go(kube: FakeKube) -> None:
    """What stays is the brake of a hop without a way back."""
    holds = KubeHolds(kube)
    holds.take(HOLDS, ["gpu-1"], TERM)
    assert set(holds.let_go(["health-checks", "alerts"], "r1").done) == {CHECK, NODE_CHECK}
    assert kube.objects[where(POOL)]["spec"]["paused"]
    assert holds.let_go(["machine-config-pool"], "r1").done == (POOL,)


def test_nodes_are_kept_from_an_autoscaler_where_there_is_one(kube: FakeKube) -> None:
    holds = KubeHolds(kube)
    assert holds.take(["cluster-autoscaler"], ["gpu-1"], TERM).held == ()
    kube.collections.add("clusterautoscalers")
    kube.put(f"{holding.AUTOSCALERS}/default", {"metadata": {"name": "default"}})
    assert holds.take(["cluster-autoscaler"], ["gpu-1"], TERM).held == ("Node gpu-1",)
    assert kube.objects["/api/v1/nodes/gpu-1"]["metadata"]["annotations"][SCALE_DOWN_DISABLED] == "true"
    assert holds.let_go(["cluster-autoscaler"], "r1").done == ("Node gpu-1",)
    assert kube.objects["/api/v1/nodes/gpu-1"]["metadata"]["annotations"] == {}


def test_certificates_bound_the_hold_of_a_pool_only(kube: FakeKube) -> None:
    certificate = {"bundleFile": "ca", "subject": "CN=signer", "notAfter": "2098-01-01T00:00:00Z"}
    kube.put(CONTROLLER_CONFIG, {"metadata": {}, "status": {"controllerCertificates": [certificate]}})
    holds = KubeHolds(kube)
    assert holds.bound(HOLDS)[0] == "2098-01-01T00:00:00+00:00"
    assert holds.bound(["health-checks"]) == ("", "")


def test_every_hold_that_stands_is_a_leftover_with_whose_it_is(kube: FakeKube) -> None:
    KubeHolds(kube).take(["machine-config-pool"], ["gpu-1"], TERM)
    kube.objects[where(CHECK)]["metadata"]["annotations"] = {HOLD_ANNOTATION: "who knows"}
    found = {left.where: left for left in KubeHolds(kube).standing()}
    assert found.keys() == {POOL, CHECK}
    assert found[POOL].run == "r1"
    assert found[POOL].detail == f"of run r1 (ana@laptop), meant until {TERM.until}"
    assert found[CHECK].run == ""
