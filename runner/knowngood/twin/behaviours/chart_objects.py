"""What the twin's charts bring: by a chart's name alone, so that any of them can be played. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.twin.behaviours.kube import Kind, name_of
from knowngood.twin.values import Object

WEBHOOK: Kind = ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
SLICE: Kind = ("discovery.k8s.io/v1", "EndpointSlice")
DEFINITION: Kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
LABEL = "helm.sh/chart"
MIRROR = "mirror.example.com/charts"
REPLICAS = 2
OLD_VERSION, NEW_VERSION = "v1", "v2"


def is_chart(application: Object) -> bool:
    """Whether its source is a chart of a registry."""
    return bool((application["spec"].get("source") or {}).get("chart"))


def place_of(application: Object) -> str:
    """The namespace that it installs into."""
    return str(application["spec"]["destination"].get("namespace") or "default")


def image(chart: str, revision: str) -> str:
    """Tags begin with v, whether the chart's version does or not."""
    return f"{MIRROR}/{chart}:v{revision.removeprefix('v')}"


def objects(application: Object, revision: str, versions: Sequence[str] = ()) -> list[Object]:
    """A controller with a webhook, and an agent on every node. `versions`: of a definition, the last one stored."""
    chart = str(application["spec"]["source"]["chart"])
    name, space = name_of(application), place_of(application)
    found = [
        _workload("Deployment", f"{name}-controller", space, chart, revision),
        _workload("DaemonSet", f"{name}-agent", space, chart, revision),
        _service(name, space),
        _webhook(name, space),
    ]
    return [*found, _definition(name, versions)] if versions else found


def _workload(kind: str, name: str, space: str, chart: str, revision: str) -> Object:
    labels = {"app.kubernetes.io/name": name}
    spec: Object = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": {**labels, LABEL: f"{chart}-{revision}"}},
            "spec": {
                "containers": [{"name": "main", "image": image(chart, revision)}],
                "tolerations": [{"operator": "Exists"}],
            },
        },
    }
    if kind == "Deployment":
        spec["replicas"] = REPLICAS
    metadata = {"name": name, "namespace": space, "labels": {LABEL: f"{chart}-{revision}"}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _service(name: str, space: str) -> Object:
    selector = {"app.kubernetes.io/name": f"{name}-controller"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": space},
        "spec": {"selector": selector, "ports": [{"port": 443}]},
    }


def _webhook(name: str, space: str) -> Object:
    """It watches nothing, so that no object of the twin hangs on it."""
    service = {"name": name, "namespace": space}
    one = {
        "name": f"{name}.example.com",
        "clientConfig": {"service": service},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "rules": [],
    }
    return {"apiVersion": WEBHOOK[0], "kind": WEBHOOK[1], "metadata": {"name": name}, "webhooks": [one]}


def _definition(name: str, versions: Sequence[str]) -> Object:
    group, plural = f"{name}.example.com", "things"
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "apiVersion": DEFINITION[0],
        "kind": DEFINITION[1],
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"plural": plural, "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [
                {"name": v, "served": True, "storage": v == versions[-1], "schema": schema} for v in versions
            ],
        },
    }


def endpoints(name: str, space: str, *, ready: bool) -> Object:
    """The slice of its Service, as the controller manager keeps it."""
    return {
        "apiVersion": SLICE[0],
        "kind": SLICE[1],
        "metadata": {"name": name, "namespace": space, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.128.0.1"], "conditions": {"ready": ready}}],
        "ports": [{"port": 443}],
    }
