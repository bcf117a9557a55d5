"""The synthetic load is a Job a node below every tenant's priority, which nothing of ours outlives."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.judging.probe_manifest import NODE_ANNOTATION, PROBE_LABEL, group_name
from knowngood.adapters.judging.smoke_load import NAME, PRIORITY, SHARE_ANNOTATION, KubeLoad, job
from knowngood.model import names
from knowngood.model.probe_pod import PodSite
from knowngood.planner.gpu_work import Load
from knowngood.ports.cancel import Cancel

NAMESPACE = f"/api/v1/namespaces/{names.NAMESPACE}"
JOBS = f"/apis/batch/v1/namespaces/{names.NAMESPACE}/jobs"


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube.put(NAMESPACE, {"metadata": {"name": names.NAMESPACE}})
    return kube


def pod(kube: FakeKube, node: str, phase: str, ready: bool = True, gpus: int = 8) -> None:
    labels = {PROBE_LABEL: group_name("run-1", NAME)}
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    spec: dict[str, Any] = {"nodeName": node, "containers": [{"name": "load", "resources": resources}]}
    kube.put(
        f"{NAMESPACE}/pods/load-{node}",
        {
            "metadata": {
                "name": f"load-{node}",
                "labels": labels,
                "annotations": {NODE_ANNOTATION: node, SHARE_ANNOTATION: str(gpus)},
            },
            "spec": spec,
            "status": {"phase": phase, "conditions": conditions},
        },
    )


def test_it_gives_way_to_everybody_and_tolerates_nothing_of_ours() -> None:
    spec = job("run-1", "gpu-1", Load("nvidia.com/gpu", 3), 90.5, "mirror/probe@sha256:1")["spec"]
    template = spec["template"]["spec"]
    assert template["priorityClassName"] == PRIORITY
    assert [t["key"] for t in template["tolerations"]] == ["nvidia.com/gpu"]
    assert "nodeName" not in template
    assert all("emptyDir" in volume for volume in template["volumes"])
    assert template["containers"][0]["command"][-2:] == ["--seconds", "91"]
    assert template["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "3"}
    assert spec["activeDeadlineSeconds"] == 151


def test_what_is_there_already_stays(kube: FakeKube) -> None:
    load = KubeLoad(kube, "image")
    load.start("run-1", {"gpu-1": 8}, 60.0)
    load.start("run-1", {"gpu-1": 8, "gpu-2": 4}, 60.0)
    assert len(kube.list(JOBS)) == 2


def test_only_pods_that_run_and_are_ready_compute(kube: FakeKube) -> None:
    pod(kube, "gpu-1", "Running")
    pod(kube, "gpu-2", "Running", ready=False)
    pod(kube, "gpu-3", "Pending")
    assert KubeLoad(kube, "").working("run-1") == {"gpu-1": 8}
    assert KubeLoad(kube, "").working("run-2") == {}


def test_it_is_said_why_there_is_no_load(kube: FakeKube) -> None:
    load = KubeLoad(kube, "")
    load.start("run-1", {"gpu-1": 8, "gpu-2": 8, "gpu-3": 8}, 60.0)
    pod(kube, "gpu-1", "Running")
    pod(kube, "gpu-2", "Failed")
    told = load.trouble("run-1")
    assert set(told) == {"gpu-2", "gpu-3"}
    assert "failed" in told["gpu-2"]
    assert "Kubernetes made no pod" in told["gpu-3"]


def test_its_deletion_is_verified(kube: FakeKube) -> None:
    load = KubeLoad(kube, "")
    load.start("run-1", {"gpu-1": 8}, 60.0)
    load.start("run-2", {"gpu-1": 8}, 60.0)
    assert load.clear("run-1", Cancel()) == ""
    assert [j["metadata"]["labels"][names.RUN_LABEL] for j in kube.list(JOBS)] == ["run-2"]


def test_it_writes_where_the_image_writes_and_comes_in_as_the_site_wants() -> None:
    taint = {"key": "example.com/only", "operator": "Exists"}
    site = PodSite(
        tolerations=(taint,), pull_secrets=("mirror",), priority_class="high", labels={"queue": "q"}
    )
    made = job("run-1", "gpu-1", Load("nvidia.com/gpu", 8), 60.0, "x", site)
    spec = made["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert {m["mountPath"] for m in container["volumeMounts"]} == {"/tmp", "/dev/shm"}  # noqa: S108
    assert all("emptyDir" in volume for volume in spec["volumes"]), "and it reads nothing of the host"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert taint in spec["tolerations"]
    assert spec["imagePullSecrets"] == [{"name": "mirror"}]
    assert spec["priorityClassName"] == PRIORITY, "below all tenants, whatever the site's probes have"
    assert made["metadata"]["labels"]["queue"] == "q"


def test_a_parted_node_is_loaded_by_a_pod_for_each_mig_device(kube: FakeKube) -> None:
    """A process sees one MIG device, and a node all in slices has no whole GPU to give."""
    status = {"allocatable": {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.18gb": "56"}}
    kube.put("/api/v1/nodes/gpu-1", {"metadata": {"name": "gpu-1", "labels": {}}, "status": status})
    KubeLoad(kube, "image").start("run-1", {"gpu-1": 2}, 60.0)
    (made,) = kube.list(JOBS)
    assert (made["spec"]["parallelism"], made["spec"]["completions"]) == (14, 14)
    template = made["spec"]["template"]
    assert template["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/mig-1g.18gb": "1"}
    assert float(template["metadata"]["annotations"][SHARE_ANNOTATION]) == pytest.approx(1 / 7, abs=1e-4)
