"""The probe Job: what is asked of Kubernetes, how its answers are read, and that it is gone afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from knowngood.adapters import probe_job
from knowngood.adapters.kube import ApiError, Kube, Object
from knowngood.adapters.probe_job import Order, manifest
from knowngood.model.errors import Inconclusive, Unreachable
from knowngood.ports.clock import Cancel


def order(**changes: Any) -> Order:
    values: dict[str, Any] = {
        "run": "r1",
        "name": "hop-1/ring-0/judge",
        "nodes": ("gpu-1", "gpu-2"),
        "payloads": ("rdma", "training"),
        "params": {"gpus": 8},
        "image": "registry.example.com/probe@sha256:0",
        "gpus": 8,
        "deadline": 0.3,
    }
    return Order(**{**values, **changes})


def answer(node: str) -> str:
    return (
        "a warning\n" + json.dumps({"schema": 1, "node": node, "bootId": "b", "results": {"rdma": {}}}) + "\n"
    )


def pod(node: str, phase: str = "Succeeded", **status: Any) -> Object:
    return {
        "metadata": {"name": f"probe-{node}"},
        "spec": {"nodeName": node},
        "status": {"phase": phase, **status},
    }


class FakeKube(Kube):
    """An API server that runs Jobs at once: the pods it is told, until the Job is deleted."""

    def __init__(self, pods: list[Object], log: Callable[[str], str] = answer) -> None:
        self.pods = pods
        self.log = log
        self.job: Object | None = None
        self.deleted: list[str] = []
        self.sticky = False
        self.refusal: ApiError | None = None

    def find(self, where: str) -> Object | None:
        return self.job

    def list(self, where: str, labels: str = "", fields: str = "") -> list[Object]:
        return self.pods if self.job else []

    def create(self, where: str, body: Object, **query: str) -> Object:
        if self.refusal:
            raise self.refusal
        self.job = {**body, "metadata": {**body["metadata"], "uid": "u1"}}
        return self.job

    def delete(self, where: str, uid: str = "", grace: int | None = None) -> bool:
        self.deleted.append(uid)
        if not self.sticky:
            self.job = None
        return True

    def text(self, where: str, *, busy: float | None = None, **query: str) -> str:
        return self.log(where.split("/pods/probe-")[1].split("/", maxsplit=1)[0])


def run(kube: FakeKube, **changes: Any) -> probe_job.Answers:
    return probe_job.run(kube, order(**changes), Cancel())


def test_every_nodes_document_is_read_and_the_job_is_gone() -> None:
    kube = FakeKube([pod("gpu-1"), pod("gpu-2")])
    answers = run(kube)
    assert (set(answers.documents), answers.missing, answers.leftover) == ({"gpu-1", "gpu-2"}, {}, "")
    assert (kube.job, kube.deleted) == (None, ["u1"])


def test_a_pod_that_failed_or_never_ran_says_why() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    unplaced: Object = {
        "metadata": {"name": "probe-x"},
        "spec": {},
        "status": {
            "phase": "Pending",
            "conditions": [{"status": "False", "message": "Insufficient nvidia.com/gpu"}],
        },
    }
    kube = FakeKube([pod("gpu-1", "Pending", containerStatuses=[waiting]), unplaced])
    answers = run(kube)
    assert "ImagePullBackOff: no such image" in answers.missing["gpu-1"]
    assert "Insufficient nvidia.com/gpu" in answers.missing["gpu-2"]
    assert answers.documents == {}
    assert kube.job is None


@pytest.mark.parametrize(
    "log",
    [
        lambda _node: "",
        lambda _node: "Traceback\nImportError",
        lambda _node: answer("gpu-9"),
        lambda _node: '{"schema": 2, "node": "gpu-1", "results": {}}',
        lambda _node: '{"schema": 1, "node": "gpu-1", "results": []}',
    ],
    ids=["nothing", "a traceback", "another node's", "another schema", "no results"],
)
def test_a_log_without_this_nodes_document_is_no_answer(log: Callable[[str], str]) -> None:
    answers = run(FakeKube([pod("gpu-1")], log), nodes=("gpu-1",))
    assert answers.documents == {}
    assert "can't be read" in answers.missing["gpu-1"]


def test_logs_that_cannot_be_fetched_are_no_answer() -> None:
    def broken(_node: str) -> str:
        raise Unreachable("the kubelet is silent")

    assert "silent" in run(FakeKube([pod("gpu-1")], broken), nodes=("gpu-1",)).missing["gpu-1"]


def test_what_a_killed_run_left_is_deleted_first() -> None:
    kube = FakeKube([])
    kube.job = {"metadata": {"uid": "old"}}
    run(kube)
    assert kube.deleted[0] == "old"


def test_a_job_that_does_not_go_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_job, "DELETED_WITHIN", 0.2)
    kube = FakeKube([pod("gpu-1"), pod("gpu-2")])
    kube.sticky = True
    assert "not within" in run(kube).leftover
    with pytest.raises(Inconclusive, match="older probe Job"):
        run(kube)


def test_a_missing_namespace_is_said_with_the_way_out() -> None:
    kube = FakeKube([])
    kube.refusal = ApiError(404, "NotFound", "no namespace", "POST")
    with pytest.raises(Inconclusive) as raised:
        run(kube)
    assert "kubectl apply" in raised.value.hint


def test_the_job_is_spread_by_kubernetes_and_reads_only() -> None:
    job = manifest(order())
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert (job["spec"]["completionMode"], job["spec"]["completions"], job["spec"]["backoffLimit"]) == (
        "Indexed",
        2,
        0,
    )
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert "nodeName" not in spec
    hosts = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert hosts["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] == ["gpu-1", "gpu-2"]
    assert spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
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
    container = manifest(order(gpus=gpus))["spec"]["template"]["spec"]["containers"][0]
    assert container.get("resources", {}).get("limits") == asked


def test_the_same_judgement_has_the_same_job_and_another_one_another() -> None:
    assert order().job == order(nodes=("gpu-3",)).job
    assert order().job != order(name="hop-1/ring-1/judge").job
    assert order().job != order(run="r2").job
    assert len(order().job) <= 63
