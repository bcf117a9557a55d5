"""Ports as a probe tells them: what is left out is not known, and never what it should be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from knowngood.gate.rdma_ports import UP, Port, choose, expected, fault, faults, read
from knowngood.model.errors import Location
from knowngood.model.matrix import Profile
from knowngood.model.parts import ComputeNics

PROFILE = Profile("p", "x", 8, "H200", "10de:2335", True, 4, "CX7", "dma-buf", {}, (), Location("test"))


def told(name: str = "mlx5_0/1", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "state": UP[0],
        "physState": UP[1],
        "rateGbps": 400,
        "linkLayer": "InfiniBand",
        **fields,
    }


def ports(count: int, **device: Any) -> list[Port]:
    names = [f"mlx5_{n}" for n in range(count)]
    devices = [{"name": n, "pci": f"0000:{i:02x}:00.0", **device} for i, n in enumerate(names)]
    return read({"ports": [told(f"{n}/1") for n in names], "devices": devices})


def test_what_a_probe_left_out_of_a_port_is_empty() -> None:
    (port,) = read({"ports": [{}]})
    assert (port.part, port.name, port.state, port.rate, port.layer) == ("/", "/", ("", ""), None, "")
    assert (port.firmware, port.pcie, port.pci, port.guid, port.board, port.hca) == (None, {}, "", "", "", "")
    assert (port.up, port.down) == (False, False), "nobody knows"


@pytest.mark.parametrize(
    ("device", "part"),
    [
        ({"pci": "0000:1a:00.0", "guid": "a:b"}, "0000:1a:00.0/1"),
        ({"guid": "a:b"}, "a:b/1"),
        ({}, "mlx5_0/1"),
    ],
)
def test_a_port_is_known_by_what_changes_least(device: dict[str, str], part: str) -> None:
    (port,) = read({"ports": [told()], "devices": [{"name": "mlx5_0", **device}]})
    assert port.part == part
    assert port.label == ("mlx5_0/1" if part == "mlx5_0/1" else f"mlx5_0/1 ({part})")


def test_a_firmware_is_the_devices_own_or_what_is_told_beside_it() -> None:
    beside = {"ports": [told()], "devices": [{"name": "mlx5_0"}], "firmware": {"mlx5_0": "28.1"}}
    assert read(beside)[0].firmware == "28.1"
    assert read({**beside, "devices": [{"name": "mlx5_0", "firmware": "28.2"}]})[0].firmware == "28.2"


@pytest.mark.parametrize(("count", "sure"), [(3, True), (4, True), (5, False)])
def test_as_many_as_there_must_be_are_the_compute_nics(count: int, sure: bool) -> None:
    found = choose(ports(count), PROFILE, {})
    assert (len(found.compute), found.others, found.sure, found.wanted) == (count, (), sure, 4)


def test_of_too_many_the_only_make_of_which_there_are_as_many_is_meant() -> None:
    mine, others = ports(4, board="A"), [replace(p, name=f"x{p.name}", board="B") for p in ports(3)]
    found = choose([*mine, *others], PROFILE, {})
    assert (found.compute, found.others, found.sure) == (tuple(mine), tuple(others), True)
    doubled = [*mine, *(replace(p, name=f"x{p.name}", board="B") for p in ports(4))]
    assert choose(doubled, PROFILE, {}).sure is False, "two makes of four"


@pytest.mark.parametrize(
    ("limits", "nics", "count"), [({}, {}, 4), ({}, {"ports": 2}, 2), ({"expectedPorts": 6}, {"ports": 2}, 6)]
)
def test_how_many_there_must_be(limits: dict[str, int], nics: dict[str, int], count: int) -> None:
    assert expected(replace(PROFILE, compute_nics=ComputeNics(**nics)), limits) == count  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (UP, ""),
        (("DOWN", UP[1]), "is DOWN/"),
        ((UP[0], "Polling"), "/Polling"),
        (("", ""), ""),
        (("DOWN", ""), "is DOWN/?"),
        (("", "Polling"), "is ?/Polling"),
    ],
)
def test_a_state_that_is_not_told_is_no_fault(state: tuple[str, str], words: str) -> None:
    found = fault(replace(ports(1)[0], state=state), PROFILE, {"rateGbps": 400})
    assert (words in found, bool(found)) == (True, bool(words))


def test_one_port_too_few_and_bad_ones_among_too_many() -> None:
    assert [w for _, w in faults(choose(ports(3), PROFILE, {}), PROFILE, {})] == ["3 ports, expected 4"]
    five = ports(5)
    slow = [replace(five[0], rate=100.0), *five[1:]]
    limits = {"rateGbps": 400}
    assert list(faults(choose(slow, PROFILE, limits), PROFILE, limits)) == [], "four good ones are enough"
    worse = [replace(p, rate=100.0) for p in five[:2]] + five[2:]
    found = list(faults(choose(worse, PROFILE, limits), PROFILE, limits))
    assert found[0] == ("", "3 good ports, expected 4")
    assert len(found) == 3
