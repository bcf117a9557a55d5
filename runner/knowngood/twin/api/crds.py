"""CustomResourceDefinitions: what they serve, their schema made ready, their conditions."""

from __future__ import annotations

from knowngood.twin.api import meta
from knowngood.twin.api.errors import cause
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.schemas import OBJECT_META, REF
from knowngood.twin.values import Object

CRD_KIND = "CustomResourceDefinition"
CRD_KEY = "apiextensions.k8s.io/customresourcedefinitions"


def fill(crd: Object) -> None:
    """Fill a CustomResourceDefinition's defaults, in place."""
    spec = crd["spec"]
    names = spec["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})


def check(crd: Object) -> list[Object]:
    """Return why the definition can't be served."""
    spec = crd.get("spec", {})
    names = spec.get("names", {})
    causes: list[Object] = []
    expected = f"{names.get('plural')}.{spec.get('group')}"
    if crd["metadata"]["name"] != expected:
        causes.append(cause("FieldValueInvalid", "metadata.name", f'Invalid value: must be "{expected}"'))
    versions = spec.get("versions", ())
    if sum(bool(version.get("storage")) for version in versions) != 1:
        why = "Invalid value: must have exactly one version marked as storage version"
        causes.append(cause("FieldValueInvalid", "spec.versions", why))
    for index, version in enumerate(versions):
        if "openAPIV3Schema" not in version.get("schema", {}):
            field = f"spec.versions[{index}].schema.openAPIV3Schema"
            causes.append(cause("FieldValueRequired", field, "Required value: schemas are required"))
    return causes


def check_update(old: Object, new: Object) -> list[Object]:
    """Return why the definition can't become this: a version that objects are stored in must stay."""
    offered = {version["name"] for version in new["spec"].get("versions", ())}
    stored = old.get("status", {}).get("storedVersions", ())
    return [
        cause(
            "FieldValueInvalid",
            f"status.storedVersions[{index}]",
            f'Invalid value: "{version}": missing from spec.versions; {version} was previously a storage version, '
            "and must remain in spec.versions until a storage migration ensures no data remains persisted in it",
        )
        for index, version in enumerate(stored)
        if version not in offered
    ]


def announce(crd: Object) -> None:
    """Write the status of a definition that was made just now and isn't served yet, in place."""
    stored = [version["name"] for version in crd["spec"]["versions"] if version["storage"]]
    names = {"kind": "", "plural": ""}
    crd["status"] = {"conditions": [], "acceptedNames": names, "storedVersions": stored}


def is_established(crd: Object) -> bool:
    """Whether the definition's kind is served."""
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def establish(crd: Object) -> None:
    """Write the status of a definition that is being served, in place."""
    spec = crd["spec"]
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": meta.now(),
        }
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    crd["status"] = {
        "conditions": conditions,
        "acceptedNames": dict(spec["names"]),
        "storedVersions": [version["name"] for version in spec["versions"] if version["storage"]],
    }


def resources_of(crd: Object) -> list[ResourceType]:
    """Return the resources the definition serves, one a served version."""
    spec = crd["spec"]
    names = spec["names"]
    metadata = crd["metadata"]
    origin = f"{metadata.get('uid', '')}/{metadata.get('generation', 1)}"
    return [
        ResourceType(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            singular=names["singular"],
            short_names=tuple(names.get("shortNames", ())),
            categories=tuple(names.get("categories", ())),
            subresources=tuple(version.get("subresources", {})),
            schema=_ready(version["schema"]["openAPIV3Schema"]),
            columns=tuple(version.get("additionalPrinterColumns", ())),
            selectable=tuple(
                field["jsonPath"].removeprefix(".") for field in version.get("selectableFields", ())
            ),
            scale=version.get("subresources", {}).get("scale"),
            origin=origin,
        )
        for version in spec["versions"]
        if version["served"]
    ]


def stored_version(crd: Object) -> str:
    """Return the version objects are kept in."""
    found = next(version["name"] for version in crd["spec"]["versions"] if version["storage"])
    return str(found)


def _ready(schema: Object) -> Object:
    """Return the schema as the walkers take it: with the standard fields, free objects marked closed."""
    root: Object = _closed(schema)
    properties = dict(root.get("properties", {}))
    properties["apiVersion"] = properties["kind"] = {"type": "string"}
    properties["metadata"] = {"$ref": REF + OBJECT_META}
    return {**root, "type": "object", "properties": properties}


def _closed(schema: Object) -> Object:
    """Mark every object `x-closed`: in a structural schema, what isn't declared is dropped."""
    result = dict(schema)
    if schema.get("type") == "object":
        result["x-closed"] = True
    if "properties" in schema:
        result["properties"] = {name: _closed(sub) for name, sub in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            result[name] = _closed(schema[name])
    return result
