"""Which ports are judged, by what they are known, and what each reading decides: from host files to the verdict."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cases import CASES, needs_cases

from knowngood.gate.rdma_counters import FATAL, INFORM, RATES
from knowngood.matrix.load import load
from knowngood.model.matrix import Profile
from knowngood.model.parts import ComputeNics
from knowngood.twin import host_files

from .rdma_machine import CLASS, Machine

ROCE = sorted(INFORM | {"out_of_sequence", "packet_seq_err", "a_name_of_next_year"})


@functools.cache
def shipped() -> Profile:
    """The profile of the machine that the cases are of."""
    return load(Path(__file__).parents[3] / "matrix").profiles["hgx-b200"]


@pytest.fixture
def machine(tmp_path: Path, profile: Profile) -> Machine:
    return Machine(tmp_path, profile)


def test_a_healthy_machine_passes_with_and_without_a_baseline(machine: Machine) -> None:
    assert machine.judged(machine.baseline())[0] == "pass"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m.port(2, rate="200 Gb/sec (2X NDR)"), "runs at 200.0 Gb/s, expected 400"),
        (lambda m: m.port(2, state="1: DOWN"), "0/1) is DOWN/LinkUp"),
        (lambda m: m.write({f"{CLASS}/mlx5_1/fw_ver": "28.39.1002\n"}), "mlx5_1 has firmware 28.39.1002"),
        (lambda m: m.write({f"{CLASS}/mlx5_1/device/current_link_width": "8\n"}), "PCIe link of 32 GT/s x8"),
        (lambda m: m.write({f"{CLASS}/mlx5_1/device/current_link_speed": "16.0 GT/s PCIe\n"}), "16 GT/s x16"),
        (lambda m: m.write({"sys/kernel/mm/memory_peers/nv_mem/version": "1\n"}), "goes by nvidia-peermem"),
    ],
)
def test_what_is_measured_bad_fails(machine: Machine, spoil: Callable[[Machine], None], words: str) -> None:
    spoil(machine)
    found, why = machine.judged()
    assert (found, words in why) == ("fail", True), why


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.write({"proc/kallsyms": "0 T linux_banner\n"}),
        lambda m: m.port(link_downed="9" * 100_000),
        lambda m: m.port(link_downed="\x00\xff"),
        lambda m: (m.root / f"{CLASS}/mlx5_0/fw_ver").unlink(),
        lambda m: m.port(link_downed=255),
        lambda m: m.port(excessive_buffer_overrun_errors=15),
        lambda m: m.port(symbol_error=65535),
        lambda m: m.port(rnr_nak_retry_err=2**32 - 1),
    ],
    ids=["mode", "digits", "junk", "firmware", "8 bits", "4 bits", "16 bits", "32 bits"],
)
def test_what_can_not_be_measured_is_inconclusive(machine: Machine, spoil: Callable[[Machine], None]) -> None:
    spoil(machine)
    assert machine.judged()[0] == "inconclusive"


def test_an_empty_host_is_inconclusive_and_one_without_its_nic_driver_fails(
    tmp_path: Path, machine: Machine
) -> None:
    machine.root = tmp_path / "nothing"
    assert machine.judged()[0] == "inconclusive"
    machine.write({"sys/class/net/eno1/operstate": "up\n"})
    assert machine.judged() == ("fail", "0 ports, expected 4")


@pytest.mark.parametrize(
    ("rate", "expected"), [("10 Gb/sec (1X)", "inconclusive"), ("400 Gb/sec (4X NDR)", "pass")]
)
def test_without_a_rate_in_the_profile_a_card_must_do_what_it_can(
    machine: Machine, rate: str, expected: str
) -> None:
    del machine.limits["rateGbps"]
    machine.port(1, rate=rate)
    assert machine.judged()[0] == expected
    machine.profile = replace(machine.profile, compute_nics=ComputeNics(rate_gbps=10))
    assert machine.judged()[0] == "pass"
    machine.profile = replace(machine.profile, nic_model="X", compute_nics=ComputeNics())
    machine.write({f"{CLASS}/mlx5_{i}/hca_type": "unheard of\n" for i in range(4)})
    assert machine.judged()[0] == "inconclusive", "nobody knows what that card can do"


def test_a_renamed_device_is_compared_with_itself(machine: Machine) -> None:
    machine.port(3, link_downed=7)
    before = machine.baseline()
    folder = machine.root / CLASS
    (folder / "mlx5_3").rename(folder / "mlx5_5")
    assert machine.judged(before)[0] == "pass"
    machine.write({f"{CLASS}/mlx5_5/ports/1/counters/link_downed": "8\n"})
    assert "link_downed grew by 1" in machine.judged(before)[1]


def test_a_card_that_moved_to_another_slot_is_known_by_its_guid_and_another_card_is_not(
    machine: Machine,
) -> None:
    machine.port(3, link_downed=7)
    before = machine.baseline()
    machine.write({f"{CLASS}/mlx5_3/device/uevent": "PCI_SLOT_NAME=0000:ee:00.0\n"})
    assert machine.judged(before)[0] == "pass"
    machine.write({f"{CLASS}/mlx5_3/node_guid": "5c25:7303:00ab:cdef\n"})
    found, why = machine.judged(before)
    assert (found, "mlx5_3/1 (0000:" in why, "of the baseline is gone" in why) == ("fail", True, True)


@pytest.mark.parametrize("layer", ["Ethernet", "InfiniBand"])
def test_healthy_noise_of_roce_does_not_grow_to_a_fail(machine: Machine, layer: str) -> None:
    for nic in range(4):
        machine.port(nic, link_layer=layer, **dict.fromkeys(ROCE, 0))
    before = machine.baseline()
    for nic in range(4):
        machine.port(nic, **{name: 1000 + i for i, name in enumerate(ROCE)})
    found, why = machine.judged(before)
    assert len(ROCE) >= 24
    if layer == "Ethernet":
        assert (found, "a_name_of_next_year grew by" in why) == ("pass", True), "and it is told"
    else:
        assert (found, "out_of_sequence grew" in why) == ("fail", True), "InfiniBand loses nothing"


def test_every_counter_that_may_not_grow_fails_by_one_and_each_rate_above_its_limit(machine: Machine) -> None:
    names = [*FATAL, *RATES]
    machine.limits |= {key: 20 * seconds / 3600 for key, _, seconds in RATES.values()}  # each: 20 an hour
    for nic in range(4):
        machine.port(nic, **dict.fromkeys(names, 0))
    before = machine.baseline()
    for name in FATAL:
        machine.port(1, **{name: 1})
        found, why = machine.judged(before)
        assert (found, f"{name} grew by 1" in why) == ("fail", True), why
        machine.port(1, **{name: 0})
    for name in RATES:
        for value, expected in ((20, "pass"), (21, "fail")):
            machine.port(1, **{name: value})
            assert machine.judged(before)[0] == expected, (name, value)
        machine.port(1, **{name: 0})


def test_a_counter_that_is_full_in_both_readings_never_passes(machine: Machine) -> None:
    before = machine.baseline()
    counters = next(g for g in before["counters"] if "link_downed" in g["names"].split())
    index = counters["names"].split().index("link_downed")
    for row in counters["ports"].values():
        row[index] = 255
    for nic in range(4):
        machine.port(nic, link_downed=255)
    found, why = machine.judged(before)
    assert (found, "link_downed is full (255)" in why) == ("inconclusive", True)


def test_a_counter_that_was_set_back_or_is_gone_never_passes(machine: Machine) -> None:
    machine.port(1, link_downed=5)
    before = machine.baseline()
    machine.port(1, link_downed=0)
    found, why = machine.judged(before)
    assert (found, "went back from 5 to 0" in why) == ("inconclusive", True)
    (machine.root / f"{CLASS}/mlx5_1/ports/1/counters/link_downed").unlink()
    found, why = machine.judged(before)
    assert (found, "link_downed can't be read; the baseline has it" in why) == ("inconclusive", True)


def test_links_go_down_while_the_nic_driver_is_loaded_anew_and_not_after(machine: Machine) -> None:
    machine.port(0, rnr_nak_retry_err=0, np_cnp_sent=40)
    machine.port(1, link_downed=5)
    before = machine.baseline()
    for nic in range(4):
        machine.port(nic, link_downed=6 if nic == 1 else 1)
    machine.port(0, np_cnp_sent=0)  # a queue's counter begins anew with the driver
    assert machine.judged(before)[0] == "fail", "nobody loaded it"
    machine.about["nicLoads"] = [10.0, 5000.0]
    assert machine.judged(before)[0] == "pass"
    after = machine.measured
    machine.write({"proc/uptime": "7700.00 1\n"})
    machine.port(2, link_downed=2)
    assert "link_downed grew by 1" in machine.judged(after)[1]
    assert "link_downed grew by 2" in machine.judged(before)[1], "once for each load, and no more"
    machine.about["nicLoads"] = [10.0, 5000.0, 6000.0]
    assert machine.judged(before)[0] == "pass", "it was loaded twice"


def test_after_a_boot_a_pod_loads_its_own_driver_and_takes_each_link_down_once(machine: Machine) -> None:
    """The host begins with the kernel's own, whose load no line of the kernel log names."""
    machine.port(1, link_downed=5)
    before = machine.baseline()
    machine.about |= {"bootId": "b2", "nicLoads": [30.0]}
    machine.write({"proc/uptime": "60.00 1\n"})
    for nic in range(4):
        machine.port(nic, link_downed=1)
    assert machine.judged(before)[0] == "pass"
    machine.port(2, link_downed=2)
    assert "link_downed grew by 2" in machine.judged(before)[1]


STORAGE = {"board_id": "MT_0000000884", "hca_type": "MT41692", "fw_ver": "32.43.1014"}
DOWN = {"ports/1/state": "1: DOWN", "ports/1/phys_state": "3: Disabled", "ports/1/rate": "40 Gb/sec (4X QDR)"}


def test_storage_ports_are_compared_with_the_baseline_only(machine: Machine) -> None:
    """As a DGX has them: another make, one of two ports without a cable."""
    machine.more(
        "mlx5_8", **STORAGE, **{"ports/1/link_layer": "Ethernet", "ports/1/rate": "200 Gb/sec (4X HDR)"}
    )
    machine.more("mlx5_9", **STORAGE, **DOWN)
    before = machine.baseline()
    assert machine.judged(before)[0] == "pass"
    machine.write({f"{CLASS}/mlx5_8/ports/1/{f}": f"{t}\n" for f, t in host_files.PORT_DOWN.items()})
    found, why = machine.judged(before)
    assert (found, "mlx5_8/1 (0000:f8:00.0/1) is DOWN/Polling, it was up" in why) == ("fail", True)


def test_a_port_that_speaks_another_link_layer_than_before_is_told(machine: Machine) -> None:
    """A VPI card whose configuration was reset: ACTIVE at full rate, and in another network."""
    before = machine.baseline()
    machine.port(1, link_layer="Ethernet")
    found, why = machine.judged(before)
    assert (found, "speaks Ethernet, it spoke InfiniBand" in why) == ("fail", True)
    del before["nics"]["0000:2e:00.0/1"]["layer"]  # of a version before
    for baseline in (before, None):
        found, why = machine.judged(baseline)
        assert (found, "speak Ethernet and InfiniBand" in why) == ("inconclusive", True)


@pytest.mark.parametrize("width", ["63", "0", "255"])
def test_a_width_that_no_pcie_link_has_is_not_read(machine: Machine, width: str) -> None:
    """All ones are what a device reads as that does not answer."""
    before = machine.baseline()
    machine.write({f"{CLASS}/mlx5_1/device/current_link_width": f"{width}\n"})
    found, why = machine.judged(before)
    assert (found, "can't read the width of the PCIe link" in why) == ("inconclusive", True)


def test_a_storage_ports_pcie_link_is_compared_with_its_own(machine: Machine) -> None:
    machine.more("mlx5_8", **STORAGE, **{"ports/1/link_layer": "Ethernet"})
    before = machine.baseline()
    machine.write({f"{CLASS}/mlx5_8/device/current_link_width": "4\n"})
    assert "of 4 lanes, it had 16" in machine.judged(before)[1]


def test_a_management_port_of_another_card_is_told_by_its_firmware_alone(machine: Machine) -> None:
    """As roots without board ids show it: all ports are Ethernet, one card is another and has no cable."""
    for nic in range(4):
        machine.port(nic, link_layer="Ethernet")
    machine.more("mlx5_8", fw_ver="26.43.1014", **{"ports/1/link_layer": "Ethernet"}, **DOWN)
    for nic in (*range(4), 8):
        for file in ("board_id", "hca_type"):
            (machine.root / f"{CLASS}/mlx5_{nic}/{file}").unlink()
    assert machine.judged()[0] == "pass"


def test_virtual_functions_are_left_out(machine: Machine) -> None:
    for number in range(4, 8):
        machine.more(f"mlx5_{number}", **{"device/physfn/uevent": "PCI_SLOT_NAME=0000:18:00.0"}, **DOWN)
    machine.more("mlx5_8", **{"device/sfnum": "88"}, **DOWN)
    before = machine.baseline()
    machine.write({f"{CLASS}/mlx5_4/ports/1/counters/link_downed": "9\n"})
    assert machine.judged(before)[0] == "pass"


def test_ports_that_nobody_tells_apart_are_good_as_long_as_all_are(machine: Machine) -> None:
    machine.more("mlx5_8")
    before = machine.baseline()
    machine.write({f"{CLASS}/mlx5_8/ports/1/{f}": f"{t}\n" for f, t in host_files.PORT_DOWN.items()})
    assert machine.judged(before)[0] == "fail"
    found, why = machine.judged()
    assert (found, "does not say whose it is" in why) == ("inconclusive", True)
    machine.write({f"{CLASS}/mlx5_0/ports/1/{f}": f"{t}\n" for f, t in host_files.PORT_DOWN.items()})
    assert machine.judged()[0] == "fail", "three of four"


@pytest.mark.parametrize(
    "nics",
    [
        ComputeNics(boards=("MT_0000000838",)),
        ComputeNics(link_layer="InfiniBand"),
        ComputeNics(pci_addresses=tuple(host_files.nic_address(i) for i in range(4))),
    ],
    ids=["board", "link layer", "address"],
)
def test_the_profile_names_the_compute_nics(machine: Machine, nics: ComputeNics) -> None:
    machine.profile = replace(machine.profile, compute_nics=nics)
    other = {"board_id": "DEL0000000036", "ports/1/link_layer": "Ethernet"}
    for number in range(4, 8):  # as many of another make
        machine.more(f"mlx5_{number}", **other, **DOWN)
    assert machine.judged()[0] == "pass"
    machine.port(3, state="2: INIT")
    assert machine.judged()[0] == "fail"


def test_a_boards_own_firmware_and_another_cards_component_are_what_is_expected_of_them(
    machine: Machine,
) -> None:
    machine.more("mlx5_8", board_id="MT_X", hca_type="MT4125", fw_ver="22.43.1014", **DOWN)
    assert machine.judged()[0] == "pass", "the release's nic-firmware is another card's"
    newer = {"nic-firmware-connectx-6-dx": "22.47.1026"}
    assert machine.judged(**newer) == ("fail", "mlx5_8 has firmware 22.43.1014, expected 22.47.1026")
    own = ComputeNics(firmware={"MT_0000000838": "28.39.3560"})
    machine.profile = replace(machine.profile, compute_nics=own)
    assert "expected 28.39.3560" in machine.judged()[1]
    machine.write({f"{CLASS}/mlx5_{i}/fw_ver": "28.39.3560\n" for i in range(4)})
    assert machine.judged()[0] == "pass"


def test_firmware_that_the_release_does_not_name_is_compared_with_before(machine: Machine) -> None:
    machine.more("mlx5_8", **STORAGE)
    before, newer = machine.baseline(), "28.44.1036"
    machine.write({f"{CLASS}/mlx5_{i}/fw_ver": f"{newer}\n" for i in range(4)})
    assert machine.judged(before, **{"nic-firmware": newer})[0] == "pass", "as the release wants it"
    machine.write({f"{CLASS}/mlx5_8/fw_ver": "32.44.1036\n"})
    found, why = machine.judged(before, **{"nic-firmware": newer})
    assert (found, "has firmware 32.44.1036, it had " in why) == ("fail", True)


def test_of_nics_that_nobody_tells_apart_as_many_as_are_wanted_must_have_the_firmware(
    machine: Machine,
) -> None:
    old = "28.39.1002"
    machine.more("mlx5_8", fw_ver=old)
    assert machine.judged()[0] == "pass", "four of five have it, and four are wanted"
    machine.write({f"{CLASS}/mlx5_1/fw_ver": f"{old}\n"})
    found, why = machine.judged()
    assert (found, f"mlx5_1 has firmware {old}" in why) == ("fail", True)


def test_a_profile_that_names_the_pcie_link_must_be_able_to_read_it(machine: Machine) -> None:
    machine.profile = replace(machine.profile, compute_nics=ComputeNics(pcie_gts=32, pcie_width=16))
    assert machine.judged()[0] == "pass"
    machine.write({f"{CLASS}/mlx5_1/device/current_link_width": "8\n"})
    assert "PCIe link of 8 lanes, expected 16" in machine.judged()[1]
    (machine.root / f"{CLASS}/mlx5_1/device/current_link_width").unlink()
    assert machine.judged()[0] == "inconclusive"


def test_peermem_that_is_expected_must_show_that_it_serves(machine: Machine) -> None:
    machine.write(host_files.module("nvidia_peermem", "580.1"))
    expect = {"rdma-mode": "nvidia-peermem"}
    assert machine.judged(**expect)[0] == "inconclusive", "loaded, and nobody's peer"
    machine.write(host_files.memory_peer("580.1"))
    assert machine.judged(**expect)[0] == "pass"
    assert machine.judged()[0] == "fail"


@needs_cases
@pytest.mark.parametrize(
    ("case", "expected"),
    [("r2-hgx-b200-lpf", "pass"), ("r3-sriov-vfs", "pass"), ("r5-no-p2pdma", "inconclusive")],
)
def test_roots_of_real_machines(machine: Machine, case: str, expected: str) -> None:
    """siderolabs/extensions#893; a public note on SR-IOV; siderolabs/pkgs#1356."""
    machine.root = CASES / case
    machine.profile = shipped()
    machine.limits = dict(machine.profile.gates["rdma_health"])
    assert machine.judged()[0] == expected, machine.judged()
