"""Which nodes `knowngood gate` leaves alone: those that a run holds, and for active gates those where work runs.

A probe on a node that a run has drained would be a foreign Job in that run, and would judge a node in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.kubernetes.lease import LEASE_PATH, holding
from knowngood.cli.wiring import reader
from knowngood.model.marks import Marks
from knowngood.model.matrix import Cluster
from knowngood.model.values import Values
from knowngood.planner.freshness import Earlier


@dataclass(frozen=True, slots=True)
class InUse:
    """Node -> why. `held`: by a run; no gate runs there. `busy`: no active gate does."""

    held: Mapping[str, str]
    busy: Mapping[str, str]


def in_use(kubeconfig: Path, cluster: Cluster, nodes: Iterable[str]) -> InUse:
    """What the nodes, the Lease and the tenants' pods say now."""
    asked = tuple(nodes)
    source = reader(kubeconfig, cluster)
    marks = source.marks()
    held = {n: why for n in asked if (why := holder(marks.get(n, Marks())))}
    run = open_run(Kube(kubeconfig).find(LEASE_PATH), datetime.now(UTC))
    busy = {n: f"run {run} is open and may take it out at any time" for n in asked if run and n not in held}
    for work in source.workloads():
        for node in work.nodes:
            if node in asked and node not in held:
                busy.setdefault(node, f"{work.namespace}/{work.name} runs there")
    return InUse(held, {n: busy[n] for n in asked if n in busy})


def holder(marks: Marks) -> str:
    """Why a node is a run's, by its claim and our taints; "" where it is nobody's."""
    if marks.claim:
        return f"run {marks.run} has claimed it"
    if marks.quarantine:
        return f"run {marks.quarantine} has quarantined it"
    return f"run {marks.maintenance} has tainted it" if marks.maintenance else ""


def open_run(lease: Values | None, now: datetime) -> str:
    """The run that holds the Lease and renews it, "" without one. It holds it where nobody can tell for how long."""
    holder, renewed = holding(lease, now)
    return holder if renewed is not False else ""


def earlier(folder: Path, cluster: str) -> list[Earlier]:
    """The results that earlier calls have kept beside this one (`<folder>/*/summary.json`) of this cluster."""
    found: list[Earlier] = []
    for file in folder.glob("*/summary.json"):
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["cluster"] == cluster:
                found += [
                    Earlier(r["gate"], r["node"], kept["release"], kept["time"], r["verdict"])
                    for judgement in kept["judgements"]
                    for r in judgement["results"]
                ]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # another program's file, or one from before results had a time
    return found
