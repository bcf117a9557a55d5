"""What an Application owns of a chart, by its status: workloads, definitions, webhooks; what they show. Read only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import rollout
from knowngood.model.values import Values

DEFINITION = "CustomResourceDefinition"
ADMISSION = "admissionregistration.k8s.io"
WEBHOOKS = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}
CHART_LABEL, VERSION_LABEL = "helm.sh/chart", "app.kubernetes.io/version"
SHOWN = 3
"""Images that a sentence names."""


@dataclass(frozen=True, slots=True)
class One:
    """An object by name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Owned:
    """What matters of it here."""

    workloads: tuple[One, ...]
    definitions: tuple[One, ...]
    webhooks: tuple[One, ...]

    @classmethod
    def of(cls, application: Values) -> Owned:
        """By the resources in its status: what Argo CD compares, with crds/ of the chart."""
        listed = (application.get("status") or {}).get("resources") or ()
        place = str(((application.get("spec") or {}).get("destination") or {}).get("namespace") or "")
        found: dict[str, list[One]] = {"apps": [], "apiextensions.k8s.io": [], ADMISSION: []}
        kinds = {*rollout.PLURALS, DEFINITION, *WEBHOOKS}
        for entry in listed:
            if entry.get("group") in found and entry.get("kind") in kinds and not entry.get("hook"):
                space = str(entry.get("namespace") or (place if entry["group"] == "apps" else ""))
                found[entry["group"]].append(One(entry["kind"], space, entry["name"]))
        return cls(*(tuple(many) for many in found.values()))


def image_of_version(workloads: Sequence[Object], version: str) -> str:
    """Why none of these workloads shows that it is of a version; "" where one does.

    A chart moves while a pinned tag in its values stays: then the images say so. Images by digest alone say nothing, so
    there a chart's usual labels do.
    """
    images = sorted({image for one in workloads for image in rollout.images(one)})
    tagged = [image for image in images if ":" in image.partition("@")[0].rpartition("/")[2]]
    texts = (version, f"v{version}")
    if any(rollout.is_of(image, version) for image in tagged):
        return ""
    if not tagged and any(_labelled(one, texts) for one in workloads):
        return ""
    more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
    return f"no image is of {version}: {', '.join(images[:SHOWN])}{more}; do its values pin a tag?"


def _labelled(workload: Object, texts: Sequence[str]) -> bool:
    labels = workload["metadata"].get("labels") or {}
    chart = str(labels.get(CHART_LABEL) or "")
    return labels.get(VERSION_LABEL) in texts or any(chart.endswith(f"-{text}") for text in texts)


def without_backend(kube: Kube, owned: Owned) -> Iterator[str]:
    """Webhooks whose Service has no ready endpoint: with one, every object that they watch is refused or unseen."""
    asked: dict[tuple[str, str], bool] = {}
    for one in owned.webhooks:
        live = kube.find(path(f"{ADMISSION}/v1", WEBHOOKS[one.kind], one.name))
        if live is None:
            yield f"{one} is not there"
            continue
        for webhook in live.get("webhooks") or ():
            service = (webhook.get("clientConfig") or {}).get("service")
            if not service:
                continue
            at = (str(service["namespace"]), str(service["name"]))
            if at not in asked:
                asked[at] = _answers(kube, *at)
                if not asked[at]:
                    yield f"{one} has no backend: Service {at[0]}/{at[1]} has no ready endpoint"


def _answers(kube: Kube, namespace: str, service: str) -> bool:
    where = path("discovery.k8s.io/v1", "endpointslices", "", namespace)
    slices = kube.list(where, f"kubernetes.io/service-name={service}")
    endpoints = (e for one in slices for e in one.get("endpoints") or ())
    # An absent `ready` is to be taken for true (discovery.k8s.io/v1 EndpointConditions).
    return any((e.get("conditions") or {}).get("ready") is not False for e in endpoints)
