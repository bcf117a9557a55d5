"""What tenants set for NCCL in their own pods: recorded before ours is measured, so that a difference can be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from knowngood.adapters.kubernetes.client import Kube, Object, path

PREFIX = "NCCL_"
MOST, LONGEST = 32, 100
"""Settings of a namespace, and characters of a value."""


def of_tenants(kube: Kube, namespaces: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Namespace -> setting -> the values that its pods have. A value that is not in the pod's text is left out: it may
    be a secret's."""
    found: dict[str, dict[str, list[str]]] = {}
    for namespace in dict.fromkeys(namespaces):
        values: dict[str, set[str]] = {}
        for pod in kube.list(path("v1", "pods", "", namespace), keep=_settings):
            for name, value in pod.items():
                values.setdefault(name, set()).add(value[:LONGEST])
        if values:
            found[namespace] = {name: sorted(values[name]) for name in sorted(values)[:MOST]}
    return found


def _settings(pod: Object) -> Object:
    return {
        str(entry["name"]): str(entry["value"])
        for container in (pod.get("spec") or {}).get("containers") or ()
        for entry in container.get("env") or ()
        if str(entry.get("name", "")).startswith(PREFIX) and "value" in entry
    }


def otherwise(tenants: Mapping[str, Mapping[str, Iterable[str]]], ours: Mapping[str, str]) -> list[str]:
    """In words, which settings tenants have and our measurement had not, or had otherwise."""
    return [
        f"{namespace} sets {name}={','.join(values)}, measured was with {ours.get(name, 'none')}"
        for namespace, settings in tenants.items()
        for name, values in settings.items()
        if [*values] != [ours.get(name)]
    ]
