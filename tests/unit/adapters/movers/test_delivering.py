"""What brings every commit is there only once its own pods are the version's, new and ready."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.planner.matrices import cluster

from knowngood.adapters.kubernetes.client import path
from knowngood.adapters.movers.olm_operator import OLM
from knowngood.adapters.movers.olm_v0 import OlmV0
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import Application, GitOps
from knowngood.model.matrix import Cluster, Declaration
from knowngood.model.mover import MoverSpec, Moving, Starts
from knowngood.planner.readiness.rights import needed

ARGO, SPACE, PACKAGE = "openshift-gitops", "operators", "gitops"
SPEC = MoverSpec(
    kind="olm-v0",
    starts=Starts.APPROVE,
    fields={"Subscription": {"spec.channel": "stable", "spec.startingCSV": f"{PACKAGE}.v{{version}}"}},
    delivers=True,
)
AT = ObjectRef(OLM, "Subscription", PACKAGE, SPACE)
STEP = Moving(PACKAGE, "1", "2", SPEC, AT)
NEW, OLD = "mirror.example.com:5000/argocd@sha256:22", "mirror.example.com:5000/argocd@sha256:11"


def here() -> Cluster:
    made = cluster()
    return replace(made, gitops=GitOps(made.gitops.repo, "main", (Application("ops", ARGO, "gpu"),)))


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    """The version has succeeded, with nothing of its own to wait for."""
    kube = FakeKube()
    kube.collections |= {
        *("subscriptions", "clusterserviceversions", "installplans", "deployments", "statefulsets"),
    }
    name = f"{PACKAGE}.v2"
    sub = {"spec": {"startingCSV": name}, "status": {"installedCSV": name}}
    kube.put(path(OLM, "subscriptions", PACKAGE, SPACE), sub)
    images = {"relatedImages": [{"image": NEW}], "install": {}}
    csv = {"spec": images, "status": {"phase": "Succeeded"}}
    kube.put(path(OLM, "clusterserviceversions", name, SPACE), csv)
    return kube


def runs(kube: FakeKube, plural: str, image: str, ready: int = 1, **labels: str) -> None:
    labels = labels or {"app.kubernetes.io/part-of": "argocd"}
    status: dict[str, Any] = {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1}
    kube.put(
        path("apps/v1", plural, "server", ARGO),
        {
            "metadata": {"name": "server", "namespace": ARGO, "generation": 1, "labels": labels},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
            "status": {**status, "availableReplicas": ready},
        },
    )


@pytest.mark.parametrize("plural", ["deployments", "statefulsets"])
def test_its_own_workloads_are_waited_for_until_they_are_the_versions_and_ready(
    kube: FakeKube, plural: str
) -> None:
    olm = OlmV0(kube, here())
    runs(kube, plural, OLD)
    assert f"{ARGO}/server: it has {OLD}, the version brings {NEW}" in olm.look(STEP).waiting
    runs(kube, plural, NEW, ready=0)
    assert "0 of 1 pods are available" in olm.look(STEP).waiting
    runs(kube, plural, NEW)
    assert olm.look(STEP).done


def test_a_teams_own_image_and_anybody_elses_workload_are_not_held_against_it(kube: FakeKube) -> None:
    runs(kube, "deployments", "mirror.example.com:5000/own/argocd:ours")
    runs(kube, "statefulsets", OLD, app="somebody's")
    assert OlmV0(kube, here()).look(STEP).done


def test_an_operator_that_delivers_nothing_has_nobody_to_wait_for(kube: FakeKube) -> None:
    runs(kube, "deployments", OLD)
    other = replace(STEP, spec=replace(SPEC, delivers=False))
    assert OlmV0(kube, here()).look(other).done


def test_the_right_to_see_them_is_asked_where_such_an_operator_is_declared() -> None:
    declared = replace(here(), declarations=(Declaration(PACKAGE, "gpu/sub.yaml", "spec.startingCSV", AT),))

    def asked(spec: MoverSpec) -> set[str]:
        return {
            r.resource for r in needed(declared, {PACKAGE: spec}) if (r.group, r.namespace) == ("apps", ARGO)
        }

    assert asked(SPEC) == {"deployments", "statefulsets"}
    assert asked(replace(SPEC, delivers=False)) == set()


def test_what_is_being_deleted_has_not_succeeded_whatever_its_phase_says(kube: FakeKube) -> None:
    """A finalizer holds it, or somebody takes it away at this moment: its status is that of before."""
    olm, going = OlmV0(kube, here()), {"deletionTimestamp": "2026-12-01T00:00:00Z"}
    assert olm.look(STEP).done
    for where in (
        path(OLM, "clusterserviceversions", f"{PACKAGE}.v2", SPACE),
        path(OLM, "subscriptions", PACKAGE, SPACE),
    ):
        kube.objects[where]["metadata"].update(going)
        assert "is being deleted" in olm.look(STEP).waiting
        assert olm.state(STEP).running == "", where
        del kube.objects[where]["metadata"]["deletionTimestamp"]


def test_an_operator_that_is_scaled_to_none_is_not_there(kube: FakeKube) -> None:
    """All counts of its Deployment are right then, and OLM's phase is what it was."""
    csv = kube.objects[path(OLM, "clusterserviceversions", f"{PACKAGE}.v2", SPACE)]
    template = {"spec": {"containers": [{"name": "c", "image": NEW}]}}
    csv["spec"]["install"] = {"spec": {"deployments": [{"name": "o", "spec": {"template": template}}]}}
    live: dict[str, Any] = {
        "metadata": {"generation": 1},
        "spec": {"replicas": 1, "template": template},
        "status": {
            "observedGeneration": 1,
            "updatedReplicas": 1,
            "conditions": [{"type": "Available", "status": "True"}],
        },
    }
    kube.put(path("apps/v1", "deployments", "o", SPACE), live)
    assert OlmV0(kube, here()).look(STEP).done
    live["spec"]["replicas"], live["status"]["updatedReplicas"] = 0, 0
    kube.put(path("apps/v1", "deployments", "o", SPACE), live)
    assert OlmV0(kube, here()).look(STEP).waiting == "Deployment o is scaled to none"
