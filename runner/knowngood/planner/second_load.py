"""Whether a hop's canary loads a second time what it was proven to run, how, and how long that takes. Pure.

Modules that were built against what was loaded before them, files that only the first start finds, settings that a
boot takes back: such faults pass every gate after the first load and strike at the next one, whenever that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Disruption, Profile
from knowngood.model.mover import REBOOTS, Again, MoverSpec
from knowngood.model.plan import PlannedRing, SecondLoad
from knowngood.planner.gates import applicable


def second_load(
    rings: Sequence[PlannedRing], movers: Mapping[str, MoverSpec], hardware: Hardware, disruption: Disruption
) -> SecondLoad | None:
    """The second load that the profiles' gates of that kind ask for; None where they, or what moves, ask for none.

    Each pool has a canary of its own: the first ring with nodes of it.
    """
    found: list[SecondLoad] = []
    for profile in hardware.profiles:
        first = next((ring for ring in rings if hardware.nodes(profile, ring.nodes)), None)
        if first is not None and (one := _of(profile, first, movers, disruption)) is not None:
            found.append(one)
    if not found:
        return None
    ways = {one.how for one in found}
    return SecondLoad(
        rings=tuple(dict.fromkeys(ring for one in found for ring in one.rings)),
        how=next((way for way in (Again.REBOOT, Again.RELOAD) if way in ways), None),
        minutes=max(one.minutes for one in found),
        lacks=next((one.lacks for one in found if one.lacks), ""),
    )


def _of(
    profile: Profile, ring: PlannedRing, movers: Mapping[str, MoverSpec], disruption: Disruption
) -> SecondLoad | None:
    """What one pool's gates ask of its canary. A gate's `components` narrow it to hops that move one of them.

    Where no class can boot a node anew, what can be reloaded is, and the plan says what is not proven so.
    """
    gates = applicable(profile).second_load
    moved = {m.component for m in ring.moves} & movers.keys()
    asked = {c for gate in gates for c in profile.gates[gate].get("components", moved)}
    wants = {c: movers[c].again for c in sorted(moved & asked) if movers[c].again}
    if not wants:
        return None
    minutes = max(_minutes(profile, gate, disruption) for gate in gates)
    of_a_boot = ", ".join(c for c, again in wants.items() if again is Again.REBOOT)
    if of_a_boot and any(movers[c].kind in REBOOTS for c in moved):
        return SecondLoad((ring.name,), Again.REBOOT, minutes)
    lacks = f"only a reboot shows all that {of_a_boot} may hide, and nothing here reboots a node"
    if not any(movers[c].reloads for c in moved):
        return SecondLoad((), None, 0, lacks)
    return SecondLoad((ring.name,), Again.RELOAD, minutes, lacks if of_a_boot else "")


def _minutes(profile: Profile, gate: str, disruption: Disruption) -> int:
    """Minutes that a gate's second load takes: its own figure, else what such a move takes a node out."""
    return int(profile.gates[gate].get("minutes", profile.minutes_out.get(disruption, 0)))
