"""The Job that probes a node: where it runs, what it takes, and each need of its image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knowngood.adapters.judging.probe_manifest import group_name, is_of, job_name, manifest
from knowngood.adapters.judging.probe_pod import HOST
from knowngood.model.probe_pod import PodNeeds, PodSite, PodStorage
from knowngood.probe import files, rdma, training
from knowngood.probe.host import Host

from .ordering import order


def pod(**changes: Any) -> Any:
    return manifest(order(**changes), "gpu-1")["spec"]["template"]


def container(**changes: Any) -> Any:
    (found,) = pod(**changes)["spec"]["containers"]
    return found


def test_the_job_can_run_on_its_node_only_and_reads_only() -> None:
    job = manifest(order(), "gpu-1")
    spec = job["spec"]["template"]["spec"]
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
    assert spec["automountServiceAccountToken"] is False
    assert container()["command"][:6] == ["python", "-m", "knowngood.probe", "run", "rdma", "training"]
    assert job["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "knowngood"
    assert job["metadata"]["labels"]["knowngood.dev/run"] == "r1"


@pytest.mark.parametrize("root", ["/run/nvidia/driver", "/"])
def test_three_folders_of_the_host_are_mounted_read_only_with_all_below_them(root: str) -> None:
    site = PodSite(driver_root=root)
    volumes = {v["name"]: v["hostPath"]["path"] for v in pod(site=site)["spec"]["volumes"] if "hostPath" in v}
    mounts = [m for m in container(site=site)["volumeMounts"] if m["name"] in volumes]
    assert sorted(volumes.values()) == sorted(["/proc", "/sys", f"{root}/usr".replace("//", "/")])
    assert {m["mountPath"] for m in mounts} == {HOST + path for path in volumes.values()}
    assert all(m["readOnly"] is True and m["recursiveReadOnly"] == "IfPossible" for m in mounts)


def test_payloads_read_nothing_of_the_host_that_is_not_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the node's name is not given it would be read from /etc; the Job gives it."""
    read: list[str] = []
    (tmp_path / "sys/module/nvidia").mkdir(parents=True)

    def noted(_root: Path, path: str, *_: object) -> Any:
        read.append(f"/{path}")
        raise FileNotFoundError

    monkeypatch.setattr(files, "read", noted)
    monkeypatch.setattr(files, "names", noted)
    host = Host(tmp_path)
    rdma.run(host, {})
    training.run(host, {"gpus": 1})
    host.boot_id()
    host.uptime()
    mounted = {v["hostPath"]["path"] for v in pod()["spec"]["volumes"] if "hostPath" in v} | {"/usr"}
    assert read
    assert [path for path in read if not any(path.startswith(f"{folder}/") for folder in mounted)] == []
    assert {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}} in container()[
        "env"
    ]


def test_it_can_write_where_its_libraries_write_though_its_root_is_read_only() -> None:
    volumes = {v["name"]: v.get("emptyDir") for v in pod()["spec"]["volumes"]}
    places = {
        m["mountPath"]: volumes[m["name"]] for m in container()["volumeMounts"] if not m.get("readOnly")
    }
    assert places == {
        "/tmp": {"sizeLimit": "6144Mi"},  # noqa: S108
        "/dev/shm": {"medium": "Memory", "sizeLimit": "5120Mi"},  # noqa: S108
    }
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    env = {e["name"]: e.get("value") for e in container()["env"]}
    assert (env["TMPDIR"], env["HOME"]) == ("/tmp", "/tmp")  # noqa: S108


def test_its_memory_is_bounded_and_holds_dev_shm() -> None:
    """What lies in a volume of medium Memory counts as the container's."""
    for gpus in (0, 1, 8):
        found = container(gpus=gpus)["resources"]
        assert found["requests"]["memory"] == found["limits"]["memory"]
        shm = next(v["emptyDir"] for v in pod(gpus=gpus)["spec"]["volumes"] if v["name"] == "shm")
        assert int(shm["sizeLimit"].removesuffix("Mi")) < int(found["limits"]["memory"].removesuffix("Mi"))


@pytest.mark.parametrize(
    ("needs", "gpus", "devices"),
    [
        (PodNeeds(), 8, {"nvidia.com/gpu": "8"}),
        (PodNeeds(), 0, {}),
        (PodNeeds(resources={"nvidia.com/mig-3g.71gb": 16}), 8, {"nvidia.com/mig-3g.71gb": "16"}),
        (PodNeeds(resources={"nvidia.com/gpu.shared": 4}), 1, {"nvidia.com/gpu.shared": "4"}),
        (PodNeeds(rdma={"rdma/shared_a": 1}), 2, {"nvidia.com/gpu": "2", "rdma/shared_a": "1"}),
        (PodNeeds(rdma={"rdma/shared_a": 1}), 0, {}),
    ],
)
def test_devices_are_asked_for_by_the_profiles_names_and_only_to_compute(
    needs: PodNeeds, gpus: int, devices: dict[str, str]
) -> None:
    found = container(needs=needs, gpus=gpus)["resources"]
    for kind in ("requests", "limits"):
        assert {k: v for k, v in found[kind].items() if "/" in k} == devices


def test_devices_by_claim_are_claimed_and_not_asked_of_a_device_plugin() -> None:
    needs = PodNeeds(claims=("all-gpus",), rdma={"rdma/shared_a": 1})
    assert pod(needs=needs)["spec"]["resourceClaims"] == [
        {"name": "all-gpus", "resourceClaimTemplateName": "all-gpus"}
    ]
    found = container(needs=needs)["resources"]
    assert found["claims"] == [{"name": "all-gpus"}]
    assert {name for name in found["limits"] if "/" in name} == {"rdma/shared_a"}
    assert "resourceClaims" not in pod(needs=needs, gpus=0)["spec"]


def test_rdma_memory_needs_a_capability_and_networks_their_annotation() -> None:
    needs = PodNeeds(rdma={"openshift.io/mlx5": 2}, networks=("fabric/rail-1", "fabric/rail-2"))
    assert container(needs=needs)["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["IPC_LOCK"]}
    told = pod(needs=needs)["metadata"]["annotations"]
    assert told["k8s.v1.cni.cncf.io/networks"] == "fabric/rail-1, fabric/rail-2"
    assert told["knowngood.dev/probed-node"] == "gpu-1"
    assert "add" not in container()["securityContext"]["capabilities"]
    assert "k8s.v1.cni.cncf.io/networks" not in pod()["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("payloads", "deadline", "each"),
    [(("training",), 1080.0, 810), (("rdma", "training"), 1080.0, 405), (("rdma",), 0.3, 1)],
)
def test_each_payload_has_its_share_of_the_time_and_the_rest_is_for_the_image(
    payloads: tuple[str, ...], deadline: float, each: int
) -> None:
    command = container(payloads=payloads, deadline=deadline)["command"]
    assert command[command.index("--deadline") + 1] == str(each)


def test_a_site_lets_it_in_by_its_own_rules() -> None:
    taint = {"key": "example.com/only", "operator": "Exists", "effect": "NoExecute"}
    site = PodSite(
        tolerations=(taint,),
        pull_secrets=("mirror",),
        labels={"kueue.x-k8s.io/queue-name": "probes", "knowngood.dev/run": "another"},
        scheduler="kai-scheduler",
        priority_class="probes",
        runtime_class="nvidia",
    )
    job = manifest(order(site=site), "gpu-1")
    spec = job["spec"]["template"]["spec"]
    assert taint in spec["tolerations"]
    assert len(spec["tolerations"]) == 5
    assert spec["imagePullSecrets"] == [{"name": "mirror"}]
    assert (spec["schedulerName"], spec["priorityClassName"], spec["runtimeClassName"]) == (
        "kai-scheduler",
        "probes",
        "nvidia",
    )
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert (labels["kueue.x-k8s.io/queue-name"], labels["knowngood.dev/run"]) == ("probes", "r1")
    assert not {"schedulerName", "runtimeClassName", "imagePullSecrets"} & pod()["spec"].keys()


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


def test_a_checkpoint_goes_to_a_volume_of_the_tenants_storage_class_that_goes_with_the_pod() -> None:
    asked = {"storage": PodStorage("powerscale", 20)}
    (volume,) = [v for v in pod(**asked)["spec"]["volumes"] if "ephemeral" in v]
    (mount,) = [m for m in container(**asked)["volumeMounts"] if m["name"] == volume["name"]]
    assert mount == {"name": "checkpoints", "mountPath": "/checkpoints"}
    assert volume["ephemeral"]["volumeClaimTemplate"]["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "powerscale",
        "resources": {"requests": {"storage": "20Gi"}},
    }
    assert not [v for v in pod()["spec"]["volumes"] if "ephemeral" in v]
    assert "checkpoints" not in {m["name"] for m in container()["volumeMounts"]}
