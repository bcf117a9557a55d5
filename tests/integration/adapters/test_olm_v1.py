"""The class olm-v1 on the twin: a pinned ClusterExtension goes forth by its version, back once it is eased."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.twin.behaviour import Play, play
from tests.integration.twin.olm_stage import channel
from tests.movers import EVERY
from tests.published import needs_definitions, problems
from tests.unit.planner.matrices import cluster

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers.fleet_work import KubeFleet
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration
from knowngood.model.mover import Moving
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import DEPLOYMENT
from knowngood.twin.behaviours.olm_objects import DEFINITION
from knowngood.twin.behaviours.olm_v1 import OlmV1
from knowngood.twin.behaviours.olm_v1_objects import API, CATALOG, EXTENSION
from knowngood.twin.behaviours.workloads import Deployments, ReplicaSets
from knowngood.twin.values import Object

COMPONENT, PACKAGE, SPACE = "kueue", "kueue-operator", "openshift-kueue-operator"
OLD, NEW, FAR = "1.0.1", "1.1.0", "1.2.0"
AT = ObjectRef(API, EXTENSION[1], PACKAGE)
SPEC = EVERY[COMPONENT].of(EXTENSION[1])
QUEUES = "queues.kueue.example.com"
CATALOG_PATH, SAFETY = "spec.source.catalog", "spec.install.preflight.crdUpgradeSafety"


def definition(*versions: str, fields: Sequence[str] = ("size",)) -> Object:
    """A kind of the operator's, in these versions; the last is stored."""
    spec = {"type": "object", "properties": {name: {"type": "string"} for name in fields}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    names = {"plural": "queues", "singular": "queue", "kind": "Queue", "listKind": "QueueList"}
    served = [
        {"name": name, "served": True, "storage": name == versions[-1], "schema": schema} for name in versions
    ]
    return {
        "apiVersion": DEFINITION[0],
        "kind": DEFINITION[1],
        "metadata": {"name": QUEUES},
        "spec": {"group": "kueue.example.com", "scope": "Cluster", "names": names, "versions": served},
    }


def bundle(version: str, crd: Object) -> Object:
    data = base64.b64encode(json.dumps(crd).encode()).decode()
    properties = [
        {"type": "olm.package", "value": {"packageName": PACKAGE, "version": version}},
        {"type": "olm.bundle.object", "value": {"data": data}},
    ]
    named = {"name": f"{PACKAGE}.v{version}", "package": PACKAGE}
    return {"schema": "olm.bundle", **named, "properties": properties}


CONTENT = [
    {"schema": "olm.package", "name": PACKAGE, "defaultChannel": "stable"},
    channel(PACKAGE, "stable", OLD, NEW, FAR),
    bundle(OLD, definition("v1")),
    bundle(NEW, definition("v1", fields=("size", "colour"))),
    bundle(FAR, definition("v1", "v2")),
]


class Desk:
    """An extension that Git declares, and the class that reads it."""

    def __init__(self, stage: Play, folder: Path) -> None:
        self.stage = stage
        kube = Kube(folder / "kubeconfig")
        declared = Declaration(COMPONENT, "kueue.yaml", f"{CATALOG_PATH}.version", AT)
        self.fleet = KubeFleet(kube, cluster(declared))

    async def write(self, **texts: str) -> None:
        """As Argo CD brings a commit: version, policy, enforcement."""
        catalog = {
            key: texts[word]
            for word, key in (("version", "version"), ("policy", "upgradeConstraintPolicy"))
            if word in texts
        }
        spec: Object = {"source": {"catalog": catalog}}
        if "enforcement" in texts:
            safety = {"enforcement": texts["enforcement"]}
            spec["install"] = {"preflight": {"crdUpgradeSafety": safety}}
        await self.stage.client.patch(EXTENSION, PACKAGE, {"spec": spec})

    def moving(self, after: str = NEW, before: str = OLD) -> Moving:
        return Moving(COMPONENT, before, after, SPEC, AT)

    async def looks(self, after: str) -> str:
        """Look until it is done or has failed, or stands still: what it says then."""
        said, same = "", 0
        while same < 12:
            look = await asyncio.to_thread(self.fleet.look, self.moving(after))
            if look.done or look.failed:
                return f"done: {look.done}" if look.done else f"failed: {look.failed}"
            same = same + 1 if look.waiting == said else 0
            said = look.waiting
            await asyncio.sleep(0.05)
        return said

    async def asked(self, after: str = NEW, *, undo: bool = False) -> str:
        found = await asyncio.to_thread(self.fleet.ready, [self.moving(after)], undo=undo)
        return "; ".join(map(str, found))

    async def runs(self) -> str:
        state = await asyncio.to_thread(self.fleet.states, [self.moving()])
        return state[COMPONENT].running


def extension(version: str = OLD, **more: Any) -> Object:
    catalog = {
        "packageName": PACKAGE,
        "version": version,
        "upgradeConstraintPolicy": "CatalogProvided",
    } | more
    spec = {
        "namespace": SPACE,
        "source": {"sourceType": "Catalog", "catalog": catalog},
        "install": {"preflight": {"crdUpgradeSafety": {"enforcement": "Strict"}}},
    }
    return {"apiVersion": API, "kind": EXTENSION[1], "metadata": {"name": PACKAGE}, "spec": spec}


def cast(twin: Twin) -> Sequence[Controller]:
    return [Deployments(twin), ReplicaSets(twin), OlmV1(twin)]


def tell(
    folder: Path, story: Callable[[Desk], Awaitable[None]], channels: Sequence[str] = (), **seed: Any
) -> None:
    async def told(stage: Play) -> None:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
        await stage.client.create(space)
        source: dict[str, Any] = {"channels": [*channels]} if channels else {}
        await stage.client.create(extension(**source))
        desk = Desk(stage, folder)
        assert (await desk.looks(OLD)).startswith("done: "), await desk.looks(OLD)
        await story(desk)

    kinds = (EXTENSION, CATALOG, DEPLOYMENT, DEFINITION)
    play(folder, told, cast, scale=600.0, kinds=kinds, olmV1={"catalogs": {"redhat": CONTENT}, **seed})


def test_forth_by_its_version_and_back_once_it_is_eased(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        assert await desk.asked() == await desk.asked(OLD, undo=True) == ""
        await desk.write(version=NEW)
        assert await desk.looks(NEW) == f"done: {PACKAGE}.v{NEW} is installed and runs"
        assert await desk.runs() == NEW
        await desk.write(version=OLD)
        assert "error upgrading from currently installed version" in await desk.looks(OLD)
        await desk.write(policy="SelfCertified")
        assert "existing field 'colour' removed" in await desk.looks(OLD), "a narrower definition"
        await desk.write(enforcement="None")
        assert await desk.looks(OLD) == f"done: {PACKAGE}.v{OLD} is installed and runs"
        left = await asyncio.to_thread(desk.fleet.residue, [desk.moving()])
        assert "upgradeConstraintPolicy is SelfCertified" in str(left)
        await desk.write(policy="CatalogProvided", enforcement="Strict")
        assert await desk.looks(OLD) == f"done: {PACKAGE}.v{OLD} is installed and runs"
        assert await asyncio.to_thread(desk.fleet.residue, [desk.moving()]) == []
        assert await desk.runs() == OLD

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("extension-not-adopted", "already exists and cannot be managed"),
        ("crd-safety-blocks", f'validating upgrade for CRD "{QUEUES}" failed'),
        ("catalog-lost-it", f'no bundles found for package "{PACKAGE}" matching version "{NEW}"'),
        ("extension-says-too-early", f"Deployment {SPACE}/{PACKAGE}"),
    ],
)
def test_what_is_refused_or_only_said_is_no_arrival_and_the_older_one_comes_back(
    tmp_path: Path, fault: str, says: str
) -> None:
    async def story(desk: Desk) -> None:
        await desk.stage.fault(fault, version=NEW)
        await desk.write(version=NEW)
        assert says in await desk.looks(NEW)
        assert await desk.runs() in {"", OLD}, "nobody says that the new one runs"
        await desk.write(version=OLD, policy="SelfCertified", enforcement="None")
        assert await desk.looks(OLD) == f"done: {PACKAGE}.v{OLD} is installed and runs"

    tell(tmp_path, story)


def test_stored_versions_and_catalogs_are_asked_before_the_commit(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        assert "brings v2, which the version of before does not know" in await desk.asked(FAR)
        assert f"no ClusterCatalog offers {COMPONENT} 9.9.9" in await desk.asked("9.9.9")
        assert "there would be no way back" in await desk.asked("9.9.9", undo=True)
        stored = {"status": {"storedVersions": ["v1", "v0"]}}
        await desk.stage.client.patch(DEFINITION, QUEUES, stored, subresource="status")
        assert "objects are stored as v0, which 1.0.1 does not know" in await desk.asked(OLD, undo=True)
        serving = {"type": "Serving", "status": "False", "reason": "Unavailable", "message": ""}
        told = {"conditions": [{**serving, "lastTransitionTime": "2026-11-30T00:00:00Z"}]}
        await desk.stage.client.patch(CATALOG, "redhat", {"status": told}, subresource="status")
        assert (
            f"ClusterCatalog redhat is not Serving: whether {NEW} is offered is untold" in await desk.asked()
        )
        await desk.stage.client.delete(CATALOG, "redhat")
        assert "no ClusterCatalog is there in which it looks" in await desk.asked()
        await desk.write(version=">=1.0.0")
        assert f"does not run whole: {AT} has {CATALOG_PATH}.version >=1.0.0, not {OLD}" in await desk.asked()

    tell(tmp_path, story)


def test_a_version_of_another_channel_is_refused_before_as_olm_refuses_it_after(tmp_path: Path) -> None:
    preview = [
        {"schema": "olm.package", "name": PACKAGE, "defaultChannel": "preview"},
        channel(PACKAGE, "preview", NEW, FAR),
        bundle(FAR, definition("v1")),
    ]

    async def story(desk: Desk) -> None:
        assert await desk.asked(NEW) == ""
        said = await desk.asked(FAR)
        assert f"no ClusterCatalog offers {COMPONENT} {FAR} in channel stable (it is in preview)" in said
        await desk.write(version=FAR)
        assert f'no bundles found for package "{PACKAGE}"' in await desk.looks(FAR)

    tell(tmp_path, story, catalogs={"redhat": CONTENT[:-1], "mirror": preview}, channels=["stable"])


@needs_definitions
def test_what_is_written_and_read_is_what_its_operator_publishes(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        for kind in (EXTENSION, CATALOG):
            for obj in desk.stage.twin.cache.all(kind):
                assert problems(obj) == []
        await desk.write(policy="SelfCertified", enforcement="None")
        await desk.looks(OLD)
        assert problems(desk.stage.get(EXTENSION, PACKAGE, "")) == []

    tell(tmp_path, story)
