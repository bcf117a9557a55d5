"""rdma_health: a NIC that is known to be bad may be down or out, and no other one for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from knowngood.model.matrix import Profile
from knowngood.model.parts import Waiver
from knowngood.twin import host_files

from .rdma_machine import CLASS, Machine
from .test_rdma_ports import STORAGE


@pytest.fixture
def machine(tmp_path: Path, profile: Profile) -> Machine:
    return Machine(tmp_path, profile)


@pytest.mark.parametrize("gone", [False, True])
def test_a_waived_nic_is_told_and_not_counted(machine: Machine, gone: bool) -> None:
    address = host_files.nic_address(2)
    before = machine.baseline()
    if gone:
        shutil.rmtree(machine.root / f"{CLASS}/mlx5_2")
    else:
        machine.port(2, state="1: DOWN", link_downed=255)
    machine.placed()
    for baseline in (None, before):
        assert machine.judged(baseline)[0] == "fail"
        machine.waivers = [Waiver("n1", "rdma_health", address, "cable ordered", "2099-12-31")]
        assert machine.judged(baseline)[0] == "pass", machine.judged(baseline)
        machine.port(1, state="1: DOWN")
        assert machine.judged(baseline)[0] == "fail", "another one is not waived"
        machine.port(1, state="4: ACTIVE")
        machine.waivers = []


@pytest.mark.parametrize("baseline", [True, False])
@pytest.mark.parametrize("gone", [1, 2])
def test_a_nic_that_is_waived_by_two_names_is_one(machine: Machine, baseline: bool, gone: int) -> None:
    """By its address, its port and its GUID; without a baseline nobody knows whose a GUID was."""
    address, guid = (
        host_files.nic_address(3),
        (machine.root / f"{CLASS}/mlx5_3/node_guid").read_text().strip(),
    )
    before = machine.baseline() if baseline else None
    machine.placed()
    names = (address, f"{address}/1", guid)
    machine.waivers = [Waiver("n1", "rdma_health", name, "on order", "2099-12-31") for name in names]
    for nic in range(4 - gone, 4):
        shutil.rmtree(machine.root / f"{CLASS}/mlx5_{nic}")
    found, why = machine.judged(before)
    assert found == ("pass" if gone == 1 else "fail" if baseline else "inconclusive"), why
    assert found != "inconclusive" or guid in why


def test_a_nic_may_be_waived_by_its_guid(machine: Machine) -> None:
    guid = (machine.root / f"{CLASS}/mlx5_2/node_guid").read_text().strip()
    before = machine.baseline()
    machine.waivers = [Waiver("n1", "rdma_health", guid, "on order", "2099-12-31")]
    machine.port(2, state="1: DOWN")
    assert machine.judged(before)[0] == "pass"
    shutil.rmtree(machine.root / f"{CLASS}/mlx5_2")
    assert machine.judged(before)[0] == "pass"
    assert machine.judged()[0] == "inconclusive"


def test_a_waived_nic_of_two_ports_is_out_with_both(machine: Machine) -> None:
    machine.limits |= {"expectedPorts": 8}
    machine.placed()
    machine.waivers = [Waiver("n1", "rdma_health", host_files.nic_address(3), "on order", "2099-12-31")]
    for nic in range(4):
        folder = machine.root / f"{CLASS}/mlx5_{nic}/ports"
        shutil.copytree(folder / "1", folder / "2")
    shutil.rmtree(machine.root / f"{CLASS}/mlx5_3")
    assert machine.judged()[0] == "pass", machine.judged()
    shutil.rmtree(machine.root / f"{CLASS}/mlx5_2/ports/2")
    assert "5 ports, expected 6" in machine.judged()[1]


@pytest.mark.parametrize("baseline", [True, False])
def test_a_waiver_of_a_place_that_nobody_knows_excuses_no_nic(machine: Machine, baseline: bool) -> None:
    """Mistyped, it would stand for any that is lost; and it can be told at once, before one is."""
    where, before = "clusters/a.yaml:57:9", machine.baseline() if baseline else None
    machine.waivers = [Waiver("n1", "rdma_health", "0000:aa:00.0/1", "on order", "2099-12-31", where)]
    for lost in (0, 1):
        if lost:
            shutil.rmtree(machine.root / f"{CLASS}/mlx5_3")
        found, why = machine.judged(before)
        assert found == ("fail" if lost and baseline else "inconclusive")
        assert found == "fail" or "clusters/a.yaml:57:9 waives 0000:aa:00.0/1, a place" in why
    machine.placed()
    machine.waivers = [Waiver("n1", "rdma_health", host_files.nic_address(3), "on order", "2099-12-31")]
    assert machine.judged(before)[0] == "pass"


def test_a_waived_storage_nic_that_is_gone_hides_no_compute_nic(machine: Machine) -> None:
    machine.more("mlx5_8", **STORAGE, **{"ports/1/link_layer": "Ethernet"})
    before = machine.baseline()
    machine.waivers = [Waiver("n1", "rdma_health", "0000:f8:00.0", "taken out", "2099-12-31")]
    shutil.rmtree(machine.root / f"{CLASS}/mlx5_8")
    assert machine.judged(before)[0] == "pass"
    shutil.rmtree(machine.root / f"{CLASS}/mlx5_2")
    assert "3 ports, expected 4" in machine.judged(before)[1]
