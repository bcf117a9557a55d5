"""The oracle's eye for what is there once a cluster: operators, their definitions, pending plans, who is held still."""

from __future__ import annotations

from knowngood.twin.behaviours import chart_objects
from knowngood.twin.behaviours.health_checks import MACHINE_CHECK, NODE_CHECK, is_paused
from knowngood.twin.behaviours.kube import (
    DAEMON_SET,
    DEPLOYMENT,
    Kind,
    digest,
    labels_of,
    name_of,
    namespace_of,
)
from knowngood.twin.behaviours.maintenance import MAINTENANCE
from knowngood.twin.behaviours.mco_nodes import POOL, target
from knowngood.twin.behaviours.olm_objects import DEFINITION, PLAN, SERVICE_VERSION
from knowngood.twin.client import Client, ClientError
from knowngood.twin.values import Object


async def fleet(client: Client) -> Object:
    """By kind of thing; what a cluster does not serve is left out."""
    versions = await _all(client, SERVICE_VERSION)
    found = {
        "operators": {_where(csv): (csv.get("status") or {}).get("phase", "") for csv in versions},
        "definitions": await _definitions(client, versions),
        "charts": await _charts(client),
        "waiting": _waiting(await _all(client, PLAN)),
        "pools": {name_of(pool): _pool(pool) for pool in await _all(client, POOL)},
        "checks": {
            f"{check['kind']} {name_of(check)}": "paused" if is_paused(check) else "at work"
            for kind in (MACHINE_CHECK, NODE_CHECK)
            for check in await _all(client, kind)
        },
        "maintenances": {_where(one): one["spec"]["nodeName"] for one in await _all(client, MAINTENANCE)},
    }
    return {name: rows for name, rows in found.items() if rows}


async def _all(client: Client, kind: Kind) -> list[Object]:
    try:
        return (await client.list(kind)).items
    except ClientError as error:
        if error.code == 404:
            return []
        raise


async def _definitions(client: Client, versions: list[Object]) -> dict[str, str]:
    """The definitions that operators own, each by what it declares."""
    owned = {
        entry["name"]
        for csv in versions
        for entry in (csv["spec"].get("customresourcedefinitions") or {}).get("owned") or ()
    }
    if not owned:
        return {}
    live = await _all(client, DEFINITION)
    return {name_of(crd): digest(crd["spec"]["versions"]) for crd in live if name_of(crd) in owned}


async def _charts(client: Client) -> dict[str, str]:
    """Workloads that come with charts, each by its images and whether all of its pods have them and are ready."""
    found: dict[str, str] = {}
    for kind in (DEPLOYMENT, DAEMON_SET):
        for obj in await _all(client, kind):
            if chart_objects.LABEL in labels_of(obj):
                images = " ".join(c["image"] for c in obj["spec"]["template"]["spec"]["containers"])
                found[f"{kind[1]} {_where(obj)}"] = f"{images}{'' if _rolled(obj) else ', not ready'}"
    return found


def _rolled(obj: Object) -> bool:
    status = obj.get("status") or {}
    wanted = status.get("desiredNumberScheduled", obj["spec"].get("replicas", 1))
    counts = (
        status.get(key, status.get(other, 0))
        for key, other in (("updatedReplicas", "updatedNumberScheduled"), ("readyReplicas", "numberReady"))
    )
    return all(count == wanted for count in counts)


def _waiting(plans: list[Object]) -> dict[str, list[str]]:
    """What plans wait for an approval, by namespace."""
    found: dict[str, list[str]] = {}
    for plan in plans:
        if not plan["spec"].get("approved"):
            names = " ".join(sorted(plan["spec"]["clusterServiceVersionNames"]))
            found.setdefault(namespace_of(plan), []).append(names)
    return {space: sorted(rows) for space, rows in found.items()}


def _pool(pool: Object) -> str:
    return f"{'paused' if pool['spec'].get('paused') else 'moving'} to {target(pool)}"


def _where(obj: Object) -> str:
    return f"{namespace_of(obj)}/{name_of(obj)}"
