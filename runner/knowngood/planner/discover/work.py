"""Whose work runs on the GPUs: tenants by namespace, with what runs there."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.model.values import Object
from knowngood.planner.discover.nodes import natural
from knowngood.planner.discover.seen import Seen, Told, labels_of, name_of, space_of
from knowngood.planner.gpu_work import gpus_of

CONTROLLERS = ("Deployment", "StatefulSet", "Job")
BESIDE = ("PodDisruptionBudget", "PodGroup")
"""What says how much of a workload must stay, and what belongs together."""
OWNERS = ("capsule.clastix.io/tenant", "runai/queue", "liqo.io/remote-cluster-id")
"""Labels of a namespace by which others say whose it is: Capsule, Run:ai; Liqo of what a peered cluster offloaded."""
SYSTEM = ("openshift-", "kube-", "nvidia-", "openshift", "default", "knowngood")
"""How namespaces begin that are no tenant's."""


def tenants(seen: Seen, told: Told, ours: set[str]) -> None:
    """One tenant an owner of namespaces with work that asks for GPUs, else one a namespace. `ours`: operators' own."""
    missing = [kind for kind in ("Namespace", *CONTROLLERS, "Pod", *BESIDE) if not seen.read(kind)]
    if missing:
        told.ask("tenants", f"whose work runs here: {', '.join(missing)} could not be read")
    spaces = {name_of(n): labels_of(n) for n in seen.of("Namespace")}
    using = sorted({space_of(o) for o in _asking(seen)} - ours, key=natural)
    using = [s for s in using if not s.startswith(SYSTEM)]
    rows: dict[str, list[str]] = {}
    for space in using:
        owner = next((spaces.get(space, {})[key] for key in OWNERS if spaces.get(space, {}).get(key)), space)
        rows.setdefault(owner, []).append(space)
    found = [
        {"name": n, "namespaces": s, "evictionDeadlineSeconds": 600, **_running(seen, s)}
        for n, s in rows.items()
    ]
    if found:
        told.tell("tenants", found, "namespaces whose work asks for GPUs")
        told.ask(
            "tenants",
            "evictionDeadlineSeconds: how long a budget may hold a drain up; 600 is a proposal",
        )
        told.ask("tenants", "contact: whom to tell; and namespaces without GPU work that belong to a tenant")
    elif not missing:
        told.tell("tenants", [], "no work asks for GPUs")


def _asking(seen: Seen) -> Iterator[Object]:
    """Controllers and pods that ask for GPUs."""
    for kind in CONTROLLERS:
        yield from (o for o in seen.of(kind) if gpus_of({"spec": _pod(o)}))
    yield from (p for p in seen.of("Pod") if gpus_of(p) and (p.get("status") or {}).get("phase") == "Running")


def _pod(controller: Object) -> Object:
    found: Object = ((controller.get("spec") or {}).get("template") or {}).get("spec") or {}
    return found


def _running(seen: Seen, spaces: list[str]) -> Object:
    """A tenant's workloads, as a rehearsal plays them; those of other kinds are left out."""
    found = []
    for kind in ("Deployment", "StatefulSet"):
        for obj in (o for o in seen.of(kind) if space_of(o) in spaces and gpus_of({"spec": _pod(o)})):
            gpus = int(gpus_of({"spec": _pod(obj)}))
            row = {
                "name": name_of(obj),
                "kind": kind,
                "replicas": int(obj["spec"].get("replicas", 1)),
                "gpusPerPod": gpus,
            }
            if gang := _gang(seen, obj):
                row |= {"kind": "gang", "name": gang}
            if least := _least(seen, obj):
                row["minAvailable"] = least
            found.append(row)
    return {"workloads": sorted(found, key=lambda r: natural(str(r["name"])))} if found else {}


def _gang(seen: Seen, controller: Object) -> str:
    """The PodGroup that its pods belong to, "" for none."""
    template = controller["spec"]["template"].get("metadata") or {}
    said = {**(template.get("labels") or {}), **(template.get("annotations") or {})}
    names = {name_of(g) for g in seen.of("PodGroup") if space_of(g) == space_of(controller)}
    return next((v for v in said.values() if v in names), "")


def _least(seen: Seen, controller: Object) -> int:
    """What a budget asks of its pods, where it asks for a number."""
    labels = (controller["spec"]["template"].get("metadata") or {}).get("labels") or {}
    for budget in seen.of("PodDisruptionBudget"):
        wanted = ((budget.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        least = budget["spec"].get("minAvailable")
        if (
            space_of(budget) == space_of(controller)
            and wanted.items() <= labels.items()
            and isinstance(least, int)
        ):
            return least
    return 0
