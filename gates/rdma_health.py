"""RDMA ports are up at full rate, count no new errors, and GPU memory reaches them the way the release says.

Proves: the profile's number of ports, each ACTIVE and LinkUp at its rate; error counters as in the baseline; DMA-BUF
not fallen back to nvidia_peermem; NIC firmware as the release says; no complaint of mlx5 in the kernel log.
Needs: the driver pod (exec); where it shows no port, a probe Job that reads /sys (no GPU). Does not measure
bandwidth: that needs a partner node.
fail: any of these is otherwise. inconclusive: no answer, the mode can't be told, or an error counter of the
baseline can't be read any more: what can't be read is not zero.
Thresholds: the profile's (sources there): an error counter may not grow, symbol_error and link_error_recovery may by
their rates (NVIDIA/NVSentinel docs/nic-health-monitor.md). Congestion counters are recorded, not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knowngood.gate import judge, measure
from knowngood.gate.kernel_log import KernelLog
from knowngood.model.context import JudgeRequest
from knowngood.model.matrix import Profile

PAYLOAD = "rdma"
TRENDS = frozenset(
    {
        "port_xmit_wait",
        "port_xmit_discards",
        "np_cnp_sent",
        "np_ecn_marked_roce_packets",
        "rp_cnp_handled",
        "roce_adp_retrans",
        "roce_slow_restart",
        "rx_out_of_buffer",
        "VL15_dropped",
    }
)
LIMITS = {
    "link_downed": "maxLinkDowned",
    "local_link_integrity_errors": "maxLocalLinkIntegrityErrors",
    "excessive_buffer_overrun_errors": "maxExcessiveBufferOverrunErrors",
}
RATES = {
    "symbol_error": ("maxSymbolErrorsPerHour", 120, 3600.0),
    "link_error_recovery": ("maxLinkErrorRecoveryPerMinute", 5, 60.0),
}
SHORTEST = 60.0  # seconds; a rate over less says nothing
COMPLAINTS = re.compile(
    r"(?:mlx5_core|mlx5_port_module_event).*"
    r"(?:insufficient power on the PCIe slot|Port module event\[error\]|limited by .* PCIe x\d+ link)"
)


def test_ports_are_up_and_count_no_new_errors(
    node: str,
    probe: Mapping[str, Any],
    profile: Profile,
    limits: Mapping[str, Any],
    expect: Mapping[str, str],
    baseline: Mapping[str, Any] | None,
) -> None:
    """Ports, counters, mode and firmware."""
    measured = probe["measured"]
    counters = nonzero(measured.get("counters", {}))
    measure(
        counters=counters,
        counterNames=grouped(measured.get("counters", {})),
        uptimeSeconds=measured.get("uptimeSeconds"),
        bootId=probe.get("bootId", ""),
        mode=measured.get("mode", ""),
        ports=len(measured.get("ports", ())),
    )
    wrong = [*ports(measured, profile, limits), *mode(measured, profile, expect), *firmware(measured, expect)]
    if baseline is not None:
        wrong += grown({**measured, "bootId": probe.get("bootId", "")}, baseline, limits)
    if wrong:
        judge.fail(some(wrong))
    if not probe.get("ok"):
        judge.inconclusive(str(probe.get("reason") or "the probe could not read the ports"))
    if not measured.get("mode"):
        judge.inconclusive("can't tell how GPU memory reaches the NICs")
    if baseline is not None and (lost := list(unread(measured, baseline))):
        judge.inconclusive(some(lost))
    if baseline is None:
        judge.note("counters are recorded, nothing to compare them with")


def test_the_nic_driver_does_not_complain(node: str, kernel_log: KernelLog, judgement: JudgeRequest) -> None:
    """Power, cables and PCIe width, as mlx5 says them."""
    words = [line.message for line in kernel_log.lines if COMPLAINTS.search(line.message)]
    if words:
        judge.fail(words[0][:300])
    if kernel_log.trouble:
        judge.inconclusive(kernel_log.trouble)
    if kernel_log.late and not judgement.taking_baseline:
        judge.inconclusive(kernel_log.late)


def some(words: Sequence[str]) -> str:
    """The first four of them, and how many more there are."""
    more = f"; and {len(words) - 4} more" if len(words) > 4 else ""
    return "; ".join(words[:4]) + more


def ports(measured: Mapping[str, Any], profile: Profile, limits: Mapping[str, Any]) -> Iterator[str]:
    """Ports that are missing, down or slow."""
    found = measured.get("ports", ())
    wanted = int(limits.get("expectedPorts", profile.nics))
    if len(found) != wanted:
        yield f"{len(found)} ports, expected {wanted}"
    for port in found:
        if (port["state"], port["physState"]) != ("ACTIVE", "LinkUp"):
            yield f"{port['name']} is {port['state'] or '?'}/{port['physState'] or '?'}"
        elif (port["rateGbps"] or 0) < float(limits.get("rateGbps", 0)):
            yield f"{port['name']} runs at {port['rateGbps']} Gb/s, expected {limits['rateGbps']}"


def mode(measured: Mapping[str, Any], profile: Profile, expect: Mapping[str, str]) -> Iterator[str]:
    """Another way than the release says."""
    wanted, found = expect.get("rdma-mode", profile.rdma_mode), measured.get("mode", "")
    if found and found != wanted:
        users = measured.get("peermem", {}).get("refcnt", "")
        extra = f" (nvidia_peermem is loaded, {users or '?'} users)" if found == "nvidia-peermem" else ""
        yield f"GPU memory goes by {found}, expected {wanted}{extra}"


def firmware(measured: Mapping[str, Any], expect: Mapping[str, str]) -> Iterator[str]:
    """NICs with another firmware than the release says."""
    wanted = expect.get("nic-firmware")
    for device, running in sorted(measured.get("firmware", {}).items()):
        if wanted and running != wanted:
            yield f"{device} has firmware {running or '?'}, expected {wanted}"


def grown(
    measured: Mapping[str, Any], baseline: Mapping[str, Any], limits: Mapping[str, Any]
) -> Iterator[str]:
    """Error counters that grew since the baseline. A reload or reboot starts them anew, from zero.

    One counter of a port that went back tells it of them all: what earlier trouble had counted hides nothing new.
    """
    now, then = measured.get("uptimeSeconds") or 0.0, baseline.get("uptimeSeconds") or 0.0
    boots = {measured.get("bootId", ""), baseline.get("bootId", "")} - {""}
    booted = now < then or len(boots) > 1
    seconds = max(now if booted else now - then, SHORTEST)
    for port, values in sorted(measured.get("counters", {}).items()):
        before = baseline.get("counters", {}).get(port, {})
        anew = booted or any(values[name] < old for name, old in before.items() if name in values)
        for counter, value in sorted(values.items()):
            growth = value if anew else value - before.get(counter, 0)
            if growth > allowed(counter, seconds, limits):
                yield f"{port} {counter} grew by {growth}"


def unread(measured: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    """Counters that the baseline has and that can't be read now. Trends are not judged and may go."""
    read = measured.get("counters", {})
    for port, names in sorted(known(baseline).items()):
        for counter in sorted(names - TRENDS - read.get(port, {}).keys()):
            yield f"{port} {counter} can't be read; the baseline has it"


def nonzero(counters: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Ports and counters that have counted anything."""
    found = {port: {name: n for name, n in values.items() if n} for port, values in counters.items()}
    return {port: values for port, values in found.items() if values}


def grouped(counters: Mapping[str, Mapping[str, int]]) -> list[dict[str, str]]:
    """Which counters were read, zeros too. Ports have mostly the same ones: each set is kept once, to stay small."""
    ports_of: dict[str, list[str]] = {}
    for port, values in sorted(counters.items()):
        ports_of.setdefault(" ".join(sorted(values)), []).append(port)
    return [{"ports": " ".join(ports), "names": names} for names, ports in ports_of.items() if names]


def known(baseline: Mapping[str, Any]) -> dict[str, set[str]]:
    """Port -> the counters that the baseline has a value of, zero too."""
    found = {port: set(values) for port, values in baseline.get("counters", {}).items()}
    for group in baseline.get("counterNames", ()):
        for port in group["ports"].split():
            found.setdefault(port, set()).update(group["names"].split())
    return found


def allowed(counter: str, seconds: float, limits: Mapping[str, Any]) -> float:
    """How much a counter may grow in that time."""
    if counter in TRENDS:
        return float("inf")
    if counter in RATES:
        name, default, unit = RATES[counter]
        return float(limits.get(name, default)) * seconds / unit
    return float(limits.get(LIMITS.get(counter, ""), 0))
