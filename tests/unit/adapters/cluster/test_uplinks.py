"""Which ports carry a node's own traffic: what is told, and what must not be taken for "none"."""

from __future__ import annotations

import pytest

from knowngood.adapters.cluster.readouts import parse_grep
from knowngood.adapters.cluster.uplinks import taken_down, uplinks

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"


def route(name: str, destination: str = "00000000", mask: str = "00000000", flags: str = "0003") -> str:
    return f"{name}\t{destination}\t0101A8C0\t{flags}\t0\t0\t100\t{mask}\t0\t0\t0"


def route6(name: str, destination: str = "0" * 32, length: str = "00", flags: str = "00000003") -> str:
    source, gateway = "0" * 32, "fe80000000000000000000000000ffff"
    return f"{destination} {length} {source} 00 {gateway} 00000400 00000001 00000000 {flags} {name:>8}"


def files(routes: list[str], *more: str, six: list[str] | None = None) -> dict[str, list[str]]:
    """As grep prints them."""
    lines = [f"/proc/net/route:{line}" for line in (HEADER, *routes)]
    lines += [f"/proc/net/ipv6_route:{line}" for line in six or ()]
    return parse_grep("\n".join([*lines, *more]))


def port(name: str, driver: str) -> str:
    return f"/sys/class/net/{name}/device/uevent:DRIVER={driver}"


def made_of(name: str, *below: str) -> str:
    return "\n".join(f"/sys/class/net/{name}/lower_{b}/uevent:INTERFACE={b}" for b in below)


ETH, IB = port("eno1", "ice"), port("ens1np0", "mlx5_core")


def test_a_default_route_on_a_port_of_the_driver_is_taken_down() -> None:
    local = route("eno1", "0001A8C0", "00FFFFFF", "0001")
    assert taken_down(files([route("ens1np0"), local], ETH, IB)) == ("ens1np0",)
    assert taken_down(files([route("eno1"), local], ETH, IB)) == ()


def test_vlans_and_bonds_are_followed_down_to_every_port() -> None:
    read = files(
        [route("bond0.7")], made_of("bond0.7", "bond0"), made_of("bond0", "eno1", "ens1np0"), ETH, IB
    )
    assert uplinks(read) == ("eno1", "ens1np0")
    assert taken_down(read) == ("ens1np0",), "half a bond is not none"


def test_a_bridge_of_open_vswitch_ends_on_the_ports_of_the_switch() -> None:
    """OVN-Kubernetes puts the default route on br-ex, which shows no port of its own."""
    switch = "/sys/class/net/ens1np0/master/uevent:INTERFACE=ovs-system"
    assert taken_down(files([route("br-ex")], ETH, IB, switch)) == ("ens1np0",)


def test_a_default_route_of_ipv6_counts_and_the_kernels_rejecting_one_does_not() -> None:
    reject = route6("lo", flags="00200200")
    assert taken_down(files([route("eno1")], ETH, IB, six=[route6("ens1np0"), reject])) == ("ens1np0",)
    assert (
        taken_down(files([route("eno1")], ETH, IB, six=[reject, route6("ens1np0", "fd" + "0" * 30, "40")]))
        == ()
    )


@pytest.mark.parametrize(
    ("what", "read"),
    [
        ("nothing was read", {}),
        ("no default route", files([], ETH, IB)),
        ("the route is down", files([route("ens1np0", flags="0002")], ETH, IB)),
        ("a device that nobody knows", files([route("tun0")], ETH, IB)),
        ("a bond whose ports were not read", files([route("bond0")], ETH, IB)),
        ("half of a bond is unknown", files([route("bond0")], made_of("bond0", "eno1", "x9"), ETH, IB)),
    ],
)
def test_what_can_not_be_told_is_not_none(what: str, read: dict[str, list[str]]) -> None:
    assert taken_down(read) is None, what
