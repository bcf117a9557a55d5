"""The class cluster-version, read: one object asks for a release, and its operators follow one after the other.

The commit itself starts it. What the operator refuses shows in one condition only, and `Completed` says nothing of the
workers: their pools are moved ring by ring. `force` passes every check that a release has, so it is never set here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import cluster_version_ready
from knowngood.adapters.movers.pools import Pool, pools
from knowngood.model.finding import Finding
from knowngood.model.matrix import Cluster
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.model.node import Leftover

API = "config.openshift.io/v1"
WHERE = path(API, "clusterversions", "version")
OPERATORS = path(API, "clusteroperators")
STANDS = 7200.0
"""Seconds that one state of an update may stand: three boots of a control plane, each of 20 minutes and its drain."""


NO_OPERATORS = "no ClusterOperator is to be seen, so nobody says how they are"


class ClusterVersion:
    """The release that one cluster runs."""

    def __init__(self, kube: Kube, cluster: Cluster) -> None:
        self._kube = kube
        self._cluster = cluster

    def state(self, moving: Moving) -> FleetState:
        """What is asked for, and what is complete; while it is on its way nothing is."""
        version = self._kube.find(WHERE)
        if version is None:
            return FleetState(trouble="there is no ClusterVersion")
        wanted = (version["spec"].get("desiredUpdate") or {}).get("version") or ""
        newest = newest_of(version)
        if newest.get("state") != "Completed":
            on = f"{newest.get('version') or 'nothing'} is {newest.get('state') or 'not begun'}"
            return FleetState(wanted or str(newest.get("version") or ""), "", (), on, on)
        running = str(newest["version"])
        waits = (f"version {wanted}",) if wanted and wanted != running else ()
        return FleetState(wanted or running, running, waits)

    def ready(self, moving: Moving, *, undo: bool) -> Sequence[Finding]:
        """See `cluster_version_ready`."""
        version = self._kube.find(WHERE)
        if version is None:
            return [cluster_version_ready.missing()]
        asked = cluster_version_ready.Asked(self._kube, self._cluster, moving, version)
        return list(cluster_version_ready.back(asked) if undo else cluster_version_ready.forth(asked))

    def look(self, moving: Moving) -> Look:
        """See `following`."""
        return following(self._kube, moving)

    def residue(self, moving: Moving) -> Sequence[Leftover]:
        """A wish that the operator has not taken: it would, as soon as what is in its way is gone."""
        state = self.state(moving)
        return [Leftover("wish", "ClusterVersion version", f"{what} waits") for what in state.pending]


def following(kube: Kube, moving: Moving) -> Look:
    """Whether the release is complete, each operator is at it and well, and so is each pool that nobody paused.

    Where there are no operators to look at, nothing is said of the release.
    """
    version = kube.find(WHERE)
    if version is None:
        return Look(waiting="there is no ClusterVersion")
    newest, wanted = newest_of(version), version["spec"].get("desiredUpdate") or {}
    if newest.get("version") != moving.after or (wanted.get("image") or newest["image"]) != newest["image"]:
        return Look(waiting=_not_taken(version, moving))
    if newest.get("state") != "Completed":
        return _on_its_way(version, pools(kube))
    operators = kube.list(OPERATORS)
    if not operators:
        return Look(waiting=NO_OPERATORS)
    if ill := [*_operators(operators, moving.after)]:
        return Look(waiting="; ".join(ill))
    rolling = [*_rolling(pools(kube))]
    return (
        Look(waiting="; ".join(rolling), stands=STANDS)
        if rolling
        else Look(done=f"{moving.after} is complete")
    )


def newest_of(version: Object) -> Object:
    """The newest entry of its history; empty where there is none."""
    history = (version.get("status") or {}).get("history") or ()
    return history[0] if history else {}


def condition(obj: Object, kind: str) -> Object:
    """A condition of its status; empty where it is absent."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind), {})


def is_true(obj: Object, kind: str) -> bool:
    """Whether a condition is True."""
    return condition(obj, kind).get("status") == "True"


def _not_taken(version: Object, moving: Moving) -> str:
    for kind, bad in (("Invalid", "True"), ("ReleaseAccepted", "False")):
        said = condition(version, kind)
        if said.get("status") == bad:
            return f"{moving.after} is not taken ({said.get('reason', '')}): {said.get('message', '')}"
    return f"{moving.after} is not begun"


def _on_its_way(version: Object, found: Sequence[Pool]) -> Look:
    failing = condition(version, "Failing")
    if failing.get("status") == "True":
        return Look(waiting=f"{failing.get('reason', '')}: {failing.get('message', '')}")
    told = str(condition(version, "Progressing").get("message") or "it is on its way")
    counts = [
        f"pool {p.name} has {p.updated} of {p.count} nodes" for p in found if p.required and not p.is_updated
    ]
    return Look(waiting="; ".join([told, *counts]), stands=STANDS)


def _operators(found: Sequence[Object], version: str) -> Iterator[str]:
    """Which operators are not well, or not at the version."""
    for operator in found:
        name = operator["metadata"]["name"]
        versions = {v["name"]: v["version"] for v in (operator.get("status") or {}).get("versions") or ()}
        if versions.get("operator", version) != version:
            yield f"operator {name} is at {versions['operator']}"
        elif not is_true(operator, "Available"):
            yield f"operator {name} is not available"
        elif is_true(operator, "Degraded"):
            yield f"operator {name} is degraded: {condition(operator, 'Degraded').get('message', '')}"


def _rolling(found: Sequence[Pool]) -> Iterator[str]:
    """Pools that nobody paused and that are not done: what is not of a ring rolls by itself, right away."""
    for pool in found:
        if not pool.paused and not pool.is_updated:
            yield f"pool {pool.name} has {pool.updated} of {pool.count} nodes"
