"""Whether the machines are those that the cluster file says: asked before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from knowngood.engine.work import Work
from knowngood.model.matrix import Profile
from knowngood.model.node import PCI_IDS, NodeState

WHY = "the hardware is not what the cluster file says"
HINT = "put the node into the pool of its hardware, or see why it lacks GPUs; a known bad one can be waived"


def otherwise(work: Work, seen: Mapping[str, NodeState]) -> dict[str, str]:
    """GPU nodes whose hardware contradicts their profile. What could not be read contradicts nothing: gates ask."""
    found = {}
    for node in work.cluster.gpu:
        gone = len(
            {w.part for w in work.cluster.waivers if w.node == node}
        )  # one part, maybe in several gates
        words = list(contradictions(seen[node], work.hardware.of(node), gone)) if node in seen else []
        if words:
            found[node] = "; ".join(words)
    return found


def contradictions(state: NodeState, profile: Profile, gone: int = 0) -> Iterator[str]:
    """How many GPUs it has, and of which make. `gone`: so many may be missing."""
    count = len(state.gpus)
    if count and not profile.gpus - gone <= count <= profile.gpus:
        yield f"it has {count} GPUs, {profile.name} has {profile.gpus}"
    there = state.facts.get(PCI_IDS, "")
    if there and there != profile.gpu_pci_id:
        yield f"its GPUs are {there}, those of {profile.name} {profile.gpu_pci_id} ({profile.gpu_model})"
