"""OLM's recordings: their catalogs, what a person did, the fields of interest, and what plans are called."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.integration.replay.cluster import Replay
from tests.integration.replay.normal import Fields, Names, flat
from tests.integration.replay.playing import Stage
from tests.integration.replay.recording import Line

from knowngood.twin import objects, seed
from knowngood.twin.behaviours.kube import DEPLOYMENT, deleting, name_of
from knowngood.twin.behaviours.olm import Olm
from knowngood.twin.behaviours.olm_objects import CATALOG, DEFINITION, PLAN, SERVICE_VERSION, SUBSCRIPTION
from knowngood.twin.behaviours.scheduler import Scheduler
from knowngood.twin.behaviours.workloads import Deployments, ReplicaSets
from knowngood.twin.client import ClientError
from knowngood.twin.crds_olm import olm_crds
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object

SPACE = "nvidia-gpu-operator"
GPU, NFD = "gpu-operator-certified", "nfd"
FIRST, SECOND = "catalog:50051", "catalog-2:50051"
DRIVERS = "nvidiadrivers.nvidia.com"


def _channel(package: str, name: str, *versions: str) -> Object:
    names = [f"{package}.v{version}" for version in versions]
    entries = [{"name": one, **({"replaces": names[i - 1]} if i else {})} for i, one in enumerate(names)]
    entries[0]["replaces"] = ""
    return {"schema": "olm.channel", "package": package, "name": name, "entries": entries}


def _bundle(package: str, version: str) -> Object:
    properties: list[Object] = [
        {"type": "olm.package", "value": {"packageName": package, "version": version}}
    ]
    if package == GPU:
        data = base64.b64encode(json.dumps(_definition(version)).encode()).decode()
        properties.append({"type": "olm.bundle.object", "value": {"data": data}})
    name = f"{package}.v{version}"
    return {"schema": "olm.bundle", "name": name, "package": package, "properties": properties}


def _definition(version: str) -> Object:
    """NVIDIADriver as a bundle of those bring it: upgradePolicy came with 26.7."""
    names = {"kind": "NVIDIADriver", "plural": "nvidiadrivers", "singular": "nvidiadriver"}
    spec: Object = {"version": {"type": "string"}}
    if not version.startswith("26.3"):
        spec["upgradePolicy"] = {"type": "object", "properties": {"autoUpgrade": {"type": "boolean"}}}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}
    served = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": DRIVERS},
        "spec": {
            "group": "nvidia.com",
            "scope": "Cluster",
            "names": {**names, "listKind": "NVIDIADriverList"},
            "versions": [{**served, "subresources": {"status": {}}}],
        },
    }


def _catalog(*later: str) -> list[Object]:
    versions = ("26.3.2", "26.3.3", "26.7.0", *later)
    return [
        {"schema": "olm.package", "name": GPU, "defaultChannel": "v26.7"},
        {"schema": "olm.package", "name": NFD, "defaultChannel": "stable"},
        _channel(GPU, "v26.3", "26.3.2", "26.3.3"),
        _channel(GPU, "v26.7", *versions),
        _channel(NFD, "stable", "4.18.0", "4.18.1"),
        *(_bundle(GPU, version) for version in versions),
        *(_bundle(NFD, version) for version in ("4.18.0", "4.18.1")),
    ]


def plan(*, reachable: bool = True) -> Seed:
    """One node for the operators' pods; catalogs that answer or not."""
    catalogs = {FIRST: _catalog(), SECOND: _catalog("26.7.1")} if reachable else {}
    document = {
        "schema": 1,
        "cluster": "replay",
        "openshift": "4.18.52",
        "nodes": [{"name": "cpu-1", "role": "cpu"}],
        "gpuOperator": {"version": "26.3.2", "namespace": SPACE},
        "olm": {"catalogs": catalogs},
    }
    return seed.parse(document)


def _there(seed_: Seed) -> Iterator[Object]:
    yield objects.namespace(SPACE)
    yield objects.node_object(seed_, seed_.nodes[0])


def stage(*, reachable: bool = True) -> Stage:
    """The recordings' cluster."""
    made = plan(reachable=reachable)
    return Stage(
        plan=made,
        controllers=[Scheduler, Deployments, ReplicaSets, Olm],
        kinds=KINDS,
        perform=perform,
        saw=saw,
        there=tuple(_there(made)),
        definitions=olm_crds(),
        renamed=renamed,
    )


# --- what a person did


async def perform(replay: Replay, what: str) -> None:
    """Do what an EDIT line says."""
    client = replay.client
    if what.startswith("OperatorGroup, CatalogSource"):
        group = {**_made("OperatorGroup", "og", {"targetNamespaces": [SPACE]}), "apiVersion": f"{_GROUP}/v1"}
        await client.create(group)
        await client.create(_made("CatalogSource", "cat", {"sourceType": "grpc", "address": FIRST}))
    elif found := re.match(r"(?:create the )?Subscription.*channel (\S+), startingCSV (\S+), Manual", what):
        await client.create(_subscription(GPU, found[1], found[2]))
    elif what.startswith("Subscription nfd"):
        await client.create(_subscription(NFD, "stable", "v4.18.0"))
    elif found := re.match(r"approve .*?(v26\.\d\.\d)", what):
        await _approve(replay, f"{GPU}.{found[1]}")
    elif found := re.match(r"channel (?:v\S+ -> )?(v26\.\d)", what):
        await client.patch(SUBSCRIPTION, GPU, {"spec": {"channel": found[1]}}, SPACE)
    elif found := re.match(r"startingCSV \S+ -> (\S+)", what):
        await client.patch(SUBSCRIPTION, GPU, {"spec": {"startingCSV": f"{GPU}.{found[1]}"}}, SPACE)
    elif found := re.match(r"delete CSV (\S+)", what):
        await client.delete(SERVICE_VERSION, f"{GPU}.{found[1]}", SPACE)
    elif what == "delete the Subscription too":
        await client.delete(SUBSCRIPTION, GPU, SPACE)
    elif what.startswith("CatalogSource now offers"):
        await client.patch(CATALOG, "cat", {"spec": {"address": SECOND}}, SPACE)
    elif what == "Subscription -> Automatic":
        await client.patch(SUBSCRIPTION, GPU, {"spec": {"installPlanApproval": "Automatic"}}, SPACE)
    else:
        assert what.startswith("catalog refreshed"), what  # the new server alone: nobody asks it yet


_GROUP = "operators.coreos.com"


def _made(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": SPACE}
    return {"apiVersion": f"{_GROUP}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _subscription(package: str, channel: str, version: str) -> Object:
    spec = {
        "name": package,
        "channel": channel,
        "startingCSV": f"{package}.{version}",
        "installPlanApproval": "Manual",
        "source": "cat",
        "sourceNamespace": SPACE,
    }
    return _made("Subscription", package, spec)


def _plans(replay: Replay) -> list[Object]:
    return sorted(replay.twin.cache.all(PLAN, SPACE), key=lambda one: one["spec"]["generation"])


async def _approve(replay: Replay, name: str) -> None:
    """The oldest plan that names this version and waits, as the recording's test did."""
    for one in _plans(replay):
        if name in one["spec"]["clusterServiceVersionNames"] and not one["spec"]["approved"]:
            await replay.client.patch(PLAN, name_of(one), {"spec": {"approved": True}}, SPACE)
            return


# --- what the test saw


async def saw(replay: Replay, note: str) -> str:
    """The same look at the twin: the note itself where it says the same, whatever the order of names."""
    if note.startswith("now: "):
        now = _now(replay)
        return note if _unordered(json.loads(note[5:])) == _unordered(now) else f"now: {json.dumps(now)}"
    if found := re.match(r"refused: 404: no unapproved plan with (\S+)", note):
        waits = [p for p in _plans(replay) if found[1] in p["spec"]["clusterServiceVersionNames"]]
        return f"there is a plan with {found[1]}" if waits else note
    try:
        live = await replay.client.get(DEFINITION, DRIVERS)
    except ClientError as error:
        return str(error)
    return f"{note.rpartition(' ')[0]} {'upgradePolicy' in json.dumps(live['spec'])}"


def _now(replay: Replay) -> Object:
    cache = replay.twin.cache
    subs = {}
    for one in cache.all(SUBSCRIPTION, SPACE):
        status = one.get("status") or {}
        told = [status.get(name) for name in ("state", "installedCSV", "currentCSV")]
        subs[name_of(one)] = [one["spec"]["startingCSV"], one["spec"]["channel"], *told]
    plans = [
        [p["spec"]["clusterServiceVersionNames"], p["spec"]["approved"], (p.get("status") or {}).get("phase")]
        for p in _plans(replay)
    ]
    versions = {name_of(c): (c.get("status") or {}).get("phase") for c in cache.all(SERVICE_VERSION, SPACE)}
    return {"csv": versions, "plans": plans, "subs": subs}


def _unordered(now: Object) -> Object:
    """OLM keeps what it resolved in a map: the order of a plan's names is luck."""
    return {**now, "plans": [[sorted(names), *rest] for names, *rest in now["plans"]]}


# --- how it is read


def _generation(obj: Object) -> dict[str, Any]:
    return {"generation": obj["metadata"].get("generation"), "terminating": deleting(obj)}


def _conditions(obj: Object) -> dict[str, str]:
    entries = (obj.get("status") or {}).get("conditions") or ()
    told = {c["type"]: (c["status"], c.get("reason", ""), c.get("message", "")[:198]) for c in entries}
    return {f"status.conditions.{kind}": " ".join(filter(None, parts)) for kind, parts in told.items()}


def _catalog_source(_names: Names, obj: Object) -> dict[str, Any]:
    status = obj.get("status") or {}
    told = status.get("connectionState") or {}
    service = status.get("registryService") or {}
    return {
        **_generation(obj),
        **flat({k: v for k, v in obj["spec"].items() if k != "displayName"}, "spec"),
        "status.registryService.createdAt": "TIME" if "createdAt" in service else None,
        "status.registryService.protocol": service.get("protocol"),
        "status.connectionState.address": told.get("address"),
        "status.connectionState.lastObservedState": told.get("lastObservedState"),
    }


def _subscribed(_names: Names, obj: Object) -> dict[str, Any]:
    status = obj.get("status") or {}
    kept = {n: status.get(n) for n in ("currentCSV", "installPlanGeneration", "installedCSV", "state")}
    reference, older = status.get("installPlanRef") or {}, status.get("installplan") or {}
    return {
        **_generation(obj),
        **flat(obj["spec"], "spec"),
        **_conditions(obj),
        **{f"status.{name}": value for name, value in kept.items()},
        "status.installPlanRef.name": reference.get("name"),
        "status.installPlanRef.namespace": reference.get("namespace"),
        "status.installplan.kind": older.get("kind"),
        "status.installplan.name": older.get("name"),
    }


def _install_plan(_names: Names, obj: Object) -> dict[str, Any]:
    status, spec = obj.get("status") or {}, obj["spec"]
    return {
        **_generation(obj),
        **_conditions(obj),
        "spec.approval": spec["approval"],
        "spec.approved": spec["approved"],
        "spec.clusterServiceVersionNames": sorted(spec["clusterServiceVersionNames"]),
        "status.catalogSources": status.get("catalogSources"),
        "status.phase": status.get("phase"),
    }


def _service_version(_names: Names, obj: Object) -> dict[str, Any]:
    status, marks = obj.get("status") or {}, obj["metadata"].get("annotations") or {}
    return {
        **_generation(obj),
        "spec.version": obj["spec"].get("version"),
        "spec.replaces": obj["spec"].get("replaces"),
        **{f"annotations.{name}": value for name, value in marks.items() if name.startswith("olm.")},
        **{f"status.{name}": status.get(name) for name in ("phase", "reason", "message")},
    }


def _event(_names: Names, obj: Object) -> dict[str, Any]:
    about = obj["involvedObject"]
    return {
        "on": f"{about['kind']}/{about['name']}",
        "reason": obj["reason"],
        "message": obj["message"][:160],
        "from": obj["source"]["component"],
    }


def _deployment(_names: Names, obj: Object) -> dict[str, Any]:
    pod = obj["spec"]["template"]["spec"]
    return {
        "generation": obj["metadata"].get("generation"),
        "spec.replicas": obj["spec"].get("replicas"),
        "spec.images": [c["image"] for c in pod["containers"]],
        "status.readyReplicas": (obj.get("status") or {}).get("readyReplicas", 0),
    }


KINDS: Mapping[str, Fields] = {
    CATALOG[1]: _catalog_source,
    SUBSCRIPTION[1]: _subscribed,
    PLAN[1]: _install_plan,
    SERVICE_VERSION[1]: _service_version,
    "Event": _event,
    DEPLOYMENT[1]: _deployment,
}


def renamed(lines: list[Line], _known: Iterable[Line]) -> list[Line]:
    """Plans by what they carry, those from before the recording alike; Events by what they are about."""
    carried = {
        line["name"]: "plan of " + " and ".join(sorted(line["set"]["spec.clusterServiceVersionNames"]))
        for line in lines
        if line["type"] == "ADDED" and line["kind"] == PLAN[1]
    }

    def name(value: Any) -> Any:
        return carried.get(value, "a plan from before") if isinstance(value, str) else value

    return [_named(line, name) for line in lines if line.get("kind") in KINDS or line["type"] == "EDIT"]


def _named(line: Line, name: Any) -> Line:
    made = dict(line)
    if line.get("kind") == PLAN[1]:
        made["name"] = name(line["name"])
        names = "spec.clusterServiceVersionNames"
        if names in line.get("set", {}):
            made["set"] = {**line["set"], names: sorted(line["set"][names])}
    elif line.get("kind") == "Event":
        made["name"] = line["set"]["on"].rpartition("/")[2]
    change = {
        field: [name(v) for v in values]
        if field.endswith(("installPlanRef.name", "installplan.name"))
        else values
        for field, values in (line.get("change") or {}).items()
        if field != "status.updatedReplicas"  # sums that a controller writes now and then
    }
    return {**made, "change": change} if change else {k: v for k, v in made.items() if k != "change"}
