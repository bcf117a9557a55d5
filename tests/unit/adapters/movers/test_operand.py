"""A version in a custom resource: there once each workload carries it and has rolled, whatever the resource says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.movers import EVERY
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.planner.matrices import cluster

from knowngood.adapters.movers import rollout
from knowngood.adapters.movers.operand import Operands
from knowngood.matrix.build import DEFAULT_NAMESPACES
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.mover import FleetState, Moving

OLD, NEW = "1.3.0", "1.3.1"
NIC = "nic-configuration-operator"
AT = ObjectRef("mellanox.com/v1alpha1", "NicClusterPolicy", "nic-policy")
GROUP = "/apis/mellanox.com/v1alpha1"
SPACE = "/apis/apps/v1/namespaces/nvidia-network-operator"
FORTH, BACK = Moving(NIC, OLD, NEW, EVERY[NIC], AT), Moving(NIC, NEW, OLD, EVERY[NIC], AT)


class Scene:
    """The policy and its two workloads, at the old version."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        kinds = [{"name": "nicclusterpolicies", "kind": "NicClusterPolicy", "namespaced": False}]
        self.kube.objects[GROUP] = {"resources": kinds}
        self.of = Operands(self.kube, replace(cluster(), namespaces=DEFAULT_NAMESPACES))
        self.policy(OLD)
        self.workloads(OLD)

    def policy(self, version: str, daemon: str = "", **status: Any) -> None:
        parts = {"operator": version, "configurationDaemon": daemon or version}
        section = {name: {"version": f"v{text}"} for name, text in parts.items()}
        one = {
            "kind": "NicClusterPolicy",
            "spec": {"nicConfigurationOperator": section},
            "status": {"state": "ready", **status},
        }
        self.kube.put(f"{GROUP}/nicclusterpolicies/nic-policy", one)

    def workloads(self, version: str, image: str = "") -> None:
        counts = {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}
        rolled = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
        for kind, name, container, status in (
            ("deployments", NIC, "manager", counts),
            ("daemonsets", "nic-configuration-daemon", "nic-configuration-daemon", rolled),
        ):
            containers = [{"name": container, "image": image or f"mirror/{name}:v{version}"}]
            self.kube.put(
                f"{SPACE}/{kind}/{name}",
                {
                    "metadata": {"namespace": "nvidia-network-operator", "generation": 1},
                    "spec": {"template": {"spec": {"containers": containers}}},
                    "status": {"observedGeneration": 1, **status},
                },
            )


def test_it_is_there_once_each_workload_carries_it_though_the_policy_was_ready_all_the_time() -> None:
    scene = Scene()
    assert (list(scene.of.ready(FORTH, undo=False)), list(scene.of.ready(BACK, undo=True))) == ([], [])
    assert "operator.version v1.3.0, not v1.3.1" in scene.of.look(FORTH).waiting
    scene.policy(NEW)
    assert f"Deployment nvidia-network-operator/{NIC} has mirror/{NIC}:v1.3.0" in scene.of.look(FORTH).waiting
    assert scene.of.state(FORTH).running == ""
    scene.workloads(NEW)
    assert scene.of.look(FORTH).done == "2 workloads run 1.3.1"
    assert scene.of.state(FORTH) == FleetState(NEW, NEW)


def test_a_field_that_lags_behind_the_other_is_named() -> None:
    scene = Scene()
    scene.policy(NEW, daemon=OLD)
    assert "configurationDaemon.version v1.3.0, not v1.3.1" in scene.of.look(FORTH).waiting
    assert "no version" in scene.of.state(FORTH).trouble


def test_what_its_operator_says_against_it_is_told_beside() -> None:
    scene = Scene()
    scene.policy(NEW, conditions=[{"type": "Error", "status": "True", "reason": "No", "message": "not so"}])
    assert scene.of.look(FORTH).waiting.endswith("NicClusterPolicy: No: not so")


def test_what_does_not_run_whole_is_not_moved() -> None:
    scene = Scene()
    del scene.kube.objects[f"{SPACE}/daemonsets/nic-configuration-daemon"]
    (found,) = scene.of.ready(FORTH, undo=False)
    assert (
        "does not run whole: DaemonSet nvidia-network-operator/nic-configuration-daemon is not there"
        in found.what
    )
    del scene.kube.objects[f"{GROUP}/nicclusterpolicies/nic-policy"]
    (found,) = scene.of.ready(FORTH, undo=False)
    assert found.what == "there is none on this cluster"
    assert scene.of.look(FORTH).waiting == scene.of.state(FORTH).trouble == f"there is no {AT}"


def test_what_no_object_of_its_kinds_declares_is_refused() -> None:
    stranger = replace(FORTH, declared_by=ObjectRef("v1", "ConfigMap", "x"))
    with pytest.raises(UsageError, match="by ConfigMap x, not by NicClusterPolicy"):
        Scene().of.look(stranger)


@pytest.mark.parametrize(
    ("image", "version", "is_it"),
    [
        ("m/x:v1.3.1", "1.3.1", True),
        ("m/x:4.6.0-4.8.3-distroless", "4.6.0-4.8.3", True),
        ("m:5000/x:v1.3.10", "1.3.1", False),
        ("m:5000/x", "1.3.1", False),
        (f"m:5000/x@sha256:{'1' * 64}", "1.3.1", False),
        ("", "1.3.1", False),
    ],
)
def test_only_a_tag_tells_a_version(image: str, version: str, is_it: bool) -> None:
    assert rollout.is_of(image, version) is is_it


DAEMON = f"{SPACE}/daemonsets/nic-configuration-daemon"
GOING = {"deletionTimestamp": "2026-12-01T00:00:00Z"}


@pytest.mark.parametrize(
    "which", [DAEMON, f"{SPACE}/deployments/{NIC}", f"{GROUP}/nicclusterpolicies/nic-policy"]
)
def test_what_is_being_deleted_is_not_there_whatever_its_status_says(which: str) -> None:
    scene = Scene()
    scene.policy(NEW)
    scene.workloads(NEW)
    assert scene.of.look(FORTH).done
    scene.kube.objects[which].setdefault("metadata", {}).update(GOING)
    assert "is being deleted" in scene.of.look(FORTH).waiting
    assert scene.of.state(FORTH).running == ""


def test_a_workload_that_wants_no_pod_shows_nothing() -> None:
    """Scaled to none, or of no node any more: all of its counts are right, and its operator is dead."""
    scene = Scene()
    scene.policy(NEW)
    scene.workloads(NEW)
    scene.kube.objects[DAEMON]["status"] = {"observedGeneration": 1, "desiredNumberScheduled": 0}
    assert "nic-configuration-daemon wants no pod" in scene.of.look(FORTH).waiting
    scene.workloads(NEW)
    of_operator = scene.kube.objects[f"{SPACE}/deployments/{NIC}"]
    of_operator["spec"]["replicas"], of_operator["status"] = 0, {"observedGeneration": 1}
    assert f"{NIC} wants no pod" in scene.of.look(FORTH).waiting
