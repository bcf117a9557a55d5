"""Whether Argo CD itself has followed its operator: until its own pods are the new version's, what delivers is the old.

The operator's version counts as Succeeded before it has made them anew, so a way back that is proven then is proven by
pods that are about to go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import rollout

ARGO_CD = "app.kubernetes.io/part-of=argocd"
"""What Argo CD's own workloads are labelled with, by its operator, its chart and its manifests alike."""
KINDS = ("Deployment", "StatefulSet")


def late(kube: Kube, namespaces: Iterable[str], csv: Object) -> Iterator[str]:
    """Which of Argo CD's workloads there is not of this version, new everywhere and ready.

    An image of a repository that the version names must be the one that it names; any other is a team's own. An Argo CD
    that runs elsewhere has nothing here: whether it delivers, the way back itself proves.
    """
    named = {
        _repository(str(one["image"])): str(one["image"]) for one in csv["spec"].get("relatedImages") or ()
    }
    for namespace in dict.fromkeys(namespaces):
        for kind in KINDS:
            for workload in kube.list(path(rollout.APPS, rollout.PLURALS[kind], "", namespace), ARGO_CD):
                if why := _old(workload, named) or rollout.late(kube, kind, workload):
                    yield f"{kind} {namespace}/{workload['metadata']['name']}: {why}"


def _old(workload: Object, named: Mapping[str, str]) -> str:
    for image in rollout.images(workload):
        if (wanted := named.get(_repository(image), image)) != image:
            return f"it has {image}, the version brings {wanted}"
    return ""


def _repository(image: str) -> str:
    """An image without its digest and tag; a port is no tag."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
