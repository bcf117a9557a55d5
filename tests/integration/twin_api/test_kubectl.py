"""Everyday kubectl, unchanged. What it prints is what an on-call engineer would see."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .conftest import Kubectl, Object, Twin

PodMaker = Callable[..., Object]

NODE_INFO = (
    "architecture",
    "bootID",
    "containerRuntimeVersion",
    "kernelVersion",
    "kubeProxyVersion",
    "kubeletVersion",
    "machineID",
    "operatingSystem",
    "osImage",
    "systemUUID",
)
MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: "1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "app:1", ports: [{containerPort: 80}]}
"""


@pytest.fixture
def node(twin: Twin, namespace: str) -> str:
    """A ready node of the test's own."""
    name = f"node-{namespace}"
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    info = dict.fromkeys(NODE_INFO, "x") | {"kubeletVersion": "v1.34.2"}
    status = {
        "conditions": [ready],
        "nodeInfo": info,
        "capacity": {"cpu": "8", "memory": "64Gi", "pods": "110"},
        "allocatable": {"cpu": "8", "memory": "64Gi", "pods": "110"},
    }
    twin.create("/api/v1/nodes", {"metadata": {"name": name}, "status": status})
    return name


def run_pod(twin: Twin, namespace: str, node: str, body: Object) -> None:
    """Create a pod that runs and is ready on the node."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    body["spec"]["nodeName"] = node
    twin.create(path, body)
    ready = {"type": "Ready", "status": "True"}
    container = {"name": "main", "image": "app:1", "imageID": "", "ready": True, "restartCount": 2}
    container |= {"state": {"running": {}}}
    status = {"phase": "Running", "conditions": [ready], "containerStatuses": [container]}
    twin.patch(f"{path}/{body['metadata']['name']}/status", {"status": status})


def test_version_and_api_resources(kubectl: Kubectl) -> None:
    assert "Server Version: v1." in kubectl("version")
    listed = kubectl("api-resources", "--no-headers")
    assert "poddisruptionbudgets" in listed
    assert "daemonsets" in listed


@pytest.mark.parametrize("server_side", [False, True])
def test_apply_creates_changes_and_leaves_alone(kubectl: Kubectl, namespace: str, server_side: bool) -> None:
    arguments = ["apply", "-n", namespace, "-f", "-"] + (["--server-side"] if server_side else [])
    kubectl(*arguments, stdin=MANIFEST)
    again = kubectl(*arguments, stdin=MANIFEST)
    assert again.count("serverside-applied" if server_side else "unchanged") == 2
    kubectl(*arguments, stdin=MANIFEST.replace("app:1", "app:2").replace('level: "1"', 'mode: "x"'))
    found = json.loads(kubectl("get", "-n", namespace, "-o", "json", "deployment/web", "cm/settings"))
    deployment, settings = found["items"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "app:2"
    assert deployment["metadata"]["generation"] == 2
    assert settings["data"] == {"mode": "x"}


def test_server_side_apply_takes_over_from_client_side_apply(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=MANIFEST)
    kubectl("apply", "-n", namespace, "--server-side", "-f", "-", stdin=MANIFEST.replace("app:1", "app:2"))
    kubectl("set", "image", "-n", namespace, "deploy/web", "main=app:3")
    refused = kubectl.run("apply", "-n", namespace, "--server-side", "-f", "-", stdin=MANIFEST)
    assert refused.returncode == 1
    assert "conflict" in refused.stderr


def test_apply_refuses_a_field_nobody_knows(kubectl: Kubectl, namespace: str) -> None:
    done = kubectl.run("apply", "-n", namespace, "-f", "-", stdin=MANIFEST.replace("\ndata:", "\ndta:"))
    assert done.returncode == 1
    assert 'unknown field "dta"' in done.stderr


def test_diff_shows_what_would_change(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=MANIFEST)
    assert kubectl.run("diff", "-n", namespace, "-f", "-", stdin=MANIFEST).returncode == 0
    changed = kubectl.run("diff", "-n", namespace, "-f", "-", stdin=MANIFEST.replace("app:1", "app:2"))
    assert changed.returncode == 1
    assert "app:2" in changed.stdout


def test_get_prints_the_usual_columns(
    twin: Twin, kubectl: Kubectl, namespace: str, node: str, pod: PodMaker
) -> None:
    run_pod(twin, namespace, node, pod("p"))
    pods = kubectl("get", "pods", "-n", namespace, "-o", "wide").splitlines()
    assert pods[0].split()[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert pods[1].split()[:4] == ["p", "1/1", "Running", "2"]
    assert node in pods[1]
    nodes = kubectl("get", "node", node).splitlines()
    assert nodes[1].split()[:3] == [node, "Ready", "<none>"]
    assert (
        kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={node}", "-o", "name") == "pod/p\n"
    )
    assert kubectl("get", "node", node, "-o", "jsonpath={.status.allocatable.cpu}") == "8"


def test_typed_create_commands(kubectl: Kubectl, namespace: str) -> None:
    """They send protobuf."""
    here = ("-n", namespace)
    kubectl("create", *here, "configmap", "c", "--from-literal=a=1")
    kubectl("create", *here, "secret", "generic", "s", "--from-literal=a=1")
    kubectl("create", *here, "serviceaccount", "sa")
    kubectl("create", *here, "job", "j", "--image=app:1", "--", "run", "it")
    kubectl("create", *here, "cronjob", "cj", "--image=app:1", "--schedule=0 * * * *", "--", "run")
    kubectl("create", *here, "deployment", "d", "--image=app:1", "--replicas=0")
    kubectl("create", *here, "pdb", "b", "--min-available=50%", "--selector=app=d")
    kubectl("create", *here, "quota", "q", "--hard=cpu=1,pods=3")
    kubectl("create", *here, "role", "r", "--verb=get", "--resource=pods")
    kubectl("create", *here, "rolebinding", "rb", "--role=r", f"--serviceaccount={namespace}:sa")
    kubectl("create", "clusterrolebinding", f"crb-{namespace}", "--clusterrole=view", "--user=u")
    kubectl("create", "priorityclass", f"pc-{namespace}", "--value=0")
    assert kubectl("get", *here, "cm/c", "-o", "jsonpath={.data}") == '{"a":"1"}'
    command = "jsonpath={.spec.template.spec.containers[0].command}"
    assert json.loads(kubectl("get", *here, "job/j", "-o", command)) == ["run", "it"]
    assert kubectl("get", *here, "deploy/d", "-o", "jsonpath={.spec.replicas}") == "0"
    assert kubectl("get", *here, "pdb/b", "-o", "jsonpath={.spec.minAvailable}") == "50%"
    assert kubectl("get", *here, "quota/q", "-o", "jsonpath={.spec.hard.pods}") == "3"
    spec = json.loads(kubectl("get", *here, "job/j", "-o", "json"))["spec"]["template"]["spec"]
    assert "hostNetwork" not in spec, "what was not said stays unsaid"


def test_namespaces_come_and_go(kubectl: Kubectl, namespace: str) -> None:
    name = f"{namespace}-more"
    kubectl("create", "namespace", name)
    kubectl("run", "-n", name, "p", "--image=app:1")
    kubectl("delete", "namespace", name, "--timeout=20s")
    assert kubectl.run("get", "namespace", name).returncode == 1


def test_label_annotate_patch_and_scale(kubectl: Kubectl, namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=MANIFEST)
    kubectl("label", "-n", namespace, "deploy/web", "ring=0")
    kubectl("annotate", "-n", namespace, "deploy/web", "example.com/why=test")
    kubectl("patch", "-n", namespace, "deploy/web", "-p", '{"spec":{"paused":true}}')
    kubectl(
        "patch", "-n", namespace, "deploy/web", "--type=json", "-p", '[{"op":"remove","path":"/spec/paused"}]'
    )
    kubectl("scale", "-n", namespace, "deploy/web", "--replicas=3")
    found = json.loads(kubectl("get", "-n", namespace, "deploy/web", "-o", "json"))
    assert found["metadata"]["labels"]["ring"] == "0"
    assert found["metadata"]["annotations"]["example.com/why"] == "test"
    assert (found["spec"]["replicas"], found["spec"].get("paused")) == (3, None)


def test_taint_cordon_and_uncordon(kubectl: Kubectl, node: str) -> None:
    kubectl("taint", "node", node, "example.com/out=run-1:NoSchedule")
    kubectl("cordon", node)
    assert "Ready,SchedulingDisabled" in kubectl("get", "node", node)
    assert kubectl("get", "node", node, "-o", "jsonpath={.spec.taints[*].key}").split() == ["example.com/out"]
    kubectl("uncordon", node)
    kubectl("taint", "node", node, "example.com/out-")
    assert kubectl("get", "node", node, "-o", "jsonpath={.spec}") == "{}"


def test_drain_waits_for_pods_and_respects_budgets(
    twin: Twin, kubectl: Kubectl, namespace: str, node: str, pod: PodMaker
) -> None:
    run_pod(twin, namespace, node, pod("held"))
    kubectl("create", "-n", namespace, "pdb", "b", "--min-available=1", "--selector=app=held")
    blocked = kubectl.run("drain", node, "--force", "--timeout=2s")
    assert blocked.returncode == 1
    assert "violate the pod's disruption budget" in blocked.stderr
    kubectl("delete", "-n", namespace, "pdb", "b")
    twin.patch(f"/api/v1/namespaces/{namespace}/pods/held", {"metadata": {"finalizers": None}})
    drained = kubectl.run("drain", node, "--force", "--grace-period=0", "--timeout=20s")
    assert "drained" in drained.stdout, drained.stderr
    assert kubectl.run("get", "pod", "-n", namespace, "held").returncode == 1


def test_drain_leaves_daemon_sets_alone(
    twin: Twin, kubectl: Kubectl, namespace: str, node: str, pod: PodMaker
) -> None:
    labels = {"app": "agent"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    sets = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    spec = {"selector": {"matchLabels": labels}, "template": template}
    owner = twin.create(sets, {"metadata": {"name": "agent"}, "spec": spec})
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "controller": True}
    body = pod("agent-1")
    body["metadata"]["ownerReferences"] = [reference | {"uid": owner["metadata"]["uid"]}]
    run_pod(twin, namespace, node, body)
    assert kubectl.run("drain", node, "--timeout=2s").returncode == 1
    assert "drained" in kubectl("drain", node, "--ignore-daemonsets", "--timeout=5s")
    assert kubectl("get", "pod", "-n", namespace, "agent-1", "-o", "name") == "pod/agent-1\n"


def test_describe(twin: Twin, kubectl: Kubectl, namespace: str, node: str, pod: PodMaker) -> None:
    run_pod(twin, namespace, node, pod("p"))
    uid = twin.get(f"/api/v1/namespaces/{namespace}/pods/p")["metadata"]["uid"]
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace, "uid": uid},
        "reason": "Tested",
        "message": "it was tested",
        "type": "Normal",
    }
    twin.create(f"/api/v1/namespaces/{namespace}/events", event)
    described = kubectl("describe", "pod", "-n", namespace, "p")
    assert f"Node:             {node}" in described
    assert "it was tested" in described
    assert "Non-terminated Pods:          (1 in total)" in kubectl("describe", "node", node)
    assert "it was tested" in kubectl("get", "events", "-n", namespace)


def test_exec_and_logs(twin: Twin, kubectl: Kubectl, namespace: str, node: str, pod: PodMaker) -> None:
    run_pod(twin, namespace, node, pod("p"))
    assert kubectl("exec", "-n", namespace, "p", "--", "echo", "hello") == "hello\n"
    assert kubectl("exec", "-i", "-n", namespace, "p", "--", "cat", stdin="sent") == "sent"
    failed = kubectl.run("exec", "-n", namespace, "p", "--", "fail")
    assert (failed.returncode, failed.stderr.splitlines()[0]) == (3, "it failed")
    assert kubectl("logs", "-n", namespace, "p", "--tail=1") == "p/main line 2\n"
    assert json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/logs/journal?boot=0")) == {
        "node": node,
        "boot": "0",
    }


def test_wait(twin: Twin, kubectl: Kubectl, namespace: str, node: str, pod: PodMaker) -> None:
    run_pod(twin, namespace, node, pod("p"))
    kubectl("wait", "-n", namespace, "pod/p", "--for=condition=Ready", "--timeout=5s")
    late = kubectl.run("wait", "-n", namespace, "pod/p", "--for=delete", "--timeout=1s")
    assert late.returncode == 1
    twin.http("DELETE", f"/api/v1/namespaces/{namespace}/pods/p?gracePeriodSeconds=0")
    kubectl("wait", "-n", namespace, "pod/p", "--for=delete", "--timeout=5s")


def test_who_am_i_and_what_may_i(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "delete", "nodes") == "yes\n"
    assert "admin" in kubectl("auth", "whoami")


def test_explain(kubectl: Kubectl) -> None:
    assert "tolerations" in kubectl("explain", "pod.spec.tolerations")


def test_custom_kinds(kubectl: Kubectl) -> None:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }
    column = {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [column],
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "hats.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "hats", "kind": "Hat", "singular": "hat"},
            "versions": [version],
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(crd))
    kubectl("wait", "--for=condition=Established", "crd/hats.example.com", "--timeout=5s")
    hat = {
        "apiVersion": "example.com/v1",
        "kind": "Hat",
        "metadata": {"name": "bowler"},
        "spec": {"size": 58},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(hat))
    hat["spec"] = {"size": 60}
    kubectl("apply", "-f", "-", stdin=json.dumps(hat))
    assert [line.split() for line in kubectl("get", "hats").splitlines()] == [
        ["NAME", "SIZE"],
        ["bowler", "60"],
    ]
    kubectl("delete", "crd", "hats.example.com", "--timeout=5s")
