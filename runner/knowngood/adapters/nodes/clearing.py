"""Giving a node back by hand: one conditional patch, and only of what was shown."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.adapters.cluster import actors
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.kubernetes.lease import LEASE_PATH
from knowngood.adapters.nodes.batch import NodeFailed, Task
from knowngood.adapters.nodes.claiming import Wanted, change
from knowngood.model import names
from knowngood.model.errors import Inconclusive, UsageError
from knowngood.model.marks import Marks
from knowngood.model.matrix import Limits
from knowngood.planner.clearing import clearing


def marks_of(kube: Kube, nodes: Sequence[str]) -> dict[str, Marks]:
    """What these nodes carry of ours. UsageError for one that is not there."""
    found = {}
    for name in nodes:
        node = kube.find(path("v1", "nodes", name))
        if node is None:
            raise UsageError(
                f"there is no node {name} on this cluster", hint="the cluster is that of --kubeconfig"
            )
        found[name] = actors.marks(node)
    return found


def at_work(kube: Kube) -> str:
    """The run that the Lease names, "" for none. One that ran out counts too: its run must go on or be taken back."""
    return str(((kube.find(LEASE_PATH) or {}).get("spec") or {}).get("holderIdentity") or "")


def clear(kube: Kube, name: str, shown: Marks, *, flash_ended: bool = False) -> bool:
    """Take what is ours off a node; whether anything changed. Inconclusive where it is no longer as it was `shown`.

    The note of a flash stays, unless somebody looked at the BMC and says so.
    """
    decided = clearing(shown, flash_ended=flash_ended)
    gone = [key for key in actors.OURS if flash_ended or key != names.FLASH_ANNOTATION]

    def want(node: Object) -> Wanted | None:
        if actors.marks(node) != shown:
            raise NodeFailed("somebody changed it meanwhile")
        kept = [
            t
            for t in actors.taints(node)
            if t["key"] not in (names.MAINTENANCE_TAINT, names.QUARANTINE_TAINT)
        ]
        unschedulable = shown.cordoned and not decided.uncordon
        return Wanted(kept, unschedulable, dict.fromkeys(gone))

    try:
        return change(Task(kube=kube, fence="", limits=Limits()), name, want)
    except NodeFailed as error:
        raise Inconclusive(
            f"{name}: {error}; nothing was changed there", hint=f"knowngood clear {name}"
        ) from error
