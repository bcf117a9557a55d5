"""How many pods the controllers of a budget's pods want, found as the disruption controller finds it."""

from __future__ import annotations

from knowngood.twin.api import meta, scale
from knowngood.twin.api.cluster import Cluster
from knowngood.twin.api.store import Stored
from knowngood.twin.values import Object


class NoScaleError(Exception):
    """A pod's controller says nowhere how many it wants; the message is the budget's condition."""


def expected(cluster: Cluster, pods: list[Object]) -> int:
    """Add up what the controllers want. A pod without one counts for nothing; NoScaleError where one can't say."""
    wanted: dict[str, int] = {}
    for pod in pods:
        reference = meta.controller_of(pod)
        if reference is None or reference["uid"] in wanted:
            continue
        found = _controller(cluster, pod["metadata"]["namespace"], reference)
        if found is None:
            raise NoScaleError(f'found no controllers for pod "{pod["metadata"]["name"]}"')
        wanted[found[0]] = found[1]
    return sum(wanted.values())


def _controller(cluster: Cluster, namespace: str, reference: Object) -> tuple[str, int] | None:
    """Return uid and replicas of the controller, or of the Deployment behind it; None where it has no scale."""
    resource = cluster.resources.of_kind(reference.get("apiVersion", ""), reference["kind"])
    if resource is None or not (resource.scale or resource.has("scale")):
        return None
    stored: Stored | None = cluster.store.get(resource.key, namespace, reference["name"])
    if stored is None or stored.obj["metadata"]["uid"] != reference["uid"]:
        return None
    above = meta.controller_of(stored.obj)
    if above is not None and above["kind"] == "Deployment":
        return _controller(cluster, namespace, above)
    return reference["uid"], int(scale.show(resource, stored.obj)["spec"]["replicas"])
