"""What a ring's own object selects: the ring's nodes, all of them and no others, or its commit touches strangers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.model.finding import Finding, refused
from knowngood.model.matrix import Cluster, Ring
from knowngood.model.mover import Moving
from knowngood.model.values import Values


def ring_of(cluster: Cluster, moving: Moving) -> Ring | None:
    """Whose object it is; None where that can't be told."""
    of = [d for d in cluster.declarations if d.component == moving.component]
    return next(
        (r for r in cluster.rings for d in of if d.of_ring(r.name).object == moving.declared_by), None
    )


def nodes_seen(kube: Kube) -> list[Object]:
    """All nodes, as much of them as selectors and cordons need."""
    return kube.list(path("v1", "nodes"), keep=_labels)


def own(objects: Sequence[Object], moving: Moving) -> Object | None:
    """The object that declares it, where it is among these."""
    named = moving.declared_by
    return next((o for o in objects if named and _at(o) == (named.namespace, named.name)), None)


def selected(wanted: Mapping[str, str], nodes: Sequence[Object]) -> set[str]:
    """The nodes that have all of these labels."""
    of = ((str(n["metadata"]["name"]), n["metadata"].get("labels") or {}) for n in nodes)
    return {name for name, labels in of if all(labels.get(k) == v for k, v in wanted.items())}


def selecting(where: str, here: set[str], ring: Ring, would: str) -> Iterator[Finding]:
    """What is wrong with what an object selects; `would`: what its commit would do to a stranger."""
    if strange := sorted(here - {*ring.nodes}):
        what = f"it selects {', '.join(strange)}, too, which is not of {ring.name} and would be {would}"
        yield refused(where, what, "narrow its nodeSelector to the ring's label")
    if left := sorted({*ring.nodes} - here):
        yield refused(where, f"it does not select {', '.join(left)} of {ring.name}", "mend its nodeSelector")


def _at(obj: Values) -> tuple[str, str]:
    return str(obj["metadata"].get("namespace") or ""), str(obj["metadata"]["name"])


def _labels(node: Object) -> Object:
    metadata = {key: node["metadata"].get(key) for key in ("name", "labels")}
    return {"metadata": metadata, "spec": {"unschedulable": (node.get("spec") or {}).get("unschedulable")}}
