"""MachineConfigPools as movers read them: whose nodes they have, how far they are, who may move them. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from knowngood.adapters.cluster.actors import optional
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.model.values import Values
from knowngood.planner.holding import pool_of

API = "machineconfiguration.openshift.io/v1"
PLURAL = "machineconfigpools"
REQUIRED = "operator.machineconfiguration.openshift.io/required-for-upgrade"
"""On the pools that an update of the cluster waits for: the control plane's."""


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool. `config` is what its nodes should have; `most`: how many may be out at once."""

    name: str
    paused: bool
    required: bool
    config: str
    count: int
    updated: int
    is_updated: bool
    degraded: str  # why, "" where it is not
    most: int

    @classmethod
    def of(cls, found: Object) -> Pool:
        """As the object says it."""
        spec, status = found["spec"], found.get("status") or {}
        said = {c["type"]: c for c in status.get("conditions") or ()}
        config = str((spec.get("configuration") or {}).get("name") or "")
        given = str((status.get("configuration") or {}).get("name") or "")
        count = int(status.get("machineCount") or 0)
        degraded = said.get("Degraded") or {}
        return cls(
            name=str(found["metadata"]["name"]),
            paused=bool(spec.get("paused")),
            required=REQUIRED in (found["metadata"].get("labels") or {}),
            config=config,
            count=count,
            updated=int(status.get("updatedMachineCount") or 0),
            is_updated=(said.get("Updated") or {}).get("status") == "True" and config == given,
            degraded=(degraded.get("message") or "it says no why")
            if degraded.get("status") == "True"
            else "",
            most=_most(spec.get("maxUnavailable"), count),
        )


def _most(said: object, count: int) -> int:
    """MaxUnavailable as a number: one where nothing is said, and never none."""
    text = str(said if said is not None else 1)
    share = count * int(text[:-1]) // 100 if text.endswith("%") else int(text)
    return max(share, 1)


def objects(kube: Kube) -> list[Object]:
    """All pools of the cluster, none where it has no such kind."""
    return optional(kube, path(API, PLURAL))


def pools(kube: Kube) -> list[Pool]:
    """All of them, read."""
    return [Pool.of(found) for found in objects(kube)]


def members(found: Iterable[Object], nodes: Iterable[Values]) -> Mapping[str, Sequence[str]]:
    """Pool -> its nodes, by the labels of both."""
    selectors = {str(p["metadata"]["name"]): (p.get("spec") or {}).get("nodeSelector") or {} for p in found}
    has: dict[str, list[str]] = {}
    for node in nodes:
        name = pool_of(selectors, node["metadata"].get("labels") or {})
        has.setdefault(name, []).append(str(node["metadata"]["name"]))
    return has
