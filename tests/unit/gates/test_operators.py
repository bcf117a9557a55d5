"""Operands and operators: each that is missing, stuck, restarting, parked or older than the driver does not pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from knowngood.adapters.judging.operand_view import VALIDATOR, Container, Declared, OnNode, Operand, of_node
from knowngood.gate.operands import Operands
from knowngood.model.errors import Location
from knowngood.model.gitops import GitOps
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster, Limits, Profile

from .conftest import gate, request, verdict

GATE = gate("operators")
EARLY, LATE = "2026-11-29T12:00:00Z", "2026-11-29T12:05:00Z"
NOW = datetime(2026, 11, 29, 13, 0, tzinfo=UTC)
DRIVER = Operand("nvidia-driver-daemonset", "u0", "ready", 3000.0, started=EARLY)
PLUGIN = Operand("nvidia-device-plugin-daemonset", "u1", "ready", 3000.0, started=LATE)
CHECK = Operand(VALIDATOR, "u2", "ready", 3000.0, started=LATE)
WELL = OnNode((DRIVER, PLUGIN, CHECK), driver_started=EARLY)
CLUSTER = Cluster(
    name="c",
    profile="p",
    release="r",
    control_plane=(),
    cpu=(),
    gpu=("gpu-1",),
    virtual=(),
    rings=(),
    tenants=(),
    gitops=GitOps("", "", ()),
    declarations=(),
    limits=Limits(operand_age=900.0),
    on_wave_failure="hold",
    where=Location("test"),
)
OPERATOR = Declared("gpu-operator", "Subscription x/y", "25.10.1", "Succeeded", "InstallSucceeded", 3000.0)


def judged(seen: OnNode | None, baseline: Any = None, **limits: Any) -> tuple[str, str]:
    at_rest = {"gpu-1": seen} if seen else {}
    test = GATE.test_what_they_run_on_the_node_is_there_and_stays
    return verdict(test, node="gpu-1", at_rest=at_rest, cluster=CLUSTER, limits=limits, baseline=baseline)[:2]


def with_(one: Operand, **changes: Any) -> OnNode:
    kept = tuple(replace(o, **changes) if o == one else o for o in WELL.operands)
    return replace(WELL, operands=kept)


def times(restarts: int, name: str = "ctr", ended: str = "") -> Container:
    return Container(name, restarts, ended)


def test_operands_at_rest_pass() -> None:
    assert judged(WELL) == ("pass", "")


@pytest.mark.parametrize(
    ("seen", "expected", "words"),
    [
        (with_(PLUGIN, state="Pending", age=901.0), "fail", "Pending for 901 s"),
        (with_(PLUGIN, state="Pending", age=900.0), "inconclusive", "Pending for 900 s"),
        (
            with_(PLUGIN, state="ctr: CrashLoopBackOff", age=30.0, containers=(times(3),)),
            "fail",
            "CrashLoopBackOff",
        ),
        (
            with_(PLUGIN, state="ctr: CrashLoopBackOff", age=30.0, containers=(times(1),)),
            "inconclusive",
            "CrashLoopBackOff",
        ),
        (
            with_(PLUGIN, state="ctr: CrashLoopBackOff", age=30.0, containers=(times(2),)),
            "inconclusive",
            "CrashLoopBackOff",
        ),
        (with_(PLUGIN, state="ctr: ImagePullBackOff", age=30.0), "inconclusive", "ImagePullBackOff"),
        (with_(CHECK, started=EARLY), "pass", ""),
        (replace(WELL, missing=("nvidia-dcgm",)), "fail", "nvidia-dcgm selects the node"),
        (
            replace(WELL, parked=("nvidia.com/gpu.deploy.dcgm=paused-for-driver-upgrade",)),
            "fail",
            "is parked",
        ),
        (replace(WELL, parked=("a=paused-for-x",), driver_started=""), "inconclusive", "is parked"),
        (with_(CHECK, started="2026-11-29T11:59:00Z"), "fail", "the validator ran at"),
        (with_(CHECK, started=""), "inconclusive", "when the validator ran is not told"),
        (with_(CHECK, started="2026-11-29T11:59:00Z", age=900.0), "inconclusive", "the validator ran at"),
        (with_(CHECK, undone=("cuda-validation",)), "fail", "without cuda-validation"),
        (with_(CHECK, undone=("cuda-validation",), age=900.0), "inconclusive", "without cuda-validation"),
        (OnNode(), "inconclusive", "no pod of an operator"),
        (None, "inconclusive", "no such node"),
    ],
)
def test_each_thing_out_of_place(seen: OnNode | None, expected: str, words: str) -> None:
    verdict_, reason = judged(seen)
    assert (verdict_, words in reason) == (expected, True), reason


@pytest.mark.parametrize(
    ("restarts", "uid", "limits", "expected"),
    [
        (5, "u1", {}, "pass"),
        (7, "u1", {}, "pass"),
        (8, "u1", {}, "fail"),
        (8, "other", {}, "pass"),
        (6, "u1", {"maxRestarts": 0}, "fail"),
    ],
)
def test_restarts_count_since_the_baseline_of_the_very_pod(
    restarts: int, uid: str, limits: dict[str, int], expected: str
) -> None:
    before = {"restarts": {PLUGIN.daemonset: [uid, {"ctr": 5}]}}
    assert judged(with_(PLUGIN, containers=(times(restarts),)), before, **limits)[0] == expected


@pytest.mark.parametrize(
    ("boots", "counts", "expected"),
    [
        ("b1 b2", [(7, EARLY), (7, EARLY), (7, EARLY)], "pass"),  # two boots, and no end since
        ("b1 b2", [(7, EARLY), (8, LATE), (7, EARLY)], "pass"),  # one has ended once more by itself
        ("b1 b2", [(7, EARLY), (9, LATE), (7, EARLY)], "fail"),
        ("b1 b2", [(8, ""), (8, ""), (8, "")], "fail"),  # when they ended is not told
        ("b1 b1", [(7, EARLY), (7, EARLY), (7, EARLY)], "fail"),  # nobody booted the node
        ("b1 ", [(7, EARLY), (7, EARLY), (7, EARLY)], "fail"),  # whether somebody did is not told
        (" b2", [(7, EARLY), (7, EARLY), (7, EARLY)], "fail"),
    ],
)
def test_a_boot_starts_every_container_anew_and_that_is_no_crash(
    boots: str, counts: list[tuple[int, str]], expected: str
) -> None:
    was, boot = boots.split(" ")
    before = {"boot": was, "restarts": {PLUGIN.daemonset: ["u1", {f"c{i}": 5 for i in range(3)}]}}
    these = tuple(times(n, f"c{i}", ended) for i, (n, ended) in enumerate(counts))
    seen = replace(with_(PLUGIN, containers=these), boot=boot, ready_since="2026-11-29T12:03:00Z")
    assert judged(seen, before)[0] == expected


def test_what_is_measured_says_on_which_boot_and_of_each_container() -> None:
    seen = replace(with_(PLUGIN, containers=(times(2, "a"), times(0, "b"))), boot="b1")
    test = GATE.test_what_they_run_on_the_node_is_there_and_stays
    arguments = {"at_rest": {"gpu-1": seen}, "cluster": CLUSTER, "limits": {}, "baseline": None}
    measured = verdict(test, node="gpu-1", **arguments)[2].measured
    assert measured["boot"] == "b1"
    assert measured["restarts"][PLUGIN.daemonset] == ["u1", {"a": 2, "b": 0}]


def declared(
    *operators: Declared, refusals: tuple[str, ...] = (), version: str = "25.10.1"
) -> tuple[str, str]:
    test = GATE.test_the_operators_of_the_release_have_succeeded
    asked = request(expect={"gpu-1": {"gpu-operator": version}})
    return verdict(test, operators=operators, refusals=refusals, judgement=asked, cluster=CLUSTER)[:2]


@pytest.mark.parametrize(
    ("operator", "expected", "words"),
    [
        (OPERATOR, "pass", ""),
        (replace(OPERATOR, version="26.3.1"), "fail", "is 26.3.1, expected 25.10.1"),
        (replace(OPERATOR, version=""), "fail", "is unknown"),
        (
            replace(OPERATOR, phase="Failed", reason="ComponentUnhealthy: x"),
            "fail",
            "Failed for 3000 s, Component",
        ),
        (replace(OPERATOR, phase="Installing", age=900.0), "inconclusive", "Installing for 900 s"),
        (replace(OPERATOR, phase=""), "fail", "without a phase"),
        (replace(OPERATOR, trouble="it is gone"), "inconclusive", "it is gone"),
        (
            replace(OPERATOR, notes=("CatalogSourcesUnhealthy: x",)),
            "pass",
            "gpu-operator: CatalogSourcesUnhealthy: x",
        ),
    ],
)
def test_each_state_of_an_operator(operator: Declared, expected: str, words: str) -> None:
    verdict_, reason = declared(operator)
    assert (verdict_, words in reason) == (expected, True), reason


def test_what_a_controller_can_not_do_fails() -> None:
    assert declared(OPERATOR, refusals=("NVIDIADriver a: ConflictingNodeSelector",))[0] == "fail"


def test_a_cluster_without_olm_has_nothing_to_say() -> None:
    assert declared() == ("pass", "no Subscription declares an operator: no version was asked")


def test_what_settles_is_read_again_and_what_is_for_good_is_not() -> None:
    asked: list[tuple[str, ...]] = []

    def again(nodes: Any) -> dict[str, OnNode]:
        asked.append(tuple(nodes))
        return dict.fromkeys(nodes, WELL)

    seen = {
        "well": WELL,
        "waits": replace(WELL, missing=("nvidia-dcgm",)),
        "lost": with_(PLUGIN, state="Pending", age=901.0),
    }
    profile = Profile(
        "p", "x", 8, "H200", "10de:233b", False, 8, "CX7", "dma-buf", {"operators": {"settleSeconds": 0.01}}, (),
        Location("test"),
    )  # fmt: skip
    found = GATE.at_rest.__wrapped__(Operands(seen, again), CLUSTER, Hardware((profile,)))
    assert asked == [("waits",)]
    assert judged(found["waits"])[0] == "pass"
    assert judged(found["lost"])[0] == "fail"


def pod(daemonset: str, **status: Any) -> dict[str, Any]:
    owner = {"kind": "DaemonSet", "name": daemonset, "controller": True}
    metadata = {"name": f"{daemonset}-x", "uid": "u", "ownerReferences": [owner], "creationTimestamp": EARLY}
    return {"metadata": metadata, "spec": {"nodeName": "gpu-1", "containers": []}, "status": status}


def daemonset(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"template": {"spec": spec}}}


def test_a_node_is_read_from_its_pods_and_the_daemonsets_that_select_it() -> None:
    node = {
        "metadata": {"name": "gpu-1", "labels": {"a": "b", "nvidia.com/gpu.deploy.dcgm": "paused-for-x"}},
        "status": {
            "nodeInfo": {"bootID": "b1"},
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": EARLY}],
        },
    }
    affinity: dict[str, Any] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}
    sets = [
        daemonset("here", nodeSelector={"a": "b"}),
        daemonset("gone", nodeSelector={"a": "b"}),
        daemonset("other", nodeSelector={"a": "c"}),
        daemonset("by-affinity", nodeSelector={"a": "b"}, affinity=affinity),
        daemonset("everywhere"),
    ]
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": LATE}
    running = {
        "name": "ctr",
        "restartCount": 4,
        "state": {"running": {"startedAt": LATE}},
        "lastState": {"terminated": {"finishedAt": EARLY}},
    }
    failed = {"name": "init", "state": {"terminated": {"exitCode": 1}}}
    here = pod(
        "here",
        conditions=[ready],
        containerStatuses=[running],
        initContainerStatuses=[failed],
        phase="Running",
    )
    found = of_node(node, sets, [here, {"metadata": {"name": "bare"}, "spec": {}}], NOW)
    assert found.missing == ("gone",)
    assert found.parked == ("nvidia.com/gpu.deploy.dcgm=paused-for-x",)
    (operand,) = found.operands
    assert (operand.state, operand.age, operand.restarts, operand.started) == ("Running", 3300.0, 4, LATE)
    assert operand.undone == ("init",)
    assert operand.containers == (Container("ctr", 4, EARLY),)
    assert (found.boot, found.ready_since) == ("b1", EARLY)


@pytest.mark.parametrize(
    ("uid", "containers", "said"),
    [
        ("u1", {"ctr": 5}, ""),
        ("other", {"ctr": 1}, ""),
        ("u1", {"ctr": 4}, f"{PLUGIN.daemonset} restarted 1 times since the baseline"),
        ("u1", {"another": 9}, f"{PLUGIN.daemonset} restarted 5 times since the baseline"),
    ],
    ids=["none", "another pod", "one", "a container that was not there"],
)
def test_restarts_that_are_allowed_are_told_and_those_of_before_are_not(
    uid: str, containers: dict[str, int], said: str
) -> None:
    before = {"restarts": {PLUGIN.daemonset: [uid, containers]}}
    found = judged(with_(PLUGIN, containers=(times(5),)), before, maxRestarts=9)
    assert found == ("pass", said)
    if "another" in containers:
        assert judged(with_(PLUGIN, containers=(times(5),)), before, maxRestarts=4)[0] == "fail"


def test_a_container_that_ended_as_the_node_became_ready_ended_by_the_boot() -> None:
    before = {"boot": "b1", "restarts": {PLUGIN.daemonset: ["u1", {"ctr": 5}]}}
    for ended, expected in ((LATE, "pass"), ("2026-11-29T12:05:01Z", "fail")):
        seen = replace(with_(PLUGIN, containers=(times(9, ended=ended),)), boot="b2", ready_since=LATE)
        assert judged(seen, before)[0] == expected
