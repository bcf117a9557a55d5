"""RDMA ports are up at full rate, count no new errors, and GPU memory reaches them the way the release says.

Proves: the profile's number of ports of the compute NICs, each ACTIVE and LinkUp at its rate behind its PCIe link;
error counters as in the baseline; NIC firmware as profile and release say; that GPU memory goes the release's way, by
what shows it; no complaint of mlx5 in the kernel log. All other ports (storage, management, an NVSwitch's) are compared
with the baseline only, virtual functions not at all.
Needs: the driver pod (exec); where it shows too few ports, a probe Job that reads /sys (no GPU). Does not measure
bandwidth: that needs a partner node.
fail: any of these is otherwise. inconclusive: no answer; nothing shows the mode; which ports are the compute NICs', or
how fast they should be, nobody says; a counter is full, was set back, or can't be read: what can't be read is not zero;
a waiver names a place of which nobody knows that a NIC was there.
Thresholds: the profile's (sources there) and those of knowngood.gate.rdma_counters. A link may go down while the NIC's
driver is loaded anew, and not after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knowngood.gate import judge, log_errors, measure, rdma_ports, rdma_waived, some
from knowngood.gate.kernel_log import KernelLog
from knowngood.gate.rdma_counters import Finding, Reading, compare, finite, judged, packed, unpacked
from knowngood.gate.rdma_ports import Port
from knowngood.gate.xid_table import Action
from knowngood.model.context import JudgeRequest
from knowngood.model.matrix import Profile

PAYLOAD = "rdma"


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
    found = rdma_ports.read(measured)
    here = readings(measured, found, probe)
    measure(
        counters=packed({part: kept(r.values, limits) for part, r in here.items()}),
        uptimeSeconds=finite(measured.get("uptimeSeconds")),
        bootId=probe.get("bootId", ""),
        loadedAt=max(probe.get("nicLoads", ()), default=None),
        mode=measured.get("mode", ""),
        modeShownBy=measured.get("modeShownBy", ""),
        ports=len(found),
        nics=rdma_ports.kept(found),
    )
    if not found and not ("ports" in measured and measured.get("listed", True)):
        judge.inconclusive(str(probe.get("reason") or "the probe could not read the ports"))
    out = rdma_waived.lacking(found, profile, limits, baseline)
    chosen, maybe = rdma_ports.chosen(found, profile, limits, out)
    measure(compute=[p.part for p in chosen.compute])
    wrong = [*rdma_ports.faults(chosen, profile, limits), *rdma_ports.firmware(chosen, profile, expect)]
    unsure = [*rdma_ports.doubts(chosen, profile, expect, limits), *unread(measured, found, limits)]
    notes = []
    before = baseline.get("nics", {}) if baseline is not None else {}
    wrong += rdma_ports.changed(found, before, chosen.compute if expect.get("nic-firmware") else ())
    unsure += rdma_ports.vanished(found, before)
    unsure += [("", maybe)] if maybe else []
    for port, finding in counted(found, here, baseline, limits):
        wrong += [(port.part, f"{port.label} {words}") for words in finding.wrong]
        unsure += [(port.part, f"{port.label} {words}") for words in finding.unsure]
        notes += [f"{port.label} {words}" for words in finding.notes]
    other, untold = mode(measured, profile, expect)
    if words := [*rdma_waived.left(wrong, found, before), *other]:
        judge.fail(some(words))
    if not chosen.sure and not before:
        down = (p for p in chosen.compute if not p.up)
        unsure += [(p.part, f"{p.label} is down and the profile does not say whose it is") for p in down]
    if probe.get("ok") is not True:
        untold.append(str(probe.get("reason") or "the probe could not read the ports"))
    known = [*(name for p in found for name in (p.part, p.pci)), *before, *profile.compute_nics.pci_addresses]
    untold += judge.nowhere(known, "computeNics.pciAddresses")
    if words := [*rdma_waived.left(unsure, found, before), *untold]:
        judge.inconclusive(some(words))
    if baseline is None:
        notes.append("counters are recorded, nothing to compare them with")
    if len(found) > chosen.wanted:
        notes.append(f"{len(found)} ports are there, the profile has {chosen.wanted}")
    if notes:
        judge.note(some(notes))


def test_the_nic_driver_does_not_complain(node: str, kernel_log: KernelLog, judgement: JudgeRequest) -> None:
    """Its firmware, commands, queues, power, cables and PCIe width, as mlx5 says them; what is mild, if it is new."""
    found = log_errors.seen(kernel_log.lines, ("nic",), kernel_log.owners)
    before = log_errors.Before(judgement.baseline.get(f"rdma_health/{node}", {}).get("complaints", {}))
    measure(complaints=log_errors.figures(found)["errors"])
    bad = [s for s in found if s.event.action >= Action.RESET]
    mild: list[log_errors.Seen] = []
    if not judgement.taking_baseline:
        bad += log_errors.new(found, Action.FAULT, before, None)
        mild = log_errors.new(found, Action.WATCH, before, None)
    if bad:
        judge.fail(f"{log_errors.described(bad)}: {bad[0].event.text[:200]}")
    if mild:
        judge.inconclusive(f"new on this node, and in unknown words: {mild[0].event.text[:200]}")
    if kernel_log.trouble:
        judge.inconclusive(kernel_log.trouble)
    if kernel_log.late and not judgement.taking_baseline:
        judge.inconclusive(kernel_log.late)


def readings(
    measured: Mapping[str, Any], ports: Sequence[Port], probe: Mapping[str, Any]
) -> dict[str, Reading]:
    """Part -> what its counters say, and since when."""
    counters = measured.get("counters", {})
    when = finite(measured.get("uptimeSeconds"))
    boot, loads = str(probe.get("bootId", "")), tuple(probe.get("nicLoads", ()))
    return {
        p.part: Reading(values := counters.get(p.name, {}), frozenset(values), boot, when, loads)
        for p in ports
        if p.function == rdma_ports.PHYSICAL
    }


def kept(values: Mapping[str, int], limits: Mapping[str, Any]) -> dict[str, int]:
    """What a baseline keeps of a port: all that is judged, zero too, and what else has counted anything."""
    return {name: n for name, n in values.items() if n or judged(name, "InfiniBand", limits)}


def counted(
    ports: Sequence[Port],
    here: Mapping[str, Reading],
    baseline: Mapping[str, Any] | None,
    limits: Mapping[str, Any],
) -> Iterator[tuple[Port, Finding]]:
    """Each port whose counters say something against those of the same port in the baseline."""
    then: dict[str, dict[str, int]] = {}
    same = {p.part: p.part for p in ports}
    if baseline is not None:
        then = dict(unpacked(baseline.get("counters"), baseline.get("counterNames", ())))
        # A baseline of before parts were kept names ports by their devices.
        same = (
            rdma_ports.partners(ports, baseline["nics"])
            if "nics" in baseline
            else {p.part: p.name for p in ports}
        )
    for port in ports:
        now = here.get(port.part)
        if now is None:
            continue
        before = None
        if baseline is not None:
            old = then.get(same.get(port.part, ""), {})
            if isinstance(baseline.get("counters"), Mapping):  # an older one, which kept no zeros
                old = dict.fromkeys(now.values, 0) | old
            when = finite(baseline.get("uptimeSeconds"))
            boot = str(baseline.get("bootId", ""))
            before = Reading(old, frozenset(old), boot, when)
        yield port, compare(now, before, port.layer, limits)


def unread(
    measured: Mapping[str, Any], ports: Sequence[Port], limits: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """(part, what can't be read): counters that decide, are there, and hold no number."""
    for port in (p for p in ports if p.function == rdma_ports.PHYSICAL):
        if "devices" in measured and not measured.get("counters", {}).get(port.name):
            yield port.part, f"no error counter of {port.label} can be read"
            continue
        for name in measured.get("unread", {}).get(port.name, ()):
            if judged(name, port.layer, limits):
                yield port.part, f"{port.label} {name} can't be read"


def mode(
    measured: Mapping[str, Any], profile: Profile, expect: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Another way than the release says, and why the way can't be told."""
    wanted, found = expect.get("rdma-mode", profile.rdma_mode), measured.get("mode", "")
    trouble = str(measured.get("modeTrouble", ""))
    if not found:
        return [], [f"can't tell how GPU memory reaches the NICs{trouble and ': '}{trouble}"]
    if found == wanted:
        return [], [trouble] if trouble else []
    users = measured.get("peermem", {}).get("refcnt", "")
    extra = f" (nvidia_peermem is loaded, {users or '?'} users)" if found == "nvidia-peermem" else ""
    return [f"GPU memory goes by {found}, expected {wanted}{extra}"], []
