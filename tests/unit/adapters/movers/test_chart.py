"""A chart that Argo CD brings: done once all that it owns is new, ready and answering, and no earlier."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.adapters.movers.chart_scene import (
    APPLICATION,
    BINDER,
    NEW,
    OLD,
    PLUGIN,
    SPACE,
    Scene,
    moving,
)

from knowngood.adapters.movers.chart_acts import ChartActs
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.model.errors import CouldNot, Refused, UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Limits
from knowngood.model.mover import FleetState, Look, MoverSpec, Moving

IMAGE = f"mirror.example.com/kai/binder:v{NEW}"


def look(scene: Scene, wanted: Moving | None = None) -> Look:
    return scene.charts.look(wanted or moving())


def test_it_is_there_once_the_chart_is_synced_and_each_workload_is_new_and_ready() -> None:
    scene = Scene(OLD)
    assert look(scene).waiting == f"Application argocd/kai-scheduler asks for v{OLD}, not v{NEW}"
    scene.application(NEW, synced=OLD)
    assert look(scene).waiting == f"Application argocd/kai-scheduler is OutOfSync at v{OLD}"
    scene.application(NEW, operationState={"phase": "Running"})
    assert look(scene).waiting == "Application argocd/kai-scheduler is being synced"
    scene.application(NEW)
    for kind, name in (BINDER, PLUGIN):
        scene.workload(kind, name, NEW)
    assert look(scene).done == f"Application argocd/kai-scheduler has {NEW}, and all of it is ready"


def test_a_revision_without_the_v_is_the_same_version() -> None:
    scene = Scene(NEW)
    scene.kube.objects[APPLICATION]["status"]["sync"]["revision"] = NEW
    assert look(scene).done


@pytest.mark.parametrize(
    ("of", "status", "why"),
    [
        (BINDER, {"generation": 2}, "has been changed just now"),
        (BINDER, {"updatedReplicas": 1}, "1 of 2 pods are new"),
        (BINDER, {"replicas": 3}, "1 old pods are still there"),
        (BINDER, {"availableReplicas": 0}, "0 of 2 pods are available"),
        (PLUGIN, {"updatedNumberScheduled": 1}, "1 of 3 pods are new"),
        (
            PLUGIN,
            {"updatedNumberScheduled": 0, "strategy": "OnDelete"},
            "0 of 3 pods are new, and OnDelete replaces none by itself",
        ),
        (PLUGIN, {"numberAvailable": 2}, "2 of 3 pods are available"),
    ],
)
def test_a_workload_that_lags_keeps_it_waiting(of: tuple[str, str], status: Any, why: str) -> None:
    scene = Scene(NEW)
    scene.workload(*of, NEW, **status)
    kind, name = of
    assert look(scene) == Look(waiting=f"{kind} {SPACE}/{name}{' ' if 'changed' in why else ': '}{why}")
    assert scene.charts.state(moving()).running == ""


def test_an_image_that_can_not_be_pulled_is_named() -> None:
    scene = Scene(NEW)
    scene.workload(*BINDER, NEW, availableReplicas=1)
    scene.pod("binder", "ImagePullBackOff", IMAGE)
    assert look(scene).waiting.endswith(f"1 of 2 pods are available; ImagePullBackOff of {IMAGE}")


def test_a_workload_that_is_gone_and_an_application_without_any_show_nothing() -> None:
    scene = Scene(NEW)
    del scene.kube.objects[f"/apis/apps/v1/namespaces/{SPACE}/deployments/binder"]
    assert look(scene).waiting == f"Deployment {SPACE}/binder is not there"
    assert "owns no workload" in look(Scene(NEW, workloads=())).waiting


def test_a_tag_that_the_values_pin_is_no_move() -> None:
    scene = Scene(NEW)
    for kind, name in (BINDER, PLUGIN):
        scene.workload(kind, name, OLD)
    assert f"no image is of {NEW}: mirror.example.com/kai/binder:v{OLD}" in look(scene).waiting


def test_where_images_are_digests_the_charts_label_tells() -> None:
    digest = f"mirror.example.com:5000/kai/binder@sha256:{'0' * 64}"
    scene = Scene(NEW, workloads=(BINDER,))
    scene.workload(*BINDER, NEW, image=digest)
    assert "no image is of" in look(scene).waiting
    scene.workload(*BINDER, NEW, image=digest, labels={"helm.sh/chart": f"kai-scheduler-v{OLD}"})
    assert "no image is of" in look(scene).waiting
    scene.workload(*BINDER, NEW, image=digest, labels={"helm.sh/chart": f"kai-scheduler-v{NEW}"})
    assert look(scene).done


def test_a_webhook_has_no_backend() -> None:
    scene = Scene(NEW)
    scene.webhook(False)
    why = f"has no backend: Service {SPACE}/kai has no ready endpoint"
    assert look(scene).waiting == f"ValidatingWebhookConfiguration kai {why}"
    scene.webhook()
    assert why in look(scene).waiting
    scene.webhook(None)
    assert look(scene).done, "an absent `ready` is to be taken for true"


def test_an_application_that_argo_cd_gave_up_has_failed_and_an_older_try_says_nothing() -> None:
    scene = Scene(OLD)
    stuck = {"phase": "Failed", "message": "a webhook refused it", "syncResult": {"revision": f"v{NEW}"}}
    scene.application(NEW, synced=OLD, operationState=stuck)
    assert look(scene).failed == "Application argocd/kai-scheduler: its sync Failed: a webhook refused it"
    back = moving(OLD, NEW)
    scene.application(OLD, operationState=stuck)
    assert look(scene, back).done, "taken back, the failed try is over"


def test_a_chart_that_can_not_be_fetched_is_waited_for_in_argo_cds_words() -> None:
    scene = Scene(OLD)
    error = {"type": "ComparisonError", "message": "failed to fetch chart"}
    scene.application(NEW, synced=OLD, conditions=[error])
    assert look(scene).waiting == "Application argocd/kai-scheduler: ComparisonError: failed to fetch chart"


def test_what_runs_is_what_is_asked_for_where_all_of_it_runs() -> None:
    scene = Scene(OLD)
    assert scene.charts.state(moving()) == FleetState(OLD, OLD)
    scene.application(NEW, synced=OLD)
    state = scene.charts.state(moving())
    assert (state.declared, state.running, state.busy) == (NEW, "", state.trouble)
    scene.kube.objects.clear()
    assert scene.charts.state(moving()).trouble == "there is no Application argocd/kai-scheduler"
    assert look(scene).waiting == "there is no Application argocd/kai-scheduler"


def test_what_no_application_declares_is_refused() -> None:
    stranger = Moving("kai-scheduler", OLD, NEW, MoverSpec("chart"), ObjectRef("v1", "ConfigMap", "x"))
    with pytest.raises(UsageError, match=r"by ConfigMap x, not by the spec\.source\.targetRevision"):
        look(Scene(), stranger)


def test_by_hand_it_is_followed_forth_and_back() -> None:
    task = FleetTask(Scene(NEW).kube, "me/0", Limits(operand_age=0.0))
    assert ChartActs().start(task, moving()).endswith("all of it is ready")
    with pytest.raises(CouldNot, match=f"asks for v{NEW}, not v{OLD}"):
        ChartActs().back(task, moving(OLD, NEW))
    scene = Scene(OLD)
    stuck = {"phase": "Error", "message": "no", "syncResult": {"revision": f"v{NEW}"}}
    scene.application(NEW, synced=OLD, operationState=stuck)
    with pytest.raises(Refused, match="its sync Error: no"):
        ChartActs().start(FleetTask(scene.kube, "me/0"), moving())


def test_an_application_or_a_workload_that_is_being_deleted_is_not_there() -> None:
    scene = Scene(NEW)
    assert look(scene).done
    binder = next(where for where in scene.kube.objects if where.endswith(f"deployments/{BINDER[1]}"))
    for where in (binder, APPLICATION):
        scene.kube.objects[where]["metadata"]["deletionTimestamp"] = "2026-12-01T00:00:00Z"
        assert "is being deleted" in look(scene).waiting


def test_a_chart_of_which_no_pod_is_wanted_shows_nothing() -> None:
    """One that is scaled to none may be meant so; all of them say nothing of what runs."""
    scene = Scene(NEW)
    none: dict[str, Any] = {"desiredNumberScheduled": 0, "updatedNumberScheduled": 0, "numberAvailable": 0}
    scene.workload(*PLUGIN, NEW, **none)
    assert look(scene).done
    binder = next(where for where in scene.kube.objects if where.endswith(f"deployments/{BINDER[1]}"))
    scene.kube.objects[binder]["spec"]["replicas"] = 0
    assert "wants a pod" in look(scene).waiting
