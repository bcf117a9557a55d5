"""RDMA ports that are known to be bad: by whatever name each is waived, and how many of the profile's are out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from knowngood.gate import rdma_ports
from knowngood.gate.rdma_ports import Port
from knowngood.gate.verdicts import judge
from knowngood.model.matrix import Profile
from knowngood.model.parts import Out, short
from knowngood.model.values import Values

NOT_THERE = "it is not there"


def left(found: Iterable[tuple[str, str]], ports: Sequence[Port], before: Mapping[str, Values]) -> list[str]:
    """The words of (part, what is wrong) that no waiver takes, by the port's, its NIC's address or its GUID."""
    guids = {part: str(old.get("guid", "")) for part, old in before.items()} | {p.part: p.guid for p in ports}
    return [
        word
        for part, words in found
        for word in judge.unwaived((guids.get(part, ""), one) for one in judge.unwaived([(part, words)]))
    ]


def lacking(ports: Sequence[Port], profile: Profile, limits: Values, baseline: Values | None) -> Out:
    """How many of the compute NICs' ports are waived and not there.

    A baseline tells which of them were there. Without one it is what the waivers name, of the profile's NICs where it
    names these: of a NIC all its ports, and a GUID may be any's.
    """
    before = (baseline or {}).get("nics", {})
    if before and "compute" in (baseline or {}):
        same = {*rdma_ports.partners(ports, before).values(), *(p.part for p in ports)}
        gone = [part for part in (baseline or {})["compute"] if part not in same and part in before]
        known = len(gone) - len(left(((part, NOT_THERE) for part in gone), (), before))
        return Out(known, known)
    nics = {short(address) for address in profile.compute_nics.pci_addresses}
    names = {name for p in ports for name in (p.part, p.pci, p.guid) if name}
    waived = judge.waived_out(names)
    each = max(1, rdma_ports.expected(profile, limits) // max(1, profile.nics))
    placed = [part for part in waived.placed if not nics or part in nics]
    single = [part for part in waived.untold if "/" in part and part.rpartition("/")[0] not in placed]
    single = [part for part in single if not nics or part.rpartition("/")[0] in nics]
    unplaced = [part for part in waived.untold if "/" not in part]
    sure = each * len(placed) + len(single)
    return Out(sure, sure + each * len(unplaced), tuple(placed), tuple(unplaced))
