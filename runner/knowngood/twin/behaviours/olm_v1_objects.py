"""What OLM v1 makes and says: owned manifests of a bundle, conditions, the refusals of its preflights. Pure.

(operator-framework/operator-controller api/v1 and internal/operator-controller; catalogd's service.)
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence

from knowngood.twin.behaviours import olm_objects
from knowngood.twin.behaviours.kube import Kind, labels_of, name_of, stamp
from knowngood.twin.behaviours.olm_catalog import Bundle, Catalog
from knowngood.twin.values import Object

API = "olm.operatorframework.io/v1"
EXTENSION: Kind = (API, "ClusterExtension")
CATALOG: Kind = (API, "ClusterCatalog")
OWNER_KIND, OWNER_NAME = "olm.operatorframework.io/owner-kind", "olm.operatorframework.io/owner-name"
SERVICE = "catalogd-service"
CATALOGD = {"app.kubernetes.io/name": "catalogd"}


def catalog(name: str, namespace: str) -> Object:
    """A catalog whose content is served."""
    base = f"https://{SERVICE}.{namespace}.svc/catalogs/{name}"
    serving = {"type": "Serving", "status": "True", "reason": "Available", "message": "Serving"}
    return {
        "apiVersion": API,
        "kind": CATALOG[1],
        "metadata": {"name": name, "labels": {"olm.operatorframework.io/metadata.name": name}},
        "spec": {"source": {"type": "Image", "image": {"ref": f"mirror.example.com/{name}:v4.18"}}},
        "status": {"urls": {"base": base}, "conditions": [{**serving, "lastTransitionTime": stamp()}]},
    }


def service(namespace: str) -> Object:
    """What serves all catalogs."""
    metadata = {"name": SERVICE, "namespace": namespace, "labels": CATALOGD}
    ports = [{"name": "https", "port": 443}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}


def manifests(extension: Object, bundle: Bundle) -> Iterator[Object]:
    """What the bundle brings, in the extension's namespace, marked as its: definitions first."""
    space = str(extension["spec"]["namespace"])
    mine = {OWNER_KIND: EXTENSION[1], OWNER_NAME: name_of(extension)}
    csv = copy.deepcopy(bundle.service_version)
    csv["metadata"]["namespace"] = space
    found = [m for m in bundle.manifests if m["kind"] == olm_objects.DEFINITION[1]]
    for name in olm_objects.service_accounts_of(csv):
        metadata = {"name": name, "namespace": space}
        found.append({"apiVersion": "v1", "kind": olm_objects.SERVICE_ACCOUNT[1], "metadata": metadata})
    for deployment in olm_objects.deployments_of({**csv, "metadata": {**csv["metadata"], "uid": ""}}):
        metadata = {"name": name_of(deployment), "namespace": space}
        found.append({**deployment, "metadata": metadata})
    for obj in found:
        made = copy.deepcopy(obj)
        made["metadata"]["labels"] = {**labels_of(made), **mine}
        yield made


def owner(obj: Object) -> str:
    """Whose object it is, "" for nobody's."""
    return str(labels_of(obj).get(OWNER_NAME) or "")


def follows(catalogs: Iterable[Catalog], package: str, has: str, wanted: Bundle) -> bool:
    """Whether an edge of some channel leads from one bundle to another."""
    for one in catalogs:
        for channel in one.channels(package):
            entry = one.entry(package, channel, wanted.name)
            if entry and (entry.replaces == has or has in entry.skips):
                return True
    return False


def in_channels(catalog: Catalog, bundle: Bundle, channels: Sequence[str]) -> bool:
    """Whether a bundle is in one of these channels; without any all count."""
    found = [c for c in channels if catalog.entry(bundle.package, c, bundle.name)]
    return bool(found) or not channels


def serving(catalog: Object) -> bool:
    """Whether its content can be had."""
    conditions = (catalog.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Serving" and c["status"] == "True" for c in conditions)


def unsafe(live: Object, wanted: Object) -> str:
    """What the check of definitions says against a new one; "" where it is safe."""
    new = {v["name"]: _fields(v) for v in wanted["spec"]["versions"]}
    for version in (live.get("status") or {}).get("storedVersions") or ():
        if version not in new:
            return f"stored version {version!r} removed"
    for version in live["spec"]["versions"]:
        if gone := sorted(_fields(version) - new.get(version["name"], _fields(version))):
            return f"{version['name']}: existing field {gone[0]!r} removed"
    return ""


def _fields(version: Mapping[str, Object]) -> set[str]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    return {*((schema.get("properties") or {}).get("spec", {}).get("properties") or ())}


def conditions(extension: Object, reason: str, message: str, bundle: Object | None) -> Object:
    """Its status at this generation. `bundle`: what is installed, None where nothing is."""
    generation = extension["metadata"]["generation"]

    def said(kind: str, status: str, why: str, text: str) -> Object:
        told = {"type": kind, "status": status, "reason": why, "message": text}
        return {**told, "observedGeneration": generation, "lastTransitionTime": stamp()}

    has = (
        said("Installed", "True", "Succeeded", f"Installed bundle {bundle['name']} successfully")
        if bundle
        else said("Installed", "False", "Absent", "No bundle installed")
    )
    going = said("Progressing", "True", reason, message)
    return {"conditions": [has, going], **({"install": {"bundle": bundle}} if bundle else {})}
