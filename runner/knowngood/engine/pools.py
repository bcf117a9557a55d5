"""Whether the machines are those that the cluster file says: asked before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from knowngood.engine.work import Work
from knowngood.model import parts
from knowngood.model.matrix import Profile
from knowngood.model.node import PCI_IDS, NodeState
from knowngood.planner import gates

WHY = "the hardware is not what the cluster file says"
HINT = "put the node into the pool of its hardware, or see why it lacks GPUs; a known bad one can be waived"


def otherwise(work: Work, seen: Mapping[str, NodeState]) -> dict[str, str]:
    """GPU nodes whose hardware contradicts their profile. What could not be read contradicts nothing: gates ask."""
    found = {}
    today = work.ports.clock.now()[:10]
    for node in work.cluster.gpu:
        waived = {
            w.part
            for w in work.cluster.waivers
            if w.node == node and w.gate in gates.OF_GPUS and w.until >= today
        }
        words = list(contradictions(seen[node], work.hardware.of(node), waived)) if node in seen else []
        if words:
            found[node] = "; ".join(words)
    return found


def contradictions(state: NodeState, profile: Profile, waived: Collection[str] = ()) -> Iterator[str]:
    """How many GPUs it has, and of which make. `waived`: GPUs that are known to be bad, which may be missing."""
    count = len(state.gpus)
    uuids = (words.rpartition(" ")[2] for words in state.inventory.get("gpus", {}).values())
    gone = parts.out(waived, {*state.gpus, *uuids})
    if count and (count > profile.gpus or gone.excuses(profile.gpus - count) is False):
        yield f"it has {count} GPUs, {profile.name} has {profile.gpus}"
    there = state.facts.get(PCI_IDS, "")
    if there and there != profile.gpu_pci_id:
        yield f"its GPUs are {there}, those of {profile.name} {profile.gpu_pci_id} ({profile.gpu_model})"
