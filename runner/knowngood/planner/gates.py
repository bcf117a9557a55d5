"""Which gates a plan needs: decided from the hardware profile before the run, never by a gate itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from knowngood.model.hardware import Hardware, pools_of
from knowngood.model.matrix import Cluster, Profile
from knowngood.model.plan import PlannedPool

MINIMUM: Mapping[str, str] = {
    "drift": "what runs is what the release says",
    "gpu_errors": "the driver complains of no GPU",
    "smoke_training": "every GPU computes, and together they compute rightly",
    "rdma_health": "RDMA ports are up and count no new errors",
}
"""Gates without which nothing becomes known-good, whatever a profile says, and what each of them alone proves.
rdma_health only where the machine has RDMA ports by its profile's hardware facts."""
RDMA = "rdma_health"
OF_GPUS = frozenset({"drift", "driver_health"})
"""Gates whose waived parts are GPUs; one that is out must be waived in both, so that each of them passes."""
IMAGES = "registry"
SECOND_LOAD = "second-load"
"""The kind of a gate that judges what was loaded a second time: a profile that has one asks for that load."""
PAIR = "pair"
"""What a gate `needs` for which nodes meet: RDMA ports, and two nodes that are idle at once."""


@dataclass(frozen=True, slots=True)
class GateProfile:
    """Which gates one call of `knowngood gate` runs, and how long a judgement may take.

    `active`: those that compute, too. `budget`: seconds, None: the cluster's own limit.
    """

    active: bool
    budget: float | None = None


PROFILES: Mapping[str, GateProfile] = {
    "passive": GateProfile(active=False),
    "wave": GateProfile(active=False, budget=600.0),
    "canary": GateProfile(active=True, budget=1800.0),
    "full": GateProfile(active=True, budget=7200.0),
    "nightly": GateProfile(active=True),
}
"""Budgets are proposals: between two waves somebody waits, a canary may take as long as its drain did."""


@dataclass(frozen=True, slots=True)
class Applicable:
    """The required gates by kind; those that a machine of this kind can't have, with the reason; and those of the
    minimum set that the profile leaves out. `second_load`: those that judge what the canary has loaded twice."""

    active: tuple[str, ...]
    passive: tuple[str, ...]
    not_applicable: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    second_load: tuple[str, ...] = ()


def applicable(profile: Profile, together: int = 2) -> Applicable:
    """Split a profile's gates. A gate with `needs` applies only where the machine has that.

    `together`: how many nodes are judged at once at least, partners outside included (judged_together).
    """
    lacking = {gate: reason for gate in profile.gates if (reason := _lacks(profile, gate, together))}
    needed = [(gate, profile.gates[gate]["kind"]) for gate in profile.gates if gate not in lacking]
    judging = {gate for gate, kind in needed if kind != SECOND_LOAD}
    return Applicable(
        active=tuple(gate for gate, kind in needed if kind == "active"),
        passive=tuple(gate for gate, kind in needed if kind == "passive"),
        not_applicable=lacking,
        left_out=tuple(g for g in MINIMUM if g not in judging and (g != RDMA or _has_rdma(profile))),
        second_load=tuple(gate for gate, kind in needed if kind == SECOND_LOAD),
    )


def applicable_on(hardware: Hardware, cluster: Cluster | None = None) -> Applicable:
    """Those of all pools together; a gate judges the nodes of the pools that need it. `cluster`: for its runs.

    One that is active in a pool is active in all: it is asked of idle nodes only, whatever another pool calls it.
    """
    every = [_in_a_run(profile, cluster) for profile in hardware.profiles]
    active = tuple(dict.fromkeys(gate for one in every for gate in one.active))
    reasons = {gate: why for one in every for gate, why in one.not_applicable.items()}
    return Applicable(
        active=active,
        passive=tuple(dict.fromkeys(gate for one in every for gate in one.passive if gate not in active)),
        not_applicable=reasons,
        left_out=tuple(dict.fromkeys(gate for one in every for gate in one.left_out)),
        second_load=tuple(dict.fromkeys(gate for one in every for gate in one.second_load)),
    )


def with_images(hardware: Hardware) -> Hardware:
    """The same, with the gate that asks for images in each profile: a run asks for them before its first change."""
    kept: Mapping[str, Any] = {IMAGES: {"kind": "passive"}}
    profiles = tuple(replace(p, gates={**kept, **p.gates}) for p in hardware.profiles)
    return replace(hardware, profiles=profiles)


def _in_a_run(profile: Profile, cluster: Cluster | None) -> Applicable:
    return applicable(profile, judged_together(cluster, profile.name)) if cluster else applicable(profile)


def planned_pools(
    hardware: Hardware, nodes: Iterable[str], cluster: Cluster | None = None
) -> tuple[PlannedPool, ...]:
    """The nodes of each profile, with the gates that judge them; none where all nodes have the same."""
    if len(hardware.profiles) == 1:
        return ()
    known = [(profile, _in_a_run(profile, cluster)) for profile in hardware.profiles]
    of = tuple(nodes)
    return tuple(
        PlannedPool(
            profile.name, hardware.nodes(profile, of), (*gates.active, *gates.passive, *gates.second_load)
        )
        for profile, gates in known
    )


def why_left_out(gate: str, profile: str) -> str:
    """What a gate of the minimum set that a profile leaves out costs."""
    return f"profile {profile} leaves out {gate} ({MINIMUM[gate]}): without it nothing becomes known-good"


def judged_together(cluster: Cluster, profile: str) -> int:
    """How many nodes of a profile a run on this cluster has idle at once, at least: of its batches that have any, the
    smallest number, and the partners outside."""
    pool = {*pools_of(cluster).get(profile, ())}
    batches = [
        len(pool & {*ring.nodes[at : at + ring.batch]})
        for ring in cluster.rings
        for at in range(0, len(ring.nodes), ring.batch)
    ]
    return min(filter(None, batches), default=0) + len(pool & {*cluster.partners})


def paired(hardware: Hardware) -> frozenset[str]:
    """The gates for which two nodes must meet."""
    every = (item for profile in hardware.profiles for item in profile.gates.items())
    return frozenset(gate for gate, limits in every if limits.get("needs") == PAIR)


def meeting(hardware: Hardware, gates: Iterable[str], cluster: Cluster) -> tuple[str, ...]:
    """Those of the gates for which a node must meet another one of its batch: no partner outside is named."""
    return () if cluster.partners else tuple(gate for gate in gates if gate in paired(hardware))


def _lacks(profile: Profile, gate: str, together: int) -> str:
    """Why the gate does not apply to such a machine; "" where it does."""
    needs = profile.gates[gate].get("needs", "")
    if needs == PAIR and _has_rdma(profile) and together < 2:
        return "a batch of one node meets no other, and the cluster file names no probe.partners"
    if needs == "nvswitch" and not profile.nvswitch:
        return f"{profile.product} has no NVSwitch"
    if needs in ("rdma", PAIR) and not _has_rdma(profile):
        return f"{profile.product} has no RDMA ports"
    return ""


def _has_rdma(profile: Profile) -> bool:
    return profile.nics > 0 and profile.rdma_mode != "none"
