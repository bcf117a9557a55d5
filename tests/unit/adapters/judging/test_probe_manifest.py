"""The Job that probes a node."""

from __future__ import annotations

import pytest

from knowngood.adapters.judging.probe_manifest import group_name, is_of, job_name, manifest

from .ordering import order


def test_the_job_can_run_on_its_node_only_and_reads_only() -> None:
    job = manifest(order(), "gpu-1")
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert (job["spec"].get("completions", 1), job["spec"]["backoffLimit"]) == (1, 0)
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert "nodeName" not in spec
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-1"]}]}
    assert {t["key"] for t in spec["tolerations"]} == {
        "node.kubernetes.io/unschedulable",
        "knowngood.dev/maintenance",
        "knowngood.dev/quarantine",
        "nvidia.com/gpu",
    }
    assert container["volumeMounts"] == [{"name": "host", "mountPath": "/host", "readOnly": True}]
    assert spec["automountServiceAccountToken"] is False
    assert container["command"][:6] == ["python", "-m", "knowngood.probe", "run", "rdma", "training"]
    assert job["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "knowngood"
    assert job["metadata"]["labels"]["knowngood.dev/run"] == "r1"


@pytest.mark.parametrize(("gpus", "asked"), [(8, {"nvidia.com/gpu": "8"}), (0, None)])
def test_gpus_are_asked_for_only_by_payloads_that_compute(gpus: int, asked: object) -> None:
    container = manifest(order(gpus=gpus), "gpu-1")["spec"]["template"]["spec"]["containers"][0]
    assert container.get("resources", {}).get("limits") == asked


def test_the_same_judgement_has_the_same_jobs_and_another_one_others() -> None:
    name = job_name(order().group, "gpu-1")
    assert name == job_name(order(nodes=("gpu-1",)).group, "gpu-1")
    others = [
        job_name(order().group, "gpu-2"),
        job_name(order(name="hop-1/ring-1/judge").group, "gpu-1"),
        job_name(order(run="r2").group, "gpu-1"),
    ]
    assert name not in others
    assert is_of(order().group, name)
    assert not is_of(group_name("r2", "judge"), name)
    assert len(job_name(order().group, "n" * 253)) <= 63
