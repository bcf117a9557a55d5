"""What is asked before an operator moves, beside OLM itself: who makes it anew, and what would follow along."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.planner.matrices import cluster

from knowngood.adapters.kubernetes.client import path
from knowngood.adapters.movers.olm_operator import OLM, PACKAGES
from knowngood.adapters.movers.olm_v0 import OlmV0
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import Application, GitOps
from knowngood.model.matrix import Cluster, Declaration
from knowngood.model.mover import MoverSpec, Moving, Starts

SPACE, PACKAGE = "operators", "thing"
SPEC = MoverSpec(
    kind="olm-v0",
    starts=Starts.APPROVE,
    fields={"Subscription": {"spec.channel": "stable", "spec.startingCSV": f"{PACKAGE}.v{{version}}"}},
    require={"Subscription": {"spec.installPlanApproval": "Manual"}},
    settles=("driver",),
)
AT = ObjectRef(OLM, "Subscription", PACKAGE, SPACE)
STEP = Moving(PACKAGE, "1", "2", SPEC, AT)
DRIVER = Declaration(
    "driver", "gpu/driver.yaml", "data.version", ObjectRef("v1", "ConfigMap", "driver", SPACE)
)
APPLICATION = path("argoproj.io/v1alpha1", "applications", "ops", "argo")


def on(application: bool = True) -> Cluster:
    """A cluster whose Git declares the operator and a driver that it makes anew."""
    made = cluster(Declaration(PACKAGE, "gpu/subscription.yaml", "spec.startingCSV", AT), DRIVER)
    applications = (Application("ops", "argo", "gpu"),) if application else ()
    return replace(made, gitops=GitOps(made.gitops.repo, "main", applications))


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    """All of it at rest, with the newer version in the channel."""
    kube = FakeKube()
    kube.collections |= {"subscriptions", "clusterserviceversions", "installplans", "packagemanifests"}
    spec = {
        "name": PACKAGE,
        "channel": "stable",
        "startingCSV": f"{PACKAGE}.v1",
        "installPlanApproval": "Manual",
        "source": "cat",
        "sourceNamespace": "market",
    }
    put(kube, "subscriptions", PACKAGE, {"spec": spec, "status": {"installedCSV": f"{PACKAGE}.v1"}})
    put(kube, "clusterserviceversions", f"{PACKAGE}.v1", {"spec": {}, "status": {"phase": "Succeeded"}})
    offered = [{"name": f"{PACKAGE}.v{number}"} for number in (2, 1)]
    channel = {"name": "stable", "currentCSV": f"{PACKAGE}.v2", "entries": offered}
    status = {"packageName": PACKAGE, "catalogSource": "cat", "channels": [channel]}
    kube.put(path(PACKAGES, "packagemanifests", PACKAGE, "market"), {"status": status})
    kube.put(APPLICATION, {"spec": {"syncPolicy": {"automated": {"selfHeal": True}}}})
    kube.put("/api/v1", {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]})
    kube.put(path("v1", "configmaps", "driver", SPACE), {"data": {"version": "580"}})
    return kube


def put(kube: FakeKube, plural: str, name: str, body: dict[str, Any]) -> None:
    kube.put(path(OLM, plural, name, SPACE), body)


def found(kube: FakeKube, *, undo: bool = False, step: Moving = STEP, where: Cluster | None = None) -> str:
    move = Moving(PACKAGE, "2", "1", SPEC, AT) if undo else step
    return "; ".join(map(str, OlmV0(kube, where or on()).ready(move, undo=undo)))


def test_at_rest_nothing_stands_in_the_way_forth_or_back(kube: FakeKube) -> None:
    assert found(kube) == ""
    assert found(kube, undo=True) == ""


def test_what_the_new_operator_makes_anew_must_be_pinned(kube: FakeKube) -> None:
    kube.put(path("v1", "configmaps", "driver", SPACE), {"data": {"version": ""}})
    assert "data.version is not set: driver would follow the operator's default" in found(kube)


@pytest.mark.parametrize("policy", [{}, {"automated": {}}, {"automated": {"selfHeal": False}}])
def test_without_self_heal_there_is_no_way_back(kube: FakeKube, policy: dict[str, Any]) -> None:
    kube.put(APPLICATION, {"spec": {"syncPolicy": policy}})
    assert "self-heal is off" in found(kube, undo=True)
    assert found(kube) == "", "an approval needs none"
    assert "self-heal is off" in found(kube, step=replace(STEP, reinstall=True)), "a new installation does"


def test_an_application_that_reads_other_files_is_not_asked(kube: FakeKube) -> None:
    kube.put(APPLICATION, {"spec": {}})
    assert found(kube, undo=True, where=on(application=False)) == ""


def test_an_automatic_approval_is_refused(kube: FakeKube) -> None:
    kube.objects[path(OLM, "subscriptions", PACKAGE, SPACE)]["spec"]["installPlanApproval"] = "Automatic"
    assert "spec.installPlanApproval is Automatic, it must be Manual" in found(kube)


def test_a_missing_subscription_is_told_once(kube: FakeKube) -> None:
    del kube.objects[path(OLM, "subscriptions", PACKAGE, SPACE)]
    assert found(kube).startswith("Subscription operators/thing: there is none on this cluster")


def test_a_catalog_of_the_same_name_elsewhere_is_another_one(kube: FakeKube) -> None:
    """The cluster's own catalogs are listed in every namespace."""
    status = kube.objects[path(PACKAGES, "packagemanifests", PACKAGE, "market")]["status"]
    empty = {**status, "catalogSourceNamespace": "elsewhere", "channels": []}
    status["catalogSourceNamespace"] = "market"
    kube.put(path(PACKAGES, "packagemanifests", "a-first", "market"), {"status": empty})
    assert found(kube) == found(kube, undo=True) == ""
