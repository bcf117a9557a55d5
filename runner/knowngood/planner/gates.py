"""Which gates a plan needs: decided from the hardware profile before the run, never by a gate itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from knowngood.model.matrix import Profile


@dataclass(frozen=True, slots=True)
class Applicable:
    """The required gates by kind, and those that a machine of this kind can't have, with the reason."""

    active: tuple[str, ...]
    passive: tuple[str, ...]
    not_applicable: Mapping[str, str]


def applicable(profile: Profile) -> Applicable:
    """Split a profile's gates. A gate with `needs` applies only where the machine has that."""
    lacking = {gate: reason for gate in profile.gates if (reason := _lacks(profile, gate))}
    needed = [(gate, profile.gates[gate]["kind"]) for gate in profile.gates if gate not in lacking]
    return Applicable(
        active=tuple(gate for gate, kind in needed if kind == "active"),
        passive=tuple(gate for gate, kind in needed if kind == "passive"),
        not_applicable=lacking,
    )


def _lacks(profile: Profile, gate: str) -> str:
    """Why the gate does not apply to such a machine; "" where it does."""
    needs = profile.gates[gate].get("needs", "")
    if needs == "nvswitch" and not profile.nvswitch:
        return f"{profile.product} has no NVSwitch"
    if needs == "rdma" and (profile.nics == 0 or profile.rdma_mode == "none"):
        return f"{profile.product} has no RDMA ports"
    return ""
