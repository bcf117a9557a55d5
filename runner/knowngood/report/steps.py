"""A step's path in words: `hop-1/ring-0/batch-1/drain` is "ring-0: take the tenants' work off batch 1"."""

from __future__ import annotations

from knowngood.model.mover import PLAIN, Words
from knowngood.model.plan import Plan
from knowngood.model.steppath import StepPath

WORDS = {
    "observe": "measure every node",
    "preflight": "check that the cluster is ready, forward and back",
    "check": "judge the cluster before anything is changed",
    "way-back": "prove the way back through Git and Argo CD",
    "hold": "hold others who work on the nodes",
    "let-go": "let the others go on",
    "window": "see that the ring and its undo fit into the window",
    "declare": "commit the new versions",
    "deliver": "wait for Argo CD",
    "approve": "approve what the commit asks for",
    "settle": "wait until what is declared for all nodes is there",
    "watch": "see that no node took it before its turn",
    "back": "bring back what a revert alone does not",
    "claim": "claim, taint and cordon",
    "drain": "take the tenants' work off",
    "baseline": "measure the nodes for comparison",
    "second-load": "load once more what was proven",
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
UNDO_WORDS = {"declare": "revert the commit"}


def place_of(path: StepPath) -> str:
    """Where: `ring-0`, `ring-0 batch 1`, `ring-0 undo`, or "" for a step of the whole run."""
    return " ".join(part.replace("batch-", "batch ") for part in path.parent.split("/")[1:])


def sentence(path: StepPath, moves: Words = PLAIN) -> str:
    """A step in words; `moves`: what people call what the run moves."""
    verb = path.verb
    if verb == "apply":
        return f"{place_of(path)}: {moves.undoes if path.is_undo else moves.does}"
    words = (UNDO_WORDS.get(verb) if path.is_undo else None) or WORDS.get(verb, verb)
    place = place_of(path)
    return f"{place}: {words}" if place else words


def planned_sentence(path: StepPath, plan: Plan | None) -> str:
    """A step of a plan in words: what its hop moves is called by its own names, and of several hops it says which."""
    if plan is None:
        return sentence(path)
    words = sentence(path, plan.words_of(path.hop))
    return f"{path.hop} {words}" if path.hop and len(plan.hops) > 1 else words
