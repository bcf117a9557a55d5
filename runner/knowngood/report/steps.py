"""A step's path in words: `hop-1/ring-0/batch-1/drain` is "ring-0: take the tenants' work off batch 1"."""

from __future__ import annotations

from knowngood.model.state import is_undo, verb_of

WORDS = {
    "observe": "measure every node",
    "preflight": "check that the cluster is ready, forward and back",
    "check": "judge the cluster before anything is changed",
    "way-back": "prove the way back through Git and Argo CD",
    "window": "see that the ring and its undo fit into the window",
    "declare": "commit the new versions",
    "deliver": "wait for Argo CD",
    "claim": "claim, taint and cordon",
    "drain": "take the tenants' work off",
    "baseline": "measure the nodes for comparison",
    "apply": "reload the driver",
    "judge": "judge",
    "retest": "judge the failed nodes once more",
    "release": "give back to the tenants",
    "soak": "see that each node carries work",
    "confirm": "judge again under load",
    "prove": "judge the whole cluster",
    "promote": "record the proof in the matrix",
    "record": "record in the matrix what speaks against the release",
    "quarantine": "quarantine for a human",
    "look": "see which nodes must be brought back",
    "verify": "prove that everything is as before",
    "reclaim": "renew our claims",
}
UNDO_WORDS = {"declare": "revert the commit", "apply": "reload the driver that was there before"}


def place_of(path: str) -> str:
    """Where: `ring-0`, `ring-0 batch 1`, `ring-0 undo`, or "" for a step of the whole run."""
    _, *middle, _ = ["", *path.split("/")] if "/" not in path else path.split("/")
    return " ".join(part.replace("batch-", "batch ") for part in middle)


def ring_of(path: str) -> str:
    """The ring a step is about, "" for the whole run's."""
    parts = path.split("/")
    return parts[1] if len(parts) >= 3 else ""


def sentence(path: str) -> str:
    """A step in words."""
    verb = verb_of(path)
    words = (UNDO_WORDS.get(verb) if is_undo(path) else None) or WORDS.get(verb, verb)
    place = place_of(path)
    return f"{place}: {words}" if place else words
