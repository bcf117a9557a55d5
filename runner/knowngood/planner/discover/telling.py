"""All of it together: from what was seen to a cluster file's values, the versions that run, and the questions left."""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.model.matrix import Matrix
from knowngood.planner.discover.declared import declare, gitops, namespaces
from knowngood.planner.discover.nodes import profile, rings, roles, sharing
from knowngood.planner.discover.seen import Seen, Told
from knowngood.planner.discover.traits import traits
from knowngood.planner.discover.versions import release, versions
from knowngood.planner.discover.work import tenants

ORDER = (
    *(
        "profile",
        "release",
        "traits",
        "identity",
        "nodes",
        "rings",
        "sharing",
        "tenants",
        "gitops",
        "declare",
    ),
    *("namespaces", "probeImage", "limits", "policy", "alertmanager"),
)
"""Keys of a cluster file, in the order in which it is written."""


def tell(seen: Seen, matrix: Matrix, namespaces_by_default: Mapping[str, str]) -> Told:
    """What a cluster file would say; nothing in it was guessed."""
    told = Told()
    gpu = roles(seen, told)
    profile(seen, told, gpu, matrix)
    versions(seen, told, matrix, gpu)
    release(seen, told, matrix, str(told.values.get("profile", "")))
    traits(seen, told)
    if seen.identity is not None and seen.identity.ca:
        pin = {"uid": seen.identity.uid, "ca": seen.identity.ca}
        told.tell("identity", pin, "uid of kube-system, the API server's CA")
    else:
        told.ask(
            "identity",
            "uid of kube-system and the API server's CA: without them no run becomes evidence",
        )
    rings(seen, told, gpu)
    sharing(seen, told)
    spaces = namespaces(seen, told, namespaces_by_default)
    tenants(seen, told, set(spaces.values()))
    gitops(seen, told, matrix)
    declare(seen, told, matrix)
    told.ask("probeImage", "the image of probes, by digest: deploy/probe says how it is built")
    told.ask("policy", "onWaveFailure: hold (a human decides) or undo; hold where it is not said")
    _alerts(seen, told)
    return told


def _alerts(seen: Seen, told: Told) -> None:
    for service in seen.of("Service"):
        if service["metadata"]["name"] in {"alertmanager-operated", "alertmanager-main"}:
            port = next((p.get("port") for p in service["spec"].get("ports") or ()), 9093)
            at = f"{service['metadata']['namespace']}/{service['metadata']['name']}:{port}"
            told.ask("alertmanager", f"shall alerts of nodes that are out be silenced at {at}")
