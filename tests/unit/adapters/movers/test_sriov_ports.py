"""Whose ports are waited for: the ring's own policy's, whatever another one asks for or its ports' driver has told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.movers import EVERY
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import BOOT, NODE, machine, task
from tests.unit.adapters.movers.test_sriov import port, state

from knowngood.adapters.cluster import facts
from knowngood.adapters.cluster.actors import SRIOV_API
from knowngood.adapters.kubernetes.client import path
from knowngood.adapters.movers import sriov
from knowngood.adapters.movers.base import Turn
from knowngood.adapters.movers.sriov_state import POLICIES, POOLS, STATES
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import NodeFailed, NotTold
from knowngood.model.field import ObjectRef
from knowngood.model.mover import Mark, Moving

OURS, OTHERS = "0000:1c:00.0", "0000:2e:00.0"
AT = ObjectRef(SRIOV_API, "SriovNetworkNodePolicy", "ours", "x")
NAME = "sriov-vfs"


@pytest.fixture(name="kube")
def _kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    """A claimed node with two policies, each of a port of its own."""
    kube = FakeKube()
    machine(kube)
    kube.collections |= {POOLS, POLICIES, STATES, "nodemaintenances"}
    monkeypatch.setattr(sriov, "files_and_log", lambda *_: answer(kube))
    claiming.claim(task(kube), NODE)
    return kube


def answer(kube: FakeKube) -> tuple[Mapping[str, list[str]], Sequence[Any]]:
    """What the ports' files say, as their state has it, and the kernel log."""
    files: dict[str, list[str]] = {}
    for one in kube.objects[path(SRIOV_API, STATES, NODE, "x")]["spec"]["interfaces"]:
        where, count = f"{sriov.DEVICES}/{one['pciAddress']}", one["numVfs"]
        files[f"{where}/sriov_numvfs"] = [str(count)]
        files |= {f"{where}/virtfn{n}/uevent": ["DRIVER=mlx5_core"] for n in range(count)}
    return files, facts.kernel_lines(NODE, kube.journals[NODE])


def parted(kube: FakeKube, *told: tuple[str, int], ours: int, others: int) -> None:
    """So many functions of each, and what the ports' driver told, one line after the other."""
    for name, count in (("ours", ours), ("others", others)):
        spec = {"numVfs": count, "nodeSelector": {}}
        kube.put(path(SRIOV_API, POLICIES, name, "x"), {"metadata": {"name": name}, "spec": spec})
    made = state(port(OURS, ours, "ours"), port(OTHERS, others, "others", resource="nfs"))
    kube.put(path(SRIOV_API, STATES, NODE, "x"), {**made, "metadata": {**made["metadata"], "name": NODE}})
    where = f"/api/v1/nodes/{NODE}"
    node = kube.objects[where]
    node["status"]["allocatable"] |= {"openshift.io/rail": str(ours), "openshift.io/nfs": str(others)}
    kube.put(where, node)
    kube.journals[NODE] = "\n".join(line(at, *one) for at, one in enumerate(told, 100))


def line(at: int, address: str, count: int) -> str:
    text = f"mlx5_core {address}: E-Switch: Enable: mode(LEGACY), nvfs({count}), necvfs(0), active vports(9)"
    stamp = {"_BOOT_ID": BOOT, "__MONOTONIC_TIMESTAMP": str(at * 1_000_000)}
    return json.dumps({"_TRANSPORT": "kernel", "MESSAGE": text, **stamp})


def applied(kube: FakeKube, at: ObjectRef | None = AT, *, named: bool = True) -> Mapping[str, Mark]:
    """What arrives of eight functions a port."""
    moving = Moving(NAME, "4", "8", EVERY[NAME], at)
    return sriov.apply(task(kube, named=named), NODE, Turn((moving,), ends_at=0.0)).marks


def test_another_policy_of_the_same_number_is_not_taken_for_the_rings(kube: FakeKube) -> None:
    """Right after the push the ring's own policy is still to be delivered."""
    parted(kube, (OTHERS, 8), (OURS, 4), ours=4, others=8)
    with pytest.raises(NodeFailed, match="asks for no port of ours with 8 functions yet"):
        applied(kube)


@pytest.mark.parametrize("others", [4, 8])
def test_the_newest_line_of_another_port_neither_proves_nor_hides_one(kube: FakeKube, others: int) -> None:
    parted(kube, (OURS, 8), (OTHERS, others), ours=8, others=others)
    assert applied(kube)[NAME] == Mark("8", facts.dashed(BOOT), 101.0 if others == 8 else 100.0)
    parted(kube, (OURS, 4), (OTHERS, 8), ours=8, others=8)
    with pytest.raises(NodeFailed, match=f"not told of 8 functions of {OURS}"):
        applied(kube)


def test_by_hand_one_policy_is_the_rings_and_of_two_one_must_be_named(kube: FakeKube) -> None:
    parted(kube, (OTHERS, 8), (OURS, 4), ours=4, others=8)
    with pytest.raises(NotTold, match="others, ours all select it: say in knowngood_objects"):
        applied(kube, None, named=False)
    del kube.objects[path(SRIOV_API, POLICIES, "others", "x")]
    with pytest.raises(NodeFailed, match="asks for no port of ours with 8 functions yet"):
        applied(kube, None, named=False)
    parted(kube, (OURS, 8), ours=8, others=4)
    del kube.objects[path(SRIOV_API, POLICIES, "others", "x")]
    assert applied(kube, None, named=False)[NAME].version == "8"


def test_where_its_number_did_not_move_those_that_ask_for_it_are_waited_for(kube: FakeKube) -> None:
    """Another change has the ports made anew, and what was pushed was something else."""
    parted(kube, (OURS, 8), (OTHERS, 4), ours=8, others=4)
    assert applied(kube, None)[NAME].version == "8"
