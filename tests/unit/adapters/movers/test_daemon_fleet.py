"""The driver that one object declares for all nodes: there once every DaemonSet that has a node carries it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.movers import DRIVER
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.engine.scene import a_cluster

from knowngood.adapters.movers.fleet_work import KubeFleet
from knowngood.model.errors import UsageError
from knowngood.model.mover import Look, MoverSpec, Moving
from knowngood.ports.cancel import Cancel

OLD, NEW = "580.173.02", "595.91.07"
LABEL = {"app.kubernetes.io/component": "nvidia-driver"}
MOVING = Moving("nvidia-driver", OLD, NEW, DRIVER)


def daemon_set(kube: FakeKube, name: str, version: str, nodes: int) -> None:
    containers = [{"name": "nvidia-driver-ctr", "image": f"mirror/driver:{version}-rhcos4.18"}]
    template = {"metadata": {"labels": LABEL}, "spec": {"containers": containers}}
    where = f"/apis/apps/v1/namespaces/nvidia-gpu-operator/daemonsets/{name}"
    kube.put(where, {"spec": {"template": template}, "status": {"desiredNumberScheduled": nodes}})


def look(kube: FakeKube) -> Look:
    return KubeFleet(kube, a_cluster()).look(MOVING)


def test_it_is_there_once_every_daemon_set_with_a_node_carries_it() -> None:
    kube = FakeKube()
    daemon_set(kube, "driver-a", NEW, 2)
    daemon_set(kube, "driver-b", OLD, 1)
    daemon_set(kube, "driver-of-no-node", OLD, 0)
    assert look(kube).waiting == f"DaemonSet driver-b has mirror/driver:{OLD}-rhcos4.18"
    daemon_set(kube, "driver-b", NEW, 1)
    assert look(kube).done == "2 DaemonSets carry it"


def test_a_setting_shows_in_no_image_and_is_there_when_its_daemon_set_is_observed() -> None:
    kube = FakeKube()
    daemon_set(kube, "driver-a", OLD, 2)
    beside = replace(DRIVER, beside="nvidia-driver")
    setting = Moving("kernel-module-type", "proprietary", "open", beside)
    assert KubeFleet(kube, a_cluster()).look(setting).done
    where = "/apis/apps/v1/namespaces/nvidia-gpu-operator/daemonsets/driver-a"
    kube.objects[where]["metadata"]["generation"] = 2
    assert "changed just now" in KubeFleet(kube, a_cluster()).look(setting).waiting


def test_without_a_daemon_set_it_is_not_there() -> None:
    kube = FakeKube()
    daemon_set(kube, "driver-of-no-node", NEW, 0)
    assert look(kube).waiting.startswith("no DaemonSet")


def test_there_is_nothing_to_approve_and_a_class_that_nobody_knows_is_refused() -> None:
    fleet = KubeFleet(FakeKube(), a_cluster())
    assert fleet.start(MOVING, "run-1/hop-1/forward", Cancel()) == ""
    assert fleet.back(MOVING, "run-1/hop-1/undo", Cancel()) == ""
    with pytest.raises(UsageError, match="'unheard-of' of nvidia-driver"):
        fleet.look(Moving("nvidia-driver", OLD, NEW, MoverSpec("unheard-of")))


def test_a_daemon_set_that_is_being_deleted_carries_nothing() -> None:
    kube = FakeKube()
    daemon_set(kube, "driver-a", NEW, 2)
    where = "/apis/apps/v1/namespaces/nvidia-gpu-operator/daemonsets/driver-a"
    kube.objects[where]["metadata"]["deletionTimestamp"] = "2026-12-01T00:00:00Z"
    assert look(kube).waiting == "DaemonSet driver-a is being deleted"
