"""The official `kubernetes` client, unchanged: typed, dynamic, watch, exec, logs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.stream import stream

from .conftest import Object, Twin

pytestmark = pytest.mark.filterwarnings("ignore")
PodMaker = Callable[..., Object]

NODE_INFO = (
    "architecture bootID containerRuntimeVersion kernelVersion kubeProxyVersion kubeletVersion machineID "
    "operatingSystem osImage systemUUID"
)


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    """The client leaves the socket of a refused websocket open; collect it while warnings are ignored.

    Later it would be collected anywhere, even inside Python's own parser, which 3.11 does not survive.
    """
    yield
    gc.collect()


@pytest.fixture
def api(twin: Twin) -> Iterator[Any]:
    """A client for the twin."""
    with config.new_client_from_config(str(twin.kubeconfig)) as made:
        yield made


@pytest.fixture
def core(api: Any) -> Any:
    """The typed core API."""
    return client.CoreV1Api(api)


@pytest.fixture
def running(twin: Twin, namespace: str, pod: PodMaker) -> str:
    """A running pod's name."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("p", nodeName="n1"))
    twin.patch(f"{path}/p/status", {"status": {"phase": "Running"}})
    return "p"


def test_typed_reads_and_writes(core: Any, namespace: str, pod: PodMaker) -> None:
    created = core.create_namespaced_pod(namespace, pod("p", nodeName="n1"))
    assert (created.status.phase, created.metadata.generation) == ("Pending", 1)
    patched = core.patch_namespaced_pod("p", namespace, {"metadata": {"labels": {"x": "y"}}})
    assert patched.metadata.labels == {"app": "p", "x": "y"}
    assert [one.metadata.name for one in core.list_namespaced_pod(namespace).items] == ["p"]
    gone = core.delete_namespaced_pod("p", namespace)
    assert gone.metadata.deletion_timestamp is not None


def test_typed_nodes(twin: Twin, core: Any) -> None:
    """One incomplete node breaks the whole typed list: the status must be whole."""
    info = dict.fromkeys(NODE_INFO.split(), "x")
    twin.create("/api/v1/nodes", {"metadata": {"name": "whole"}, "status": {"nodeInfo": info}})
    core.patch_node("whole", {"spec": {"unschedulable": True}})
    (node,) = [one for one in core.list_node().items if one.metadata.name == "whole"]
    assert node.spec.unschedulable is True


def test_kinds_with_required_status_fields_can_be_read_typed(api: Any, namespace: str, pod: PodMaker) -> None:
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    workload = {
        "metadata": {"name": "w"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    apps = client.AppsV1Api(api)
    for kind in ("daemon_set", "deployment", "replica_set", "stateful_set"):
        getattr(apps, f"create_namespaced_{kind}")(namespace, workload)
        (found,) = getattr(apps, f"list_namespaced_{kind}")(namespace).items
        assert found.metadata.name == "w"
    policy = client.PolicyV1Api(api)
    spec = {"minAvailable": 1, "selector": {"matchLabels": labels}}
    policy.create_namespaced_pod_disruption_budget(namespace, {"metadata": {"name": "b"}, "spec": spec})
    (budget,) = policy.list_namespaced_pod_disruption_budget(namespace).items
    assert budget.status.disruptions_allowed == 0


def test_a_lease_is_handed_over_by_compare_and_swap(api: Any, namespace: str) -> None:
    leases = client.CoordinationV1Api(api)
    body = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseTransitions": 1}}
    held = leases.create_namespaced_lease(namespace, body)
    held.spec.holder_identity = "b"
    leases.replace_namespaced_lease("l", namespace, held)
    with pytest.raises(client.ApiException) as refused:
        leases.replace_namespaced_lease("l", namespace, held)
    assert refused.value.status == 409


def test_watching(core: Any, namespace: str, pod: PodMaker) -> None:
    core.create_namespaced_pod(namespace, pod("p"))
    seen = []
    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_pod, namespace, timeout_seconds=10):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "ADDED":
            core.delete_namespaced_pod("p", namespace)
        elif event["type"] == "DELETED":
            watcher.stop()
    assert seen == [("ADDED", "p"), ("MODIFIED", "p"), ("DELETED", "p")]


def run(
    core: Any, namespace: str, name: str, *command: str, stdin: str | None = None
) -> tuple[str, str, int]:
    """Run a command in the pod as gates and modules do; return stdout, stderr and the exit code."""
    session = stream(
        core.connect_get_namespaced_pod_exec,
        name,
        namespace,
        command=list(command),
        stdin=stdin is not None,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    with closing(session):
        if stdin is not None:
            session.write_stdin(stdin)
        session.run_forever(timeout=10)
        return session.read_stdout(), session.read_stderr(), session.returncode


def test_exec_separates_streams_and_tells_the_exit_code(core: Any, namespace: str, running: str) -> None:
    assert run(core, namespace, running, "echo", "hello", "there") == ("hello there\n", "", 0)
    assert run(core, namespace, running, "fail") == ("", "it failed\n", 3)


def test_exec_takes_stdin(core: Any, namespace: str, running: str) -> None:
    assert run(core, namespace, running, "cat", stdin="sent\n") == ("sent\n", "", 0)


def test_exec_in_a_pod_that_does_not_run_is_refused(core: Any, namespace: str, pod: PodMaker) -> None:
    core.create_namespaced_pod(namespace, pod("waiting", nodeName="n1"))
    with pytest.raises(client.ApiException):
        run(core, namespace, "waiting", "echo")
    with pytest.raises(client.ApiException):
        run(core, namespace, "absent", "echo")


def test_logs(core: Any, namespace: str, running: str) -> None:
    text = core.read_namespaced_pod_log(running, namespace)
    assert text.splitlines() == [f"p/main line {number}" for number in range(3)]
    assert core.read_namespaced_pod_log(running, namespace, tail_lines=1) == "p/main line 2\n"


def test_the_dynamic_client_finds_kinds_by_discovery(api: Any, namespace: str, tmp_path: Path) -> None:
    found = dynamic.DynamicClient(api, cache_file=str(tmp_path / "cache"))
    maps = found.resources.get(api_version="v1", kind="ConfigMap")
    maps.create(body={"metadata": {"name": "c"}, "data": {"a": "1"}}, namespace=namespace)
    maps.server_side_apply(
        body={"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"b": "2"}},
        namespace=namespace,
        field_manager="test",
    )
    assert dict(maps.get(name="c", namespace=namespace).data) == {"a": "1", "b": "2"}
    fields = "metadata.name=c"
    watched = maps.watch(namespace=namespace, timeout=1, field_selector=fields)
    assert [event["type"] for event in watched] == ["ADDED"]


def test_an_eviction_against_a_budget_is_429(api: Any, core: Any, namespace: str, running: str) -> None:
    spec = {"minAvailable": 1, "selector": {}}
    policy = client.PolicyV1Api(api)
    policy.create_namespaced_pod_disruption_budget(namespace, {"metadata": {"name": "b"}, "spec": spec})
    with pytest.raises(client.ApiException) as refused:
        core.create_namespaced_pod_eviction(running, namespace, {"metadata": {"name": running}})
    assert refused.value.status == 429
