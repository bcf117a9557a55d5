"""Argo CD has a commit when its revision contains it and the live object carries the value; Healthy proves nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.gitops.argocd import ArgoDelivery
from knowngood.adapters.kubernetes.client import refuse
from knowngood.model.errors import DeadlineExceeded, Interrupted, Location
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.finding import Finding
from knowngood.model.gitops import Application, GitOps
from knowngood.model.matrix import Cluster, Limits
from knowngood.model.verdict import Verdict
from knowngood.ports.cancel import Cancel
from knowngood.ports.delivery import SyncFailed

OLD, OURS, LATER = "1" * 40, "2" * 40, "3" * 40
HISTORY = [OLD, OURS, LATER]
APPLICATION = "/apis/argoproj.io/v1alpha1/namespaces/openshift-gitops/applications/gpu"
PROJECT = "/apis/argoproj.io/v1alpha1/namespaces/openshift-gitops/appprojects/default"
DRIVER = "/apis/nvidia.com/v1alpha1/nvidiadrivers/ring-0"
CHANGE = FieldChange(
    "nvidia-driver",
    "clusters/ams/gpu/nvidiadriver-ring-0.yaml",
    "spec.version",
    ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", "ring-0"),
    "580.173.02",
    "595.91.07",
)


def is_ancestor(commit: str, revision: str) -> bool:
    return HISTORY.index(commit) <= HISTORY.index(revision)


def cluster() -> Cluster:
    applications = (Application("gpu", "openshift-gitops", "clusters/ams/gpu"),)
    gitops = GitOps("https://git.example.com/x.git", "main", applications)
    where = Location("clusters/ams.yaml", 1)
    return Cluster("ams", "p", "r580", (), (), (), (), (), (), gitops, (), Limits(), "hold", where)


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube._kinds[("nvidia.com/v1alpha1", "NVIDIADriver")] = ("nvidiadrivers", False)
    kube.collections |= {"appprojects", "applicationsets"}
    kube.put(APPLICATION, {"metadata": {}, "spec": {"syncPolicy": {"automated": {}}}, "status": status(OLD)})
    kube.put(PROJECT, {"spec": {}})
    kube.put(DRIVER, {"spec": {"version": "580.173.02"}})
    return kube


def status(revision: str, **more: Any) -> dict[str, Any]:
    return {"sync": {"status": "Synced", "revision": revision}, "health": {"status": "Healthy"}, **more}


def sync(kube: FakeKube, revision: str, version: str, **more: Any) -> None:
    kube.objects[APPLICATION]["status"] = status(revision, **more)
    kube.objects[DRIVER]["spec"]["version"] = version


def delivery(kube: FakeKube) -> ArgoDelivery:
    return ArgoDelivery(kube, cluster(), is_ancestor, SystemClock())


def wait(kube: FakeKube, commit: str = OURS, deadline: float = 0.3) -> float:
    return delivery(kube).wait(commit, [CHANGE], deadline, Cancel())


def test_our_revision_and_our_value_are_a_delivery(kube: FakeKube) -> None:
    sync(kube, OURS, "595.91.07")
    assert wait(kube) < 0.3
    assert kube.objects[APPLICATION]["metadata"]["annotations"] == {"argocd.argoproj.io/refresh": "normal"}


def test_a_colleagues_later_push_does_not_hide_our_commit(kube: FakeKube) -> None:
    sync(kube, LATER, "595.91.07")
    wait(kube)


def test_several_sources_carry_several_revisions(kube: FakeKube) -> None:
    sync(kube, OLD, "595.91.07")
    del kube.objects[APPLICATION]["status"]["sync"]["revision"]
    kube.objects[APPLICATION]["status"]["sync"]["revisions"] = [OLD, OURS]
    wait(kube)


def test_an_older_revision_is_waited_for_and_named(kube: FakeKube) -> None:
    sync(kube, OLD, "595.91.07")
    with pytest.raises(DeadlineExceeded, match="gpu is at 1111111111"):
        wait(kube)


def test_synced_and_healthy_with_the_old_value_is_no_delivery(kube: FakeKube) -> None:
    sync(kube, OURS, "580.173.02")
    with pytest.raises(DeadlineExceeded, match=r"spec.version 580.173.02, not 595.91.07"):
        wait(kube)


def test_the_value_may_come_a_little_later(kube: FakeKube) -> None:
    sync(kube, OURS, "580.173.02")
    until = time.monotonic() + 0.3

    def controller(method: str, where: str) -> None:
        if time.monotonic() > until:
            kube.objects[DRIVER]["spec"]["version"] = "595.91.07"

    kube.before.append(controller)
    assert wait(kube, deadline=5.0) >= 0.2


def failed(revision: str) -> dict[str, Any]:
    return {"operationState": {"phase": "Failed", "message": "no", "syncResult": {"revision": revision}}}


def test_a_failed_sync_of_our_commit_ends_the_wait_with_argos_words(kube: FakeKube) -> None:
    sync(kube, OURS, "580.173.02", **failed(OURS))
    began = time.monotonic()
    with pytest.raises(SyncFailed, match="sync Failed: no"):
        wait(kube, deadline=30.0)
    assert time.monotonic() - began < 5


def test_the_failed_sync_of_an_earlier_commit_is_not_ours(kube: FakeKube) -> None:
    sync(kube, OURS, "595.91.07", **failed(OLD))
    wait(kube)


def test_a_no_op_commit_needs_the_revision_only(kube: FakeKube) -> None:
    sync(kube, OURS, "580.173.02")
    delivery(kube).wait(OURS, (), 0.3, Cancel())


def test_a_base_in_nobodys_folder_is_waited_for_in_each_application(kube: FakeKube) -> None:
    """Who reads it, the rendering before the push has shown; here each must have the commit."""
    base = replace(CHANGE, file="base/driver.yaml")
    sync(kube, OLD, "595.91.07")
    with pytest.raises(DeadlineExceeded, match="gpu is at 1111111111"):
        delivery(kube).wait(OURS, [base], 0.3, Cancel())
    sync(kube, OURS, "595.91.07")
    delivery(kube).wait(OURS, [base], 0.3, Cancel())


def test_waiting_can_be_interrupted(kube: FakeKube) -> None:
    cancel = Cancel()
    cancel.set("Ctrl-C")
    with pytest.raises(Interrupted):
        delivery(kube).wait(OURS, [CHANGE], 30.0, cancel)


def test_a_quiet_automatic_application_is_ready(kube: FakeKube) -> None:
    assert delivery(kube).ready() == []


@pytest.mark.parametrize(
    ("spec", "more", "why"),
    [
        ({}, {}, "automatic sync is off"),
        ({"syncPolicy": {"automated": {"enabled": False}}}, {}, "automatic sync is off"),
        (None, failed(OLD), "the last sync Failed"),
        (
            None,
            {"conditions": [{"type": "ComparisonError", "message": "no repo"}]},
            "ComparisonError: no repo",
        ),
        (None, {"resources": [{"kind": "Node", "name": "gpu-1"}]}, "manages Nodes"),
        ({"sourceHydrator": {"drySource": {}}, "syncPolicy": {"automated": {}}}, {}, "source hydrator"),
        (
            None,
            {
                "sync": {"status": "OutOfSync", "revision": OLD},
                "resources": [
                    {"kind": "NVIDIADriver", "name": "ring-0", "status": "Synced"},
                    {"kind": "NVIDIADriver", "name": "ring-1", "status": "OutOfSync"},
                    {
                        "kind": "Role",
                        "namespace": "gpu",
                        "name": "x",
                        "status": "OutOfSync",
                        "requiresPruning": True,
                    },
                ],
            },
            "OutOfSync: NVIDIADriver ring-1, Role gpu/x (to be pruned)",
        ),
    ],
)
def test_what_would_hold_back_our_commit_is_named(
    kube: FakeKube, spec: dict[str, Any] | None, more: dict[str, Any], why: str
) -> None:
    application = kube.objects[APPLICATION]
    application["status"] = status(OLD, **more)
    if spec is not None:
        application["spec"] = spec
    (reason,) = delivery(kube).ready()
    assert why in str(reason)


def verdicts(found: Sequence[Finding]) -> list[Verdict]:
    return [finding.verdict for finding in found]


def test_an_application_that_is_being_deleted_or_left_out_by_argo_cd_is_named(kube: FakeKube) -> None:
    kube.objects[APPLICATION]["metadata"]["deletionTimestamp"] = "2026-08-22T03:00:00Z"
    kube.objects[APPLICATION]["metadata"]["annotations"] = {"argocd.argoproj.io/skip-reconcile": "true"}
    assert verdicts(delivery(kube).ready()) == [Verdict.FAIL, Verdict.FAIL]


@pytest.mark.parametrize("sync", [{}, {"status": "Unknown"}])
def test_whether_it_is_synced_must_be_known(kube: FakeKube, sync: dict[str, str]) -> None:
    kube.objects[APPLICATION]["status"]["sync"] = sync
    assert verdicts(delivery(kube).ready()) == [Verdict.INCONCLUSIVE]


def test_an_application_that_we_may_not_read_is_no_no(kube: FakeKube) -> None:
    def forbidden(method: str, where: str) -> None:
        refuse(403, b"{}", f"{method} {where}")

    kube.before.append(forbidden)
    assert verdicts(delivery(kube).ready()) == [Verdict.INCONCLUSIVE]
    assert verdicts(delivery(kube).windows(0.0)) == [Verdict.INCONCLUSIVE]


@pytest.mark.parametrize(
    "mark",
    [
        {
            "annotations": {
                "argocd.argoproj.io/tracking-id": "all:argoproj.io/Application:openshift-gitops/gpu"
            }
        },
        {
            "annotations": {
                "argocd.argoproj.io/tracking-id": "ops_all:argoproj.io/Application:openshift-gitops/gpu"
            }
        },
        {"labels": {"app.kubernetes.io/instance": "all"}},
    ],
)
def test_a_parent_must_be_as_ready_as_the_application_itself(kube: FakeKube, mark: dict[str, Any]) -> None:
    kube.objects[APPLICATION]["metadata"] |= mark
    assert delivery(kube).ready() == []  # a label may mean something else
    parent = {"metadata": {}, "spec": {"syncPolicy": {}}, "status": status(OLD)}
    kube.put(APPLICATION.replace("/gpu", "/all"), parent)
    (reason,) = delivery(kube).ready()
    assert (reason.where, reason.what) == ("Application all", "automatic sync is off")


def test_applications_that_name_each_other_are_looked_at_once(kube: FakeKube) -> None:
    kube.objects[APPLICATION]["metadata"]["labels"] = {"app.kubernetes.io/instance": "all"}
    metadata = {"labels": {"app.kubernetes.io/instance": "gpu"}}
    kube.put(APPLICATION.replace("/gpu", "/all"), {"metadata": metadata, "spec": {}, "status": status(OLD)})
    assert len(delivery(kube).ready()) == 1


def test_the_set_that_made_an_application_must_not_be_in_trouble(kube: FakeKube) -> None:
    kube.objects[APPLICATION]["metadata"]["ownerReferences"] = [{"kind": "ApplicationSet", "name": "all"}]
    condition = {"type": "ErrorOccurred", "status": "True", "message": "no generator"}
    kube.put(
        APPLICATION.replace("applications/gpu", "applicationsets/all"),
        {"status": {"conditions": [condition]}},
    )
    (reason,) = delivery(kube).ready()
    assert "no generator" in str(reason)


def test_a_set_that_made_an_application_and_is_not_there_is_not_in_order(kube: FakeKube) -> None:
    kube.objects[APPLICATION]["metadata"]["ownerReferences"] = [{"kind": "ApplicationSet", "name": "all"}]
    (reason,) = delivery(kube).ready()
    assert (reason.verdict, reason.where) == (Verdict.INCONCLUSIVE, "ApplicationSet all")


DENY = {"kind": "deny", "schedule": "* * * * *", "duration": "1h"}


def test_a_sync_window_would_hold_back_the_undo_too(kube: FakeKube) -> None:
    kube.put(PROJECT, {"spec": {"syncWindows": [{**DENY, "applications": ["g*"]}]}})
    (reason,) = delivery(kube).windows(0.0)
    assert reason.verdict is Verdict.FAIL
    assert "deny window" in str(reason)


def test_a_sync_window_of_other_applications_holds_nothing_back(kube: FakeKube) -> None:
    kube.put(PROJECT, {"spec": {"syncWindows": [{**DENY, "applications": ["*-prod"], "manualSync": True}]}})
    assert delivery(kube).windows(86400.0) == []


def test_a_window_that_cannot_be_read_and_a_project_that_is_not_there_are_not_known(kube: FakeKube) -> None:
    kube.put(PROJECT, {"spec": {"syncWindows": [{**DENY, "applications": ["gpu"], "duration": "1d"}]}})
    assert verdicts(delivery(kube).windows(0.0)) == [Verdict.INCONCLUSIVE]
    del kube.objects[PROJECT]
    assert verdicts(delivery(kube).windows(0.0)) == [Verdict.INCONCLUSIVE]


def test_a_project_is_where_its_argo_cd_says_that_it_runs(kube: FakeKube) -> None:
    kube.objects[APPLICATION]["status"]["controllerNamespace"] = "argocd"
    assert verdicts(delivery(kube).windows(0.0)) == [Verdict.INCONCLUSIVE]
    kube.put(PROJECT.replace("openshift-gitops", "argocd"), {"spec": {}})
    assert delivery(kube).windows(0.0) == []


def test_a_missing_application_is_named(kube: FakeKube) -> None:
    del kube.objects[APPLICATION]
    (reason,) = delivery(kube).ready()
    assert (reason.verdict, reason.where) == (Verdict.FAIL, "Application gpu")


def test_a_look_anew_is_a_comparison_after_our_refresh(kube: FakeKube) -> None:
    kube.objects[APPLICATION]["status"]["reconciledAt"] = "2026-11-30T10:00:00Z"
    with pytest.raises(DeadlineExceeded, match="did not compare gpu anew"):
        delivery(kube).look_anew(0.1, Cancel())

    class Answering(ArgoDelivery):
        def _refresh(self, named: Application) -> None:
            kube.objects[APPLICATION]["metadata"] = {}
            kube.objects[APPLICATION]["status"]["reconciledAt"] = "2026-11-30T10:00:05Z"

    Answering(kube, cluster(), is_ancestor, SystemClock()).look_anew(1.0, Cancel())


def test_a_look_anew_is_none_while_a_refresh_is_still_asked_for(kube: FakeKube) -> None:
    kube.objects[APPLICATION]["metadata"] = {"annotations": {"argocd.argoproj.io/refresh": "normal"}}
    with pytest.raises(DeadlineExceeded):
        delivery(kube).look_anew(0.1, Cancel())
