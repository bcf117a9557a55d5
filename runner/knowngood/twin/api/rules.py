"""What a real API server refuses beyond the schema: names, immutable fields, selectors, sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from knowngood.twin.api import meta, selectors
from knowngood.twin.api.errors import cause
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.values import Object

Causes = list[Object]

_DATA_KEY = re.compile(r"(?!\.$|\.\.)[-._A-Za-z0-9]{1,253}")
MAX_DATA = 1024 * 1024  # bytes in a ConfigMap or Secret
MAX_ANNOTATIONS = 256 * 1024  # bytes of all annotations together
STANDARD_FINALIZERS = {
    "orphan",
    "foregroundDeletion",
    "kubernetes",
    "customresourcecleanup.apiextensions.k8s.io",
}
_WORKLOADS = frozenset({"Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"})
_IMMUTABLE = "field is immutable"
_EFFECTS = frozenset({"NoSchedule", "PreferNoSchedule", "NoExecute"})
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_PATH_NAMES = frozenset({"roles", "rolebindings", "clusterroles", "clusterrolebindings"})


def _invalid(field: str, value: Any, why: str) -> Object:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return cause("FieldValueInvalid", field, f"Invalid value: {shown}: {why}")


def check_metadata(obj: Object, resource: ResourceType) -> Causes:
    """Check name, labels, annotations and finalizers."""
    metadata = obj["metadata"]
    name = metadata["name"]
    causes: Causes = []
    if resource.plural in _PATH_NAMES:
        suits = name not in {".", ".."} and "/" not in name and "%" not in name
    elif resource.plural in {"namespaces", "services"} and not resource.custom:
        suits = meta.is_label(name)
    else:
        suits = meta.is_subdomain(name)
    if not suits:
        causes.append(_invalid("metadata.name", name, "must be a lowercase RFC 1123 name"))
    causes += check_labels(metadata.get("labels", {}), "metadata.labels")
    annotations = metadata.get("annotations", {})
    causes += [
        _invalid("metadata.annotations", key, "must be a qualified name")
        for key in annotations
        if not meta.is_key(key.lower())
    ]
    size = sum(len(key) + len(str(value)) for key, value in annotations.items())
    if size > MAX_ANNOTATIONS:
        causes.append(
            cause(
                "FieldValueTooLong",
                "metadata.annotations",
                f"Too long: may not be more than {MAX_ANNOTATIONS} bytes",
            )
        )
    causes += [
        _invalid("metadata.finalizers", finalizer, "name is neither a standard finalizer name nor qualified")
        for finalizer in metadata.get("finalizers", ())
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS and not resource.custom
    ]
    return causes


def check_labels(labels: Object, field: str) -> Causes:
    """Check the syntax of label keys and values."""
    causes = [_invalid(field, key, "must be a qualified name") for key in labels if not meta.is_key(key)]
    return causes + [
        _invalid(field, value, "must be empty or letters, digits, '-', '_', '.'; at most 63 characters")
        for value in labels.values()
        if not (isinstance(value, str) and meta.is_label_value(value))
    ]


def check_object(obj: Object) -> Causes:
    """Check one built-in object by itself."""
    checker = _CHECKERS.get(obj["kind"])
    return [] if checker is None else list(checker(obj))


def _check_data(obj: Object) -> Iterator[Object]:
    size = sum(len(str(value).encode()) for value in obj.get("data", {}).values())
    size += sum(len(value) * 3 // 4 for value in obj.get("binaryData", {}).values())
    if obj["kind"] == "Secret":
        size = size * 3 // 4
    if size > MAX_DATA:
        yield cause("FieldValueTooLong", "data", f"Too long: may not be more than {MAX_DATA} bytes")
    for name in (*obj.get("data", {}), *obj.get("binaryData", {})):
        if not _DATA_KEY.fullmatch(name):
            yield _invalid(
                f"data[{name}]", name, "a valid config key consists of letters, digits, '-', '_' or '.'"
            )


def _check_node(obj: Object) -> Iterator[Object]:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(obj.get("spec", {}).get("taints", ())):
        field = f"spec.taints[{index}]"
        key, effect = taint.get("key", ""), taint.get("effect", "")
        if not meta.is_key(key):
            yield _invalid(f"{field}.key", key, "must be a qualified name")
        if effect not in _EFFECTS:
            yield cause("FieldValueNotSupported", f"{field}.effect", f'Unsupported value: "{effect}"')
        if (key, effect) in seen:
            yield cause("FieldValueDuplicate", field, f"Duplicate value: {key}:{effect}")
        seen.add((key, effect))


def _check_pod_spec(spec: Object, field: str) -> Iterator[Object]:
    if not spec.get("containers"):
        yield cause("FieldValueRequired", f"{field}.containers", "Required value")
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group, ())):
            name = container.get("name", "")
            if not meta.is_label(name):
                yield _invalid(f"{field}.{group}[{index}].name", name, "must be a lowercase RFC 1123 label")
            if name in names:
                yield cause(
                    "FieldValueDuplicate", f"{field}.{group}[{index}].name", f'Duplicate value: "{name}"'
                )
            if not container.get("image"):
                yield cause("FieldValueRequired", f"{field}.{group}[{index}].image", "Required value")
            names.add(name)
    policy = spec.get("restartPolicy", "Always")
    if policy not in _RESTART_POLICIES:
        yield cause("FieldValueNotSupported", f"{field}.restartPolicy", f'Unsupported value: "{policy}"')


def _check_workload(obj: Object) -> Iterator[Object]:
    spec = obj["spec"]
    selector = spec.get("selector") or {}
    labels = spec["template"].get("metadata", {}).get("labels", {})
    if not selector or not selectors.from_object(selector)(labels):
        field = "spec.template.metadata.labels"
        yield _invalid(field, labels, "`selector` does not match template `labels`")
    yield from _check_pod_spec(spec["template"]["spec"], "spec.template.spec")


def _check_job(obj: Object) -> Iterator[Object]:
    template = obj["spec"]["template"]["spec"]
    yield from _check_pod_spec(template, "spec.template.spec")
    if template.get("restartPolicy") == "Always":
        field = "spec.template.spec.restartPolicy"
        yield cause("FieldValueRequired", field, 'Required value: valid values: "OnFailure", "Never"')


def _check_budget(obj: Object) -> Iterator[Object]:
    if {"minAvailable", "maxUnavailable"} <= set(obj.get("spec", {})):
        yield _invalid("spec", "", "minAvailable and maxUnavailable cannot be both set")


def _check_lease(obj: Object) -> Iterator[Object]:
    spec = obj.get("spec", {})
    if (seconds := spec.get("leaseDurationSeconds", 1)) <= 0:
        yield _invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if (transitions := spec.get("leaseTransitions", 0)) < 0:
        yield _invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


_CHECKERS: Mapping[str, Callable[[Object], Iterator[Object]]] = {
    "ConfigMap": _check_data,
    "Secret": _check_data,
    "Node": _check_node,
    "Pod": lambda obj: _check_pod_spec(obj.get("spec", {}), "spec"),
    "Job": _check_job,
    "PodDisruptionBudget": _check_budget,
    "Lease": _check_lease,
    **dict.fromkeys(_WORKLOADS, _check_workload),
}

# The fields of a kind that stay as they were created.
_FIXED: Mapping[str, tuple[str, ...]] = {
    "Secret": ("type",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "PriorityClass": ("value",),
    "ControllerRevision": ("data",),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
}


def check_update(before: Object, after: Object) -> Causes:
    """Check what must not change in a built-in object once it is there."""
    kind = after["kind"]
    old, new = before.get("spec", {}), after.get("spec", {})
    causes = _unchanged(before, after, "", _FIXED.get(kind, ()))
    if kind == "Pod":
        causes += _check_pod_update(old, new)
    elif kind in _WORKLOADS:
        causes += _unchanged(old, new, "spec", ("selector",))
    elif kind == "Job":
        suspended = old.get("suspend") or new.get("suspend")
        fixed = ("selector", "completionMode") if suspended else ("selector", "completionMode", "template")
        causes += _unchanged(old, new, "spec", fixed)
    elif kind in {"ConfigMap", "Secret"} and before.get("immutable"):
        causes += _unchanged(before, after, "", ("data", "binaryData", "immutable"))
    return causes


def _unchanged(old: Object, new: Object, field: str, names: Iterable[str]) -> Causes:
    return [
        _invalid(f"{field}.{name}".lstrip("."), "", _IMMUTABLE)
        for name in names
        if old.get(name) != new.get(name)
    ]


def _check_pod_update(old: Object, new: Object) -> Causes:
    """A running pod's spec is fixed, save for images, a sooner end and further tolerations."""
    old_tolerations, new_tolerations = old.get("tolerations", []), new.get("tolerations", [])
    same_tolerations = all(one in new_tolerations for one in old_tolerations)
    if same_tolerations and _without_mutable(old) == _without_mutable(new):
        return []
    why = (
        "pod updates may not change fields other than `spec.containers[*].image`, "
        "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to "
        "existing tolerations), `spec.terminationGracePeriodSeconds`"
    )
    return [cause("FieldValueForbidden", "spec", f"Forbidden: {why}")]


def _without_mutable(spec: Object) -> Object:
    mutable = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"}
    fixed = {name: value for name, value in spec.items() if name not in mutable}
    for group in ("initContainers", "containers"):
        if group in fixed:
            fixed[group] = [
                {name: value for name, value in one.items() if name != "image"} for one in fixed[group]
            ]
    return fixed
