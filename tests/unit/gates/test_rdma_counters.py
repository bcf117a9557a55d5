"""How much a port's counters may grow, in which time, and when they tell nothing: each limit at its bound."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.gate import rdma_counters
from knowngood.gate.rdma_counters import FATAL, Reading, compare, finite, judged, saturated, unpacked
from knowngood.gate.rdma_ports import TOPS, Port, fault
from knowngood.model.errors import Location
from knowngood.model.matrix import Profile
from knowngood.model.parts import ComputeNics

HOUR = 3600.0
PROFILE = Profile("p", "x", 8, "H200", "10de:2335", True, 8, "CX7", "dma-buf", {}, (), Location("test"))


def reading(
    seconds: float | None = HOUR, boot: str = "b", loads: tuple[float, ...] = (), /, **values: int
) -> Reading:
    return Reading(values, frozenset(values), boot, seconds, loads)


def grown(
    name: str, growth: int, seconds: float = HOUR, layer: str = "InfiniBand", /, **limits: Any
) -> list[str]:
    """What is wrong with a counter that grew by so much in that time."""
    found = compare(reading(100 + seconds, **{name: growth + 2}), reading(100.0, **{name: 2}), layer, limits)
    assert not found.unsure
    return found.wrong


@pytest.mark.parametrize(
    ("name", "an_hour"),
    [
        ("symbol_error", 120),
        ("link_error_recovery", 300),
        ("port_rcv_errors", 36_000),
        ("port_xmit_discards", 360_000),
        ("local_ack_timeout_err", 3_600),
        ("roce_slow_restart", 36_000),
    ],
)
def test_without_a_word_of_the_profile_the_published_rates_count(name: str, an_hour: int) -> None:
    """NVSentinel's: 120 an hour, 5 a minute, 10, 100, 1 and 10 a second."""
    assert grown(name, an_hour) == []
    assert grown(name, an_hour + 1) == [f"{name} grew by {an_hour + 1}"]
    assert grown(name, an_hour // 2 + 1, HOUR / 2) != [], "half the time, half the number"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("symbol_error", "maxSymbolErrorsPerHour"),
        ("link_downed", "maxLinkDowned"),
        ("local_link_integrity_errors", "maxLocalLinkIntegrityErrors"),
        ("excessive_buffer_overrun_errors", "maxExcessiveBufferOverrunErrors"),
    ],
)
def test_the_profile_may_allow_more(name: str, key: str) -> None:
    assert grown(name, 2, **{key: 2}) == []
    assert grown(name, 3, **{key: 2}) == [f"{name} grew by 3"]


@pytest.mark.parametrize("name", FATAL)
def test_what_a_healthy_link_never_counts_may_not_come_once(name: str) -> None:
    assert grown(name, 0) == []
    assert grown(name, 1) == [f"{name} grew by 1"]
    new = compare(reading(2 * HOUR, **{name: 1}), Reading({}, frozenset({name}), "b", HOUR), "Ethernet", {})
    assert new.wrong == [f"{name} grew by 1"], "zeros were not kept"


def test_the_profile_moves_names_between_the_classes() -> None:
    assert not judged("np_cnp_sent", "InfiniBand", {})
    assert judged("np_cnp_sent", "InfiniBand", {"countersThatMayNotGrow": ["np_cnp_sent"]})
    assert not judged("link_downed", "InfiniBand", {"countersThatInform": ["link_downed"]})
    assert [judged("out_of_sequence", layer, {}) for layer in ("InfiniBand", "Ethernet")] == [True, False]


def test_a_rate_over_less_than_a_minute_says_nothing() -> None:
    assert grown("port_rcv_errors", 600, 5.0) == []
    assert grown("port_rcv_errors", 601, 5.0) == ["port_rcv_errors grew by 601"]


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("excessive_buffer_overrun_errors", 4),
        ("local_link_integrity_errors", 4),
        ("link_downed", 8),
        ("link_error_recovery", 8),
        ("port_rcv_constraint_errors", 8),
        ("port_xmit_constraint_errors", 8),
        ("port_rcv_errors", 16),
        ("port_rcv_remote_physical_errors", 16),
        ("port_rcv_switch_relay_errors", 16),
        ("port_xmit_discards", 16),
        ("symbol_error", 16),
        ("VL15_dropped", 16),
        ("rnr_nak_retry_err", 32),
    ],
)
def test_a_counter_that_stands_at_its_largest_value_is_full(name: str, bits: int) -> None:
    """The widths of InfiniBand's PortCounters; newer cards count the same names in 32 or 64 bits."""
    for width in {bits, 32, 64}:
        assert saturated(name, 2**width - 1)
        assert not saturated(name, 2**width - 2)
        assert not saturated(name, 2**width)
    assert all(saturated(name, 2**other - 1) is (other in (bits, 32, 64)) for other in (4, 8, 16))


def test_a_reboot_starts_all_from_zero_and_is_known_without_boot_ids() -> None:
    before = reading(HOUR, link_downed=9)
    assert compare(reading(10.0, "c", link_downed=0), before, "Ethernet", {}).unsure == []
    assert compare(reading(10.0, "c", link_downed=1), before, "Ethernet", {}).wrong == [
        "link_downed grew by 1"
    ]
    older = reading(HOUR, "", link_downed=9)
    assert compare(reading(10.0, "", link_downed=1), older, "Ethernet", {}).wrong == ["link_downed grew by 1"]
    assert compare(reading(HOUR + 1, "", link_downed=9), older, "Ethernet", {}).wrong == []
    untold = compare(reading(None, "", link_downed=0), older, "Ethernet", {})
    assert untold.unsure == ["link_downed went back from 9 to 0: what it had counted is lost"]


def test_a_link_goes_down_once_for_each_load_of_the_driver_after_the_baseline() -> None:
    before = reading(HOUR, link_downed=1)

    def wrong(downs: int, *loads: float, **limits: Any) -> list[str]:
        now = reading(2 * HOUR, "b", loads, link_downed=1 + downs)
        return compare(now, before, "InfiniBand", limits).wrong

    assert wrong(1, HOUR) == ["link_downed grew by 1"], "it was loaded when the baseline was taken"
    assert wrong(1, HOUR + 1) == []
    assert wrong(2, HOUR + 1) == ["link_downed grew by 2"]
    assert wrong(2, HOUR + 1, HOUR + 2) == []
    assert wrong(4, HOUR + 1, HOUR + 2, maxLinkDownedPerLoad=2) == []
    assert wrong(5, HOUR + 1, HOUR + 2, maxLinkDownedPerLoad=2) == ["link_downed grew by 5"]


def test_one_counter_that_went_back_makes_all_of_the_port_count_whole() -> None:
    before = reading(HOUR, link_downed=1, rnr_nak_retry_err=3)
    found = compare(reading(2 * HOUR, link_downed=1, rnr_nak_retry_err=2), before, "Ethernet", {})
    assert found.wrong == ["link_downed grew by 1", "rnr_nak_retry_err grew by 2"]


def test_an_older_baselines_counters_are_read_with_their_zeros() -> None:
    names = [{"ports": "p0 p1", "names": "a b"}, {"ports": "p1", "names": "c"}]
    assert dict(unpacked({"p1": {"b": 7}, "p2": {"d": 1}}, names)) == {
        "p0": {"a": 0, "b": 0},
        "p1": {"a": 0, "b": 7, "c": 0},
        "p2": {"d": 1},
    }
    kept = rdma_counters.packed({"p0": {"a": 1, "b": 0}, "p1": {"a": 2, "b": 3}, "p2": {"c": 4}, "p3": {}})
    assert len(kept) == 2, "ports of the same names share them"
    assert dict(unpacked(kept)) == {"p0": {"a": 1, "b": 0}, "p1": {"a": 2, "b": 3}, "p2": {"c": 4}}


@pytest.mark.parametrize("value", [None, "1", True, float("nan"), float("inf")])
def test_what_can_not_be_counted_with_is_no_number(value: object) -> None:
    assert finite(value) is None
    assert finite(0) == 0.0


@pytest.mark.parametrize(
    ("rate", "speed", "lanes", "bad"),
    [
        (400.0, 32.0, 16.0, False),
        (252.0, 16.0, 16.0, False),
        (252.1, 16.0, 16.0, True),
        (400.0, 32.0, 8.0, True),
    ],
)
def test_a_pcie_link_carries_128_of_130_bits(rate: float, speed: float, lanes: float, bad: bool) -> None:
    """PCI Express Base Specification, 128b/130b from generation 3 on: 16 GT/s x16 are 252.06 Gb/s."""
    port = Port("p/1", "mlx5_0/1", ("ACTIVE", "LinkUp"), rate, pcie={"speed": speed, "width": lanes})
    assert ("behind a PCIe link" in fault(port, PROFILE, {})) is bad


@pytest.mark.parametrize(("rate", "bad"), [(400.0, False), (399.9, True), (None, False)])
def test_a_port_may_run_at_just_the_profiles_rate(rate: float | None, bad: bool) -> None:
    port = Port("p/1", "mlx5_0/1", ("ACTIVE", "LinkUp"), rate)
    assert bool(fault(port, PROFILE, {"rateGbps": 400})) is bad


@pytest.mark.parametrize(
    ("speed", "width", "bad"), [(32.0, 16.0, ""), (16.0, 16.0, "GT/s"), (32.0, 8.0, "lanes")]
)
def test_a_pcie_link_may_be_just_as_the_profile_says(speed: float, width: float, bad: str) -> None:
    profile = Profile(
        *("p", "x", 8, "H200", "10de:2335", True, 8, "CX7", "dma-buf", {}, (), Location("test")),
        compute_nics=ComputeNics(pcie_gts=32, pcie_width=16),
    )
    port = Port("p/1", "m/1", ("ACTIVE", "LinkUp"), 1.0, pcie={"speed": speed, "width": width})
    assert bad in fault(port, profile, {})
    assert bool(fault(port, profile, {})) is bool(bad)


@pytest.mark.parametrize(
    ("state", "up", "down"),
    [
        (("ACTIVE", "LinkUp"), True, False),
        (("INIT", "LinkUp"), False, True),
        (("ACTIVE", "Polling"), False, True),
        (("", "LinkUp"), False, False),
        (("", ""), False, False),
    ],
)
def test_a_port_whose_state_can_not_be_read_is_neither_up_nor_down(
    state: tuple[str, str], up: bool, down: bool
) -> None:
    port = Port("p/1", "m/1", state)
    assert (port.up, port.down) == (up, down)
    assert bool(fault(port, PROFILE, {})) is down


def test_what_a_card_can_do_is_as_its_maker_says() -> None:
    by_model = {name: top for name, top in TOPS.items() if name.startswith("ConnectX")}
    assert by_model == {"ConnectX-6": 200.0, "ConnectX-7": 400.0, "ConnectX-8": 800.0}
    assert [TOPS[name] for name in ("MT4123", "MT4129", "MT4131")] == [200.0, 400.0, 800.0]


def test_a_reading_of_the_same_moment_is_of_the_same_boot() -> None:
    older = reading(HOUR, "", link_downed=9)
    assert compare(reading(HOUR, "", link_downed=9), older, "Ethernet", {}).wrong == []
    assert compare(reading(HOUR - 1, "", link_downed=9), older, "Ethernet", {}).wrong == [
        "link_downed grew by 9"
    ]


@pytest.mark.parametrize(
    ("name", "noted"),
    [("vendors_own", True), ("np_cnp_sent", False), ("rx_out_of_buffer", False), ("out_of_sequence", False)],
)
def test_what_no_table_knows_is_noted_where_it_grows_and_daily_business_is_not(
    name: str, noted: bool
) -> None:
    """On Ethernet, which loses packets."""
    for growth in (0, 3):
        now, before = reading(HOUR, **{name: 5 + growth}), reading(0.0, **{name: 5})
        found = compare(now, before, "Ethernet", {})
        assert (found.wrong, found.unsure) == ([], [])
        assert found.notes == ([f"{name} grew by 3"] if noted and growth else [])


def test_a_counter_that_the_baseline_does_not_have_did_not_grow_from_zero() -> None:
    """A driver that counts more than the one before, or another card: since when it counts nobody knows."""
    before = reading(100.0, symbol_error=2)
    found = compare(reading(HOUR, symbol_error=2, link_downed=3), before, "InfiniBand", {})
    assert (found.wrong, found.unsure) == ([], ["link_downed is 3, and the baseline does not have it"])
    booted = compare(reading(HOUR, "c", symbol_error=2, link_downed=3), before, "InfiniBand", {})
    assert booted.wrong == ["link_downed grew by 3"], "counted since that boot"
