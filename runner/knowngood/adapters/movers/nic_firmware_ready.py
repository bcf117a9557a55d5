"""Why NIC firmware could not be flashed, or not flashed back: asked before anything is committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowngood.adapters.cluster.actors import optional
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers.nic_firmware import (
    API,
    CONFIGS,
    MAINTENANCE_API,
    SOURCE_FIELD,
    TEMPLATE,
    devices_of,
    of_board,
)
from knowngood.adapters.movers.of_rings import nodes_seen, own, ring_of, selected
from knowngood.adapters.movers.of_rings import selecting as of_nodes
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.matrix import Cluster, Ring
from knowngood.model.mover import Moving
from knowngood.model.values import Values
from knowngood.planner.moving import shown

TEMPLATES, SOURCES = "nicfirmwaretemplates", "nicfirmwaresources"
FETCHED = "Success"
NARROWER = ("partNumbers", "pciAddresses", "serialNumbers")
"""By what a template selects fewer NICs than its type has (NicSelector of the operator's API)."""


def ready(kube: Kube, cluster: Cluster, moving: Moving, *, undo: bool) -> Iterator[Finding]:
    """What stands in the way of one ring's template; `undo`: of the version that its way back leads to."""
    ring = ring_of(cluster, moving)
    if ring is None or moving.declared_by is None:
        yield unknown(moving.component, "which ring its template is of can't be told", "see declare")
        return
    namespace = moving.declared_by.namespace
    devices = {n: of_board(devices_of(kube, n), moving.after) for n in ring.nodes}
    if bare := [n for n, found in devices.items() if not found]:
        hint = "is the NIC configuration operator's daemon there, and is this firmware of the right board?"
        yield refused(
            f"node {', '.join(bare)}", f"no NicDevice of it has such firmware as {moving.after}", hint
        )
    boards = {str(d["status"].get("psid") or "") for found in devices.values() for d in found}
    yield from _source(kube, namespace, moving, boards, undo=undo)
    if not undo:
        yield from selecting(kube, ring, moving)
        yield from _room(kube, ring)


def _source(kube: Kube, namespace: str, moving: Moving, boards: set[str], *, undo: bool) -> Iterator[Finding]:
    """The image is fetched and verified, and it is that version for every board (PSID) of the ring."""
    name = shown(moving.spec, TEMPLATE, moving.after)[SOURCE_FIELD]
    where, why = (
        f"NicFirmwareSource {name}",
        "there would be no way back" if undo else "nothing would be flashed",
    )
    found = kube.find(path(API, SOURCES, name, namespace))
    if found is None:
        yield refused(where, f"there is none: {why}", "put it into Git, and keep one of each version")
        return
    status = found.get("status") or {}
    if status.get("state") != FETCHED:
        said = f"its state is {status.get('state') or 'not told'} {status.get('reason') or ''}".rstrip()
        yield refused(where, f"{said}: {why}", "wait until it is Success, or mend its addresses", passes=True)
        return
    listed = (status.get("binaryVersions") or {}).get(moving.after) or ()
    if missing := sorted(boards - {*listed}):
        what = f"it has no {moving.after} for {', '.join(missing)}: {why}"
        yield refused(where, what, "add the image for this board (PSID) to its addresses")


def selecting(kube: Kube, ring: Ring, moving: Moving) -> Iterator[Finding]:
    """The template is of the ring's nodes and no others, and no second one is of the same devices."""
    nodes, templates = nodes_seen(kube), optional(kube, path(API, TEMPLATES))
    template = own(templates, moving)
    if template is None:
        return  # that it is not there is told by whoever reads what is declared
    where = f"{TEMPLATE} {template['metadata']['name']}"
    yield from of_nodes(where, _selected(template, nodes), ring, "flashed undrained")
    kind = template["spec"]["nicSelector"].get("nicType")
    if narrow := sorted(key for key in NARROWER if template["spec"]["nicSelector"].get(key)):
        keys = ", ".join(f"nicSelector.{key}" for key in narrow)
        what = f"{keys} leaves out NICs of its type, which stay as they are"
        yield refused(
            where, what, "take it out: a ring's NICs of one type move together, or flash these by hand"
        )
    for other in templates:
        same = other is not template and other["spec"]["nicSelector"].get("nicType") == kind
        if same and (both := sorted(_selected(other, nodes) & {*ring.nodes})):
            name = other["metadata"]["name"]
            yield refused(
                where,
                f"{name} selects the same NICs of {', '.join(both)}, too: neither is applied",
                "leave one of them",
            )


def _room(kube: Kube, ring: Ring) -> Iterator[Finding]:
    """The maintenance operator counts the nodes that we have cordoned: without room for them nothing ever starts."""
    configs = optional(kube, path(MAINTENANCE_API, CONFIGS))
    if not configs:
        yield unknown(
            "MaintenanceOperatorConfig", "there is none, so nobody would take the node out", "install it"
        )
    for config in configs:
        most = (config.get("spec") or {}).get("maxUnavailable")
        if most is None:
            continue
        nodes = nodes_seen(kube)
        room = int(str(most)[:-1]) * len(nodes) // 100 if str(most).endswith("%") else int(most)
        cordoned = {str(n["metadata"]["name"]) for n in nodes if n["spec"].get("unschedulable")} | {
            *ring.nodes
        }
        if room <= len(cordoned):
            what = f"maxUnavailable {most} counts nodes that are cordoned, and {len(cordoned)} are with {ring.name} out"
            yield refused(
                f"MaintenanceOperatorConfig {config['metadata']['name']}",
                what,
                f"leave it unset, or more than {len(cordoned)}",
            )


def _selected(template: Values, nodes: Sequence[Object]) -> set[str]:
    return selected(template["spec"].get("nodeSelector") or {}, nodes)
