"""A node is asked once, and as little as can be; what one way does not show is asked by the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.gates.conftest import BOOT, healthy, request
from tests.unit.gates.smi import printed, profile

from knowngood.adapters.judging.probe_job import Answers
from knowngood.adapters.judging.probe_manifest import Order
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate import fixtures, neighbours, probing
from knowngood.gate.driver import Reports, report_of
from knowngood.gate.fixtures import Journals, same_boot
from knowngood.gate.probing import ports
from knowngood.gate.verdicts import GateInconclusive
from knowngood.model.hardware import Hardware
from knowngood.model.parts import ComputeNics
from knowngood.model.probe_pod import PodNeeds, PodSite, PodStorage

SEEN = {"ports": [{"name": "mlx5_0/1"}], "counters": {}}


def test_no_probe_is_sent_for_ports_that_the_driver_pod_shows() -> None:
    def never() -> Answers:
        raise AssertionError("a probe was asked")

    assert ports(healthy(rdma=SEEN), 1, never)["measured"] == SEEN


def test_ports_that_the_driver_pod_does_not_show_are_asked_of_a_probe() -> None:
    """RDMA devices of the host's network namespace are hidden from a pod with its own."""
    result = {"ok": True, "backend": "", "reason": "", "measured": SEEN}
    answered = Answers({"gpu-1": {"bootId": BOOT, "results": {"rdma": result}}})
    assert ports(healthy(), 1, lambda: answered)["measured"] == SEEN
    assert ports(healthy(rdma={"ports": []}), 1, lambda: answered)["measured"] == SEEN
    two = {"ports": [*SEEN["ports"], *SEEN["ports"]]}
    result["measured"] = two
    assert ports(healthy(rdma=SEEN), 2, lambda: answered)["measured"] == two, "some were hidden"
    with pytest.raises(GateInconclusive, match="rebooted"):
        ports(healthy(), 1, lambda: Answers({"gpu-1": {"bootId": "x", "results": {"rdma": result}}}))
    with pytest.raises(GateInconclusive, match="no room"):
        ports(healthy(), 1, lambda: Answers({}, {"gpu-1": "no room"}))


def test_a_node_that_was_rebooted_while_it_was_judged_can_not_be_read() -> None:
    begun = healthy()
    assert same_boot(healthy(), begun) == begun
    plain = BOOT.replace("-", "")
    assert same_boot(healthy(), healthy(boot_id=plain)).reachable, "one boot, told in two ways"
    later = same_boot(healthy(boot_id="another"), begun)
    assert (later.reachable, "rebooted" in later.trouble) == (False, True)


def test_the_present_boots_journal_is_fetched_once_and_an_older_ones_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []

    def fetch(_kube: object, node: str, *, boot: int) -> str:
        asked.append((node, boot))
        return f"{node} {boot}"

    monkeypatch.setattr("knowngood.gate.fixtures.journals.read", fetch)
    read: Journals = fixtures.journals_of.__wrapped__(None, {"gpu-1": "told"})  # type: ignore[attr-defined]
    assert [read("gpu-1", 0), read("gpu-1", -1), read("gpu-1", -1), read("gpu-2", 0)] == [
        "told",
        "gpu-1 -1",
        "gpu-1 -1",
        "gpu-2 0",
    ]
    assert asked == [("gpu-1", -1), ("gpu-2", 0)]


def test_a_failed_remap_is_what_the_driver_says_of_that_gpu() -> None:
    def asked(text: str, node: str = "gpu-1", address: str = "0000:3a:00") -> bool | None:
        told = {"gpu-1": report_of(Ran(text, "", 0))}
        request = SimpleNamespace(getfixturevalue=lambda _: Reports(told, lambda _: {}))
        ask: Callable[..., bool | None] = neighbours.remap_failed.__wrapped__(request)  # type: ignore[attr-defined]
        return ask(node, address)

    assert asked(printed()) is False
    assert asked(printed(ailment="row-remap-fails")) is True
    assert asked(printed(ailment="row-remap-fails"), address="0000:18:00") is False
    assert asked(printed().replace("remapped_row_failure>No", "remapped_row_failure>N/A")) is None
    assert asked(printed(), address="0000:ff:00") is None
    assert asked(printed(), node="gpu-2") is None
    assert asked("no report") is None


def test_only_what_computes_waits_for_an_image_and_takes_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[Order] = []

    def run(_kube: object, order: Order, _cancel: object) -> Answers:
        orders.append(order)
        return Answers({})

    monkeypatch.setattr("knowngood.gate.probing.probe_job.run", run)
    limits = SimpleNamespace(image_pull=600.0)
    context: Any = SimpleNamespace(
        request=request(deadline=100.0),
        cluster=SimpleNamespace(probe_image="i", limits=limits, probe=PodSite()),
        hardware=Hardware((profile(),)),
        namespace="n",
    )
    nodes = {"gpu-1": healthy(), "gpu-2": healthy(ready=False)}
    for wanted in (("rdma",), ("training", "inference")):
        found = probing._asked(context, None, nodes, wanted)  # type: ignore[arg-type]
        assert found.missing == {"gpu-2": "no probe was sent: the node is not ready"}
    assert [(o.pull, o.deadline, o.nodes, o.own["gpu-1"].gpus) for o in orders] == [
        (0.0, 60.0, ("gpu-1",), 0),
        (600.0, 60.0, ("gpu-1",), 8),
    ]


@pytest.mark.parametrize(
    ("allocatable", "why"),
    [("8", ""), ("9", ""), ("7", "7 of 8 GPUs"), ("0", "0 of 8 GPUs"), ("many", "many of 8 GPUs")],
)
def test_no_probe_is_sent_where_its_gpus_are_not_there(allocatable: str, why: str) -> None:
    state = healthy(allocatable={"nvidia.com/gpu": allocatable})
    assert why in probing.unfit(state, {"nvidia.com/gpu": 8})
    assert bool(probing.unfit(state, {"nvidia.com/gpu": 8})) is bool(why)
    assert probing.unfit(healthy(reachable=False), {}) != ""
    assert "0 of 1 x/y are allocatable" in probing.unfit(state, {"x/y": 1})


SEVENTHS = {"gpu0": " ".join(f"gi{n} gi{n}/ci0" for n in range(7, 14))}


@pytest.mark.parametrize(
    ("changes", "needs", "gpus", "resources", "told"),
    [
        ({}, PodNeeds(), 1, {"nvidia.com/gpu": 1}, {}),
        (
            {"labels": {"nvidia.com/mig.strategy": "single"}, "inventory": {"mig": SEVENTHS}},
            PodNeeds(cpus=3),
            7,
            {"nvidia.com/gpu": 7},
            {"slices": 7, "whole": 0},
        ),
        (
            {"labels": {"nvidia.com/gpu.replicas": "4"}},
            PodNeeds(),
            1,
            {"nvidia.com/gpu": 1},
            {"shared": True},
        ),
        ({}, PodNeeds(resources={"x/gpu": 3}), 1, {"x/gpu": 3}, {}),
        ({}, PodNeeds(claims=("gpus",)), 1, {}, {}),
    ],
)
def test_a_probe_takes_what_the_nodes_own_layout_offers_unless_the_profile_names_it(
    changes: Any, needs: PodNeeds, gpus: int, resources: Any, told: Any
) -> None:
    one = replace(profile(), gpus=1, probe=needs)
    share, trouble = probing.share(one, healthy(**changes), {"gpus": 1})
    assert trouble == ""
    assert (share.gpus, share.needs.cpus) == (gpus, needs.cpus)
    assert (share.needs.resources, share.params) == (resources, {"gpus": 1, **told})


def test_no_probe_is_sent_where_the_layout_can_not_be_told() -> None:
    labels = {"nvidia.com/mig.strategy": "single", "nvidia.com/mig-1g.18gb.count": "7"}
    state = healthy(labels=labels, inventory={})
    assert "no probe was sent: its labels speak of MIG" in probing.share(profile(), state, {})[1]


def test_the_training_alone_is_given_a_volume_of_the_tenants_storage_class() -> None:
    storage = PodStorage("powerscale", 10)
    told = {"training": {"seconds": 10}, "inference": {}}
    share, _ = probing.share(profile(), healthy(), told, storage)
    assert share.storage == storage
    assert share.params["training"] == {"seconds": 10, "checkpointFolder": "/checkpoints"}
    assert share.params["inference"] == {}
    named, _ = probing.share(
        replace(profile(), probe=PodNeeds(resources={"x/gpu": 1})), healthy(), told, storage
    )
    assert (named.storage, named.params) == (storage, share.params)
    without, _ = probing.share(profile(), healthy(), {"inference": {}}, storage)
    assert (without.storage, "training" in without.params) == (None, False)


RESULT = {"ok": True, "backend": "cuda", "reason": "", "measured": {"x": 1}}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (Answers({}), "the probe gave no answer"),
        (Answers({}, {"gpu-1": "no room"}), "no room"),
        (
            Answers({"gpu-1": {}}, leftover={"gpu-1": "its Job"}),
            "the probe could not be cleared away: its Job",
        ),
        (Answers({"gpu-1": {"results": {}}}), "the probe could not read the node's boot id"),
        (Answers({"gpu-1": {"bootId": "x", "results": {}}}), "rebooted"),
        (Answers({"gpu-1": {"bootId": BOOT, "results": {}}}), "lacks this payload's result"),
        (Answers({"gpu-1": {"bootId": BOOT, "results": {"training": []}}}), "lacks this payload's result"),
        (Answers({"gpu-1": {"bootId": BOOT, "results": {"training": {"ok": True}}}}), "lacks this payload's"),
    ],
)
def test_a_probe_without_an_answer_of_this_boot_says_why(answers: Answers, words: str) -> None:
    with pytest.raises(GateInconclusive, match=words):
        probing.answer(answers, healthy(), "training")


def test_an_answer_is_of_its_boot_however_that_is_written() -> None:
    plain = BOOT.replace("-", "")
    found = probing.answer(Answers({"gpu-1": {"bootId": plain, "results": {"x": RESULT}}}), healthy(), "x")
    assert found == {**RESULT, "bootId": plain}


@pytest.mark.parametrize(
    ("changes", "devices", "words"),
    [
        ({}, {"nvidia.com/gpu": 8}, ""),
        ({}, {"nvidia.com/gpu": 9}, "8 of 9 GPUs are allocatable"),
        ({}, {"rdma/x": 1}, "0 of 1 rdma/x are allocatable"),
        ({"allocatable": {"rdma/x": "1k"}}, {"rdma/x": 1}, "1k of 1 rdma/x are allocatable"),
        ({"reachable": False}, {}, "not ready"),
        ({"ready": False}, {}, "not ready"),
    ],
)
def test_a_node_that_can_take_no_probe_is_known_before_one_is_sent(
    changes: Any, devices: Any, words: str
) -> None:
    state = healthy(**{"allocatable": {"nvidia.com/gpu": "8"}, **changes})
    found = probing.unfit(state, devices)
    assert (words in found, bool(found)) == (True, bool(words))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"gates": {}, "nics": 0}, 1),
        ({"gates": {}, "nics": 8}, 8),
        ({"gates": {}, "nics": 8, "compute_nics": ComputeNics(ports=4)}, 4),
        ({"gates": {"rdma_health": {"expectedPorts": 6}}, "nics": 8}, 6),
    ],
)
def test_how_many_ports_there_must_be_is_the_profiles(changes: Any, wanted: int) -> None:
    assert probing._wanted(replace(profile(), **changes)) == wanted


def test_each_node_is_judged_by_the_limits_of_its_own_pool() -> None:
    """The gates of one judgement, on two kinds of machines; `tests/unit/engine/test_pools.py` plays such a run."""
    fast = replace(profile(), name="fast", gates={"smoke_training": {"minTokensPerSecond": 9}})
    slow = replace(profile(), name="slow", gates={"smoke_training": {"minTokensPerSecond": 1}})
    hardware = Hardware((fast, slow), {"gpu-1": "fast", "gpu-2": "slow"})
    asked = SimpleNamespace(node=SimpleNamespace(path=Path("gates/smoke_training.py")))
    own: Any = fixtures.profile.__wrapped__  # type: ignore[attr-defined]
    limits: Any = fixtures.limits.__wrapped__  # type: ignore[attr-defined]
    found = {node: limits(asked, own(hardware, node)) for node in ("gpu-1", "gpu-2")}
    assert found == {"gpu-1": {"minTokensPerSecond": 9}, "gpu-2": {"minTokensPerSecond": 1}}
