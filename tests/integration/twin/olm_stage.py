"""A namespace with OLM v0 for tests: a catalog of two packages, and what a person does with Subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.twin.behaviour import SPACE, Play, Story, play

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import DEPLOYMENT, name_of
from knowngood.twin.behaviours.olm import Olm
from knowngood.twin.behaviours.olm_objects import CATALOG, EVENT, PLAN, SERVICE_VERSION, SUBSCRIPTION
from knowngood.twin.behaviours.workloads import Deployments, ReplicaSets
from knowngood.twin.values import Object

GPU, NFD = "gpu-operator-certified", "nfd"
OLM_KINDS = (CATALOG, SUBSCRIPTION, PLAN, SERVICE_VERSION, DEPLOYMENT, EVENT)


def channel(package: str, name: str, *versions: str) -> Object:
    """A channel in which each version replaces the one before."""
    names = [f"{package}.v{version}" for version in versions]
    entries = [{"name": name, **({"replaces": names[i - 1]} if i else {})} for i, name in enumerate(names)]
    return {"schema": "olm.channel", "package": package, "name": name, "entries": entries}


def bundle(package: str, version: str) -> Object:
    """A bundle without manifests."""
    value = {"packageName": package, "version": version}
    properties = [{"type": "olm.package", "value": value}]
    return {
        "schema": "olm.bundle",
        "name": f"{package}.v{version}",
        "package": package,
        "properties": properties,
    }


CONTENT = [
    {"schema": "olm.package", "name": GPU, "defaultChannel": "v26.7"},
    {"schema": "olm.package", "name": NFD, "defaultChannel": "stable"},
    channel(GPU, "v26.3", "26.3.2", "26.3.3"),
    channel(GPU, "v26.7", "26.3.2", "26.3.3", "26.7.0"),
    channel(NFD, "stable", "4.18.0", "4.18.1"),
    *(bundle(GPU, version) for version in ("26.3.2", "26.3.3", "26.7.0")),
    *(bundle(NFD, version) for version in ("4.18.0", "4.18.1")),
]


def cast(twin: Twin) -> Sequence[Controller]:
    return [Deployments(twin), ReplicaSets(twin), Olm(twin)]


def tell(folder: Path, story: Story, **document: Any) -> None:
    seed = {"catalogs": {"catalog:50051": CONTENT}, **document}
    play(folder, story, cast, kinds=OLM_KINDS, olm=seed)


async def begin(stage: Play, address: str = "catalog:50051") -> None:
    """An OperatorGroup and a CatalogSource."""
    group = {"apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup"}
    await stage.client.create(
        {**group, "metadata": {"name": "og", "namespace": SPACE}, "spec": {"targetNamespaces": [SPACE]}}
    )
    await stage.client.create(made("CatalogSource", "cat", {"sourceType": "grpc", "address": address}))


def made(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": SPACE}
    return {"apiVersion": "operators.coreos.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


async def subscribe(stage: Play, package: str, channel: str, version: str, approval: str = "Manual") -> None:
    spec = {
        "name": package,
        "channel": channel,
        "startingCSV": f"{package}.v{version}",
        "installPlanApproval": approval,
        "source": "cat",
        "sourceNamespace": SPACE,
    }
    await stage.client.create(made("Subscription", package, spec))


async def change(stage: Play, package: str, **spec: str) -> None:
    await stage.client.patch(SUBSCRIPTION, package, {"spec": spec}, SPACE)


def plans(stage: Play) -> dict[tuple[str, ...], Object]:
    """The plans by what they carry; of several that carry the same, the last."""
    found = stage.twin.cache.all(PLAN, SPACE)
    found.sort(key=lambda plan: plan["spec"]["generation"])
    return {tuple(plan["spec"]["clusterServiceVersionNames"]): plan for plan in found}


async def planned(stage: Play, *names: str) -> Object:
    """Wait for the plan that carries exactly these."""
    await stage.until(f"a plan with {names}", lambda: names in plans(stage))
    return plans(stage)[names]


async def approve(stage: Play, *names: str) -> None:
    plan = await planned(stage, *names)
    await stage.client.patch(PLAN, name_of(plan), {"spec": {"approved": True}}, SPACE)


def phase(stage: Play, name: str) -> str:
    csv = stage.twin.cache.get(SERVICE_VERSION, name, SPACE)
    return str(((csv or {}).get("status") or {}).get("phase", ""))


def status(stage: Play, package: str = GPU) -> Object:
    found = stage.twin.cache.get(SUBSCRIPTION, package, SPACE) or {}
    return dict(found.get("status") or {})


async def installed(stage: Play, name: str) -> None:
    """Wait until it has succeeded, alone, and its Subscription and plan say so."""
    package = name.split(".", maxsplit=1)[0]

    def there() -> bool:
        mine = [c for c in stage.twin.cache.all(SERVICE_VERSION, SPACE) if name_of(c).startswith(package)]
        done = all(
            (p.get("status") or {}).get("phase") == "Complete"
            for p in plans(stage).values()
            if p["spec"]["approved"]
        )
        return (
            len(mine) == 1
            and phase(stage, name) == "Succeeded"
            and done
            and status(stage, package).get("installedCSV") == name
        )

    await stage.until(f"{name} installed", there)


async def up_to(stage: Play, version: str) -> None:
    """The GPU Operator at a version of channel v26.7, by the path that OLM allows."""
    await begin(stage)
    await subscribe(stage, GPU, "v26.3", "26.3.2")
    path = ["26.3.2", "26.3.3", "26.7.0"]
    for one in path[: path.index(version) + 1]:
        if one == "26.7.0":
            await change(stage, GPU, channel="v26.7")
        await approve(stage, f"{GPU}.v{one}")
        await installed(stage, f"{GPU}.v{one}")
