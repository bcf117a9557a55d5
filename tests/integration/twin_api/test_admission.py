"""What a pod must pass to come into being: an account, its namespace's PodSecurity level and quotas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from knowngood.matrix.locate import matrix_dir
from knowngood.matrix.manifest import manifest
from knowngood.planner.runner_job import filled

from .conftest import Object, Twin

PodMaker = Callable[..., Object]
SAFE: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def enforce(twin: Twin, namespace: str, level: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    assert twin.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}}).status == 200


def test_a_pod_of_an_unknown_account_is_403(twin: Twin, namespace: str, pods: str, pod: PodMaker) -> None:
    body = pod("p", serviceAccountName="nobody")
    refused = twin.http("POST", pods, body)
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"] == (
        f'pods "p" is forbidden: error looking up service account {namespace}/nobody: '
        'serviceaccount "nobody" not found'
    )
    twin.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "nobody"}})
    twin.create(pods, body)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"hostPID": True, "hostNetwork": True}, "host namespaces (hostNetwork=true, hostPID=true)"),
        ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, 'hostPath volumes (volume "host")'),
    ],
)
def test_a_pod_against_its_namespaces_level_is_403(
    twin: Twin, namespace: str, pods: str, pod: PodMaker, spec: Object, words: str
) -> None:
    enforce(twin, namespace, "baseline")
    refused = twin.http("POST", pods, pod("p", **spec))
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    assert f'violates PodSecurity "baseline:latest": {words}' in refused.body["message"]
    twin.create(pods, pod("plain"))
    enforce(twin, namespace, "privileged")
    twin.create(pods, pod("p", **spec))


@pytest.mark.parametrize("left_out", ["", *SAFE])
def test_the_strictest_level_wants_each_of_its_promises(
    twin: Twin, namespace: str, pods: str, pod: PodMaker, left_out: str
) -> None:
    enforce(twin, namespace, "restricted")
    body = pod("p")
    body["spec"]["containers"][0]["securityContext"] = {k: v for k, v in SAFE.items() if k != left_out}
    answer = twin.http("POST", pods, body)
    assert answer.status == (403 if left_out else 201), answer.body
    if left_out:
        assert left_out in answer.body["message"]


def quota(twin: Twin, namespace: str, **hard: Any) -> str:
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    twin.create(path, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
    return f"{path}/q"


def asking(pod: PodMaker, name: str, **resources: str) -> Object:
    body = pod(name)
    body["spec"]["containers"][0]["resources"] = {"limits": resources, "requests": resources}
    return body


def test_a_pod_that_a_quota_has_no_room_for_is_403(
    twin: Twin, namespace: str, pods: str, pod: PodMaker
) -> None:
    path = quota(twin, namespace, **{"requests.nvidia.com/gpu": "8", "pods": "10"})
    twin.create(pods, asking(pod, "a", **{"nvidia.com/gpu": "6"}))
    refused = twin.http("POST", pods, asking(pod, "b", **{"nvidia.com/gpu": "4"}))
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"] == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.nvidia.com/gpu=4, '
        "used: requests.nvidia.com/gpu=6, limited: requests.nvidia.com/gpu=8"
    )
    used = {"requests.nvidia.com/gpu": "6", "pods": "1"}
    twin.eventually(lambda: twin.get(path).get("status", {}).get("used") == used, "the quota's status")
    twin.http("DELETE", f"{pods}/a")
    twin.create(pods, asking(pod, "b", **{"nvidia.com/gpu": "8"}))


def test_a_quota_wants_to_know_what_it_limits(twin: Twin, namespace: str, pods: str, pod: PodMaker) -> None:
    quota(twin, namespace, **{"limits.memory": "1Gi", "requests.cpu": "1500m"})
    silent = twin.http("POST", pods, asking(pod, "a", cpu="1"))
    assert silent.status == 403
    assert "failed quota: q: must specify limits.memory for: main" in silent.body["message"]
    twin.create(pods, asking(pod, "a", cpu="1", memory="600Mi"))
    refused = twin.http("POST", pods, asking(pod, "b", cpu="600m", memory="500Mi"))
    assert (
        "used: limits.memory=600Mi,requests.cpu=1, limited: limits.memory=1Gi,requests.cpu=1500m"
        in (refused.body["message"])
    )


def test_a_quota_counts_objects(twin: Twin, namespace: str) -> None:
    quota(twin, namespace, **{"count/secrets": "1"})
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    twin.create(secrets, {"metadata": {"name": "a"}})
    assert twin.http("POST", secrets, {"metadata": {"name": "b"}}).status == 403


def test_the_pod_of_a_run_in_the_cluster_is_admitted_by_the_strictest_level(
    twin: Twin, namespace: str, pods: str
) -> None:
    file = matrix_dir().parent / "deploy" / "runner" / "job.yaml"
    spec = filled(manifest(file), "r20260822-030000-cccc", [], ["gpu-1"])["spec"]["template"]["spec"]
    del spec["priorityClassName"]  # the twin's API has no such class by itself
    enforce(twin, namespace, "restricted")
    account = {"metadata": {"name": spec["serviceAccountName"]}}
    twin.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "run"}, "spec": spec}
    assert twin.http("POST", pods, body).status == 201
    spec["containers"][0]["securityContext"]["privileged"] = True
    assert twin.http("POST", pods, {**body, "metadata": {"name": "worse"}}).status == 403
