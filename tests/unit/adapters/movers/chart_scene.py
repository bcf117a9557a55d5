"""An Application with the chart of KAI Scheduler, in an API server in a dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.planner.matrices import cluster

from knowngood.adapters.movers.chart import Charts
from knowngood.matrix.build import mover
from knowngood.model.field import ObjectRef
from knowngood.model.mover import Moving

OLD, NEW = "0.12.16", "0.13.0"
KAI = mover(
    {
        "class": "chart",
        "starts": "declare",
        "fields": {"Application": {"spec.source.targetRevision": "v{version}"}},
        "require": {"Application": {"spec.source.chart": "kai-scheduler"}},
    },
    "numeric",
)
SPACE, NAME = "kai-scheduler", "kai-scheduler"
AT = ObjectRef("argoproj.io/v1alpha1", "Application", NAME, "argocd")
APPLICATION = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{NAME}"
QUEUES = "queues.scheduling.run.ai"
DEFINITION = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{QUEUES}"
WEBHOOK = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/kai"
SLICE = f"/apis/discovery.k8s.io/v1/namespaces/{SPACE}/endpointslices/kai-1"
BINDER, PLUGIN = ("Deployment", "binder"), ("DaemonSet", "plugin")
WORKLOADS = (BINDER, PLUGIN)


def moving(after: str = NEW, before: str = OLD) -> Moving:
    return Moving("kai-scheduler", before, after, KAI, AT)


class Scene:
    """The cluster; `version` is what the Application asks for and has."""

    def __init__(self, version: str = OLD, workloads: Sequence[tuple[str, str]] = WORKLOADS) -> None:
        self.kube = FakeKube()
        self.kube.collections |= {"endpointslices"}
        self.charts = Charts(self.kube, cluster())
        self.resources: list[dict[str, Any]] = [
            {"group": "apps", "version": "v1", "kind": kind, "namespace": SPACE, "name": name}
            for kind, name in workloads
        ]
        self.application(version)
        for kind, name in workloads:
            self.workload(kind, name, version)

    def application(self, version: str, synced: str = "", **status: Any) -> None:
        """It asks for a version; `synced`: what it has, by default that."""
        source = {
            "repoURL": "ghcr.io/nvidia/kai-scheduler",
            "chart": "kai-scheduler",
            "targetRevision": f"v{version}",
        }
        has = synced or version
        sync = {"status": "Synced" if has == version else "OutOfSync", "revision": f"v{has}"}
        spec = {
            "source": source,
            "destination": {"namespace": SPACE},
            "syncPolicy": {"automated": {"selfHeal": True}},
        }
        self.kube.put(
            APPLICATION, {"spec": spec, "status": {"sync": sync, "resources": self.resources, **status}}
        )

    def workload(self, kind: str, name: str, version: str, image: str = "", **status: Any) -> None:
        """One that has rolled, but for what `status` says; `generation` in it is the object's."""
        image = image or f"mirror.example.com/kai/{name}:v{version}"
        labels = {"app": name}
        counts: Mapping[str, int] = (
            {
                "desiredNumberScheduled": 3,
                "updatedNumberScheduled": 3,
                "numberAvailable": 3,
            }
            if kind == "DaemonSet"
            else {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
        )
        generation = status.pop("generation", 1)
        self.kube.put(
            f"/apis/apps/v1/namespaces/{SPACE}/{kind.lower()}s/{name}",
            {
                "metadata": {
                    "namespace": SPACE,
                    "generation": generation,
                    "labels": status.pop("labels", {}),
                },
                "spec": {
                    "replicas": 2,
                    "updateStrategy": {"type": status.pop("strategy", "RollingUpdate")},
                    "selector": {"matchLabels": labels},
                    "template": {"spec": {"containers": [{"name": "c", "image": image}]}},
                },
                "status": {"observedGeneration": 1, **counts, **status},
            },
        )

    def pod(self, name: str, reason: str, image: str) -> None:
        """A pod whose container waits."""
        waiting = {"image": image, "state": {"waiting": {"reason": reason}}}
        self.kube.put(
            f"/api/v1/namespaces/{SPACE}/pods/{name}-1",
            {"metadata": {"labels": {"app": name}}, "status": {"containerStatuses": [waiting]}},
        )

    def definition(self, *versions: str, stored: Sequence[str] = ()) -> None:
        """Its own definition, as it is live."""
        self.resources.append(
            {"group": "apiextensions.k8s.io", "kind": "CustomResourceDefinition", "name": QUEUES}
        )
        self.kube.put(
            DEFINITION,
            {
                "spec": {"versions": [{"name": v} for v in versions]},
                "status": {"storedVersions": [*(stored or versions[-1:])]},
            },
        )
        self.application(OLD)

    def webhook(self, *ready: bool | None) -> None:
        """One that asks a Service with such endpoints."""
        kind = "ValidatingWebhookConfiguration"
        self.resources.append({"group": "admissionregistration.k8s.io", "kind": kind, "name": "kai"})
        service = {"namespace": SPACE, "name": "kai"}
        self.kube.put(WEBHOOK, {"webhooks": [{"clientConfig": {"service": service}}]})
        self.kube.put(
            SLICE,
            {
                "metadata": {"labels": {"kubernetes.io/service-name": "kai"}},
                "endpoints": [{"conditions": {} if one is None else {"ready": one}} for one in ready],
            },
        )
        self.application(NEW)
