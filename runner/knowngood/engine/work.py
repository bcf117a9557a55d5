"""What a verb is given and what it returns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knowngood.engine.ports import Ports
from knowngood.engine.steps import RingStep, Verb
from knowngood.model import names
from knowngood.model.detail import Detail
from knowngood.model.errors import CouldNot, JournalDamaged, UsageError
from knowngood.model.field import FieldChange
from knowngood.model.hardware import Hardware
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster
from knowngood.model.mover import Moving
from knowngood.model.node import NodeState, node_from
from knowngood.model.plan import Hop, Plan
from knowngood.model.record import Status
from knowngood.model.state import RunState
from knowngood.model.steppath import StepPath
from knowngood.model.values import Object
from knowngood.ports.cancel import Cancel


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb returns: the outcome record's content; `seen`: the nodes as its judge has just looked at them."""

    status: Status
    detail: Detail = field(default_factory=Detail)
    files: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, NodeState] = field(default_factory=dict)


class NodesCouldNot(CouldNot):
    """Some nodes could not be done, for reasons that are not their own. `done`: the outcome if it stays so."""

    def __init__(self, done: Done) -> None:
        super().__init__(done.detail.why)
        self.done = done


READ = 16
"""Kept values that stay in memory: each judgement reads those before it, and a digest's value never changes."""


@dataclass(frozen=True, slots=True)
class Work:
    """All a verb needs. `fence` is the claim's value under the Lease held now."""

    ports: Ports
    plan: Plan
    cluster: Cluster
    hardware: Hardware
    run: str
    fence: str
    state: RunState
    cancel: Cancel
    read: Object = field(default_factory=dict)  # digest -> a kept value that was read before

    def keep(self, name: str, value: Any) -> dict[str, str]:
        """Keep a value as a file of the journal, and beside the checkpoint; returns {name: digest}."""
        data = json.dumps(to_json(value), sort_keys=True).encode()
        digest = self.ports.journal.put(f"{name}.json", data)
        self.ports.checkpoint.keep(self.run, digest, data)
        return {name: digest}

    def load(self, digest: str) -> Any:
        """A kept value, not to be changed; a run that was taken over finds the older ones beside the checkpoint."""
        if digest not in self.read:
            try:
                data = self.ports.journal.get(digest)
            except JournalDamaged:
                data = self.ports.checkpoint.fetch(self.run, digest)
            while len(self.read) >= READ:
                self.read.pop(next(iter(self.read)))
            self.read[digest] = json.loads(data)
        self.read[digest] = self.read.pop(digest)  # the one that was not asked for the longest goes first
        return self.read[digest]

    def observe(self, nodes: Sequence[str]) -> Mapping[str, NodeState]:
        """Measure nodes now."""
        return self.ports.cluster.observe(nodes, self.plan.movers)

    def begin(self, nodes: Sequence[str]) -> Mapping[str, NodeState]:
        """Measure nodes at the run's start."""
        return self.ports.cluster.begin(nodes, self.plan.movers)

    def before(self, hop: Hop | None = None) -> dict[str, NodeState]:
        """The measurement of all nodes at the resting state before a hop; without one, at the run's start."""
        rested = self.state.results.get(StepPath(hop.name).child(Verb.OBSERVE)) if hop else None
        if rested is None or rested.status is not Status.OK:  # the first hop rests on what the run began with
            rested = self.state.results[StepPath(Verb.OBSERVE)]
        data = self.load(rested.files["nodes"])
        return {name: node_from(node, self.plan.movers) for name, node in data.items()}

    def loads(self, nodes: Sequence[str]) -> Mapping[str, NodeState]:
        """Of nodes only the arrivals of what moves, now."""
        return self.ports.cluster.loads(nodes, self.plan.movers)

    def look(self, nodes: Sequence[str], seen: Mapping[str, NodeState]) -> dict[str, NodeState]:
        """Nodes as whoever did the step's work has just seen them, the others as they are now."""
        rest = [node for node in nodes if node not in seen]
        found = {**seen, **(self.observe(rest) if rest else {})}
        return {node: found[node] for node in nodes}

    def trailers(self, step: RingStep) -> dict[str, str]:
        """The key by which a step's commit is found again."""
        trailers = {
            names.TRAILER_RUN: self.run,
            names.TRAILER_HOP: step.hop.name,
            names.TRAILER_RING: step.ring.name,
            names.TRAILER_RELEASE: self.plan.from_release if step.undo else self.plan.to_release,
        }
        if not step.undo:
            return trailers
        again = {names.TRAILER_ATTEMPT: self.state.undo} if self.state.undo != "undo" else {}
        return {**trailers, names.TRAILER_UNDOES: step.ring.name, **again}

    def moving(self, step: RingStep) -> tuple[Moving, ...]:
        """What a step moves, turned around for an undo. UsageError where the plan does not say how."""
        try:
            return self.plan.moving(step.ring, undo=step.undo)
        except KeyError as missing:
            raise UsageError(
                f"the plan of run {self.run} does not say how {missing.args[0]} moves",
                hint="an older version made it: go on with that version, or give its component file a mover",
            ) from None

    def changes(self, step: RingStep) -> tuple[FieldChange, ...]:
        """The fields a step is about, turned around for an undo."""
        return tuple(c.inverse() for c in step.ring.changes) if step.undo else step.ring.changes


def named(what: str, nodes: Mapping[str, str]) -> str:
    """A sentence that names the first few nodes with their reasons."""
    return f"{what}: " + "; ".join(f"{n} ({w})" for n, w in list(nodes.items())[:5])
