"""What our client says of an API server that is another one, does not know us, or answers on a pod's behalf."""

from __future__ import annotations

import contextlib
import copy
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.play import Play, staged
from tests.movers import MOVERS

from knowngood.adapters.cluster import facts
from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError, Kube, path
from knowngood.engine.restored import missing
from knowngood.matrix.load import load
from knowngood.model.errors import Unreachable, UsageError
from knowngood.planner.readings import required

NODE = "lab-gpu-1"


@pytest.fixture(name="play", scope="module")
def _play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with staged(tmp_path_factory.mktemp("reaching") / "stage", "lab-small") as play:
        yield play


@pytest.fixture(name="config")
def _config(play: Play) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(play.stage.kubeconfig.read_text())
    return copy.deepcopy(found)


def kube_of(tmp_path: Path, config: dict[str, Any]) -> Kube:
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return Kube(file, patience=1.0)


def test_a_token_nobody_knows_is_the_users_mistake(tmp_path: Path, config: dict[str, Any]) -> None:
    config["users"][0]["user"] = {"token": "wrong"}
    with pytest.raises(UsageError, match="credentials"):
        kube_of(tmp_path, config).get("/api/v1/nodes")


def test_the_ca_of_another_cluster_is_found_out_at_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]
) -> None:
    """The wrong kubeconfig at 3 a.m.: TLS says so before a single object is read."""
    with staged(tmp_path_factory.mktemp("another") / "stage", "lab-small") as another:
        other = yaml.safe_load(another.stage.kubeconfig.read_text())
    authority = other["clusters"][0]["cluster"]["certificate-authority-data"]
    config["clusters"][0]["cluster"]["certificate-authority-data"] = authority
    with pytest.raises(UsageError, match="TLS failed"):
        kube_of(tmp_path, config).get("/api/v1/nodes")


def test_whom_the_kubeconfig_acts_as_is_whom_the_server_sees(tmp_path: Path, config: dict[str, Any]) -> None:
    config["users"][0]["user"] |= {"as": "eve", "as-groups": ["on-call", "night"]}
    kube = kube_of(tmp_path, config)
    seen = kube.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert seen["status"]["userInfo"]["username"] == "eve"
    assert set(seen["status"]["userInfo"]["groups"]) >= {"on-call", "night"}
    with pytest.raises(UsageError, match='"eve" cannot list'):
        kube.get("/api/v1/nodes")


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy on the loopback that wants a password: its address, and what it was asked for."""
    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n")]
            asked.append(request[0])
            if not any(line.lower().startswith("proxy-authorization: basic ") for line in request):
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            host, _, port = request[0].split()[1].rpartition(":")
            with socket.create_connection((host, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_carry, args=(there, self.connection), daemon=True)
                back.start()
                _carry(self.connection, there)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://me:word@127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_requests_and_exec_go_through_the_proxy(tmp_path: Path, config: dict[str, Any]) -> None:
    with proxy() as (url, asked):
        config["clusters"][0]["cluster"]["proxy-url"] = url
        kube = kube_of(tmp_path, config)
        metadata = driver_pod(kube)["metadata"]
        where = (metadata["namespace"], metadata["name"], facts.DRIVER_CONTAINER)
        assert (
            pod_exec.run(kube, *where, ["cat", "/sys/module/nvidia/version"]).stdout.strip() == "580.173.02"
        )
        there = config["clusters"][0]["cluster"]["server"].removeprefix("https://")
        assert {line.rpartition(" ")[0] for line in asked} == {f"CONNECT {there}"}
        assert len(asked) >= 2, "one for requests, one for exec"
        config["clusters"][0]["cluster"]["proxy-url"] = url.replace("me:word@", "")
        with pytest.raises(Unreachable):
            kube_of(tmp_path, config).get("/api/v1/nodes")


def driver_pod(kube: Kube) -> dict[str, Any]:
    pods = facts.pods_of_node(kube, NODE, "nvidia-gpu-operator", facts.DRIVER_LABEL)
    return next(p for p in pods if facts.is_driver_pod(p))


def test_exec_brings_output_and_exit_code(play: Play) -> None:
    kube = Kube(play.stage.kubeconfig)
    metadata = driver_pod(kube)["metadata"]
    where = (metadata["namespace"], metadata["name"], facts.DRIVER_CONTAINER)
    good = pod_exec.run(kube, *where, ["cat", "/sys/module/nvidia/version"])
    assert (good.stdout.strip(), good.code) == ("580.173.02", 0)
    assert pod_exec.run(kube, *where, ["cat", "/no/such/file"]).code == 1
    with pytest.raises(ApiError):
        pod_exec.run(kube, metadata["namespace"], "no-such-pod", "c", ["cat", "/proc/uptime"])


def test_a_gpu_node_is_measured_by_its_files_and_its_kernel_log(play: Play) -> None:
    kube = Kube(play.stage.kubeconfig)
    reader = KubeCluster(kube, load(play.stage.matrix).clusters[play.cluster])
    node = reader.observe([NODE, "lab-cp-1", "gone"], MOVERS)
    measured = node[NODE]
    assert measured.reachable
    mark = measured.marks["nvidia-driver"]
    assert mark.boot_id == measured.boot_id
    assert measured.versions["nvidia-driver"] == mark.version == "580.173.02"
    assert measured.versions["kernel-module-type"] == "open"
    assert measured.versions["rdma-mode"] == "dma-buf"
    assert len(measured.gpus) == 8
    assert set(facts.OPERANDS) <= set(measured.operands)
    assert set(measured.operands.values()) == {"ready"}
    assert measured.uptime_seconds is not None
    profile = load(play.stage.matrix).profiles[load(play.stage.matrix).clusters[play.cluster].profile]
    assert missing(measured, required(profile)) == ()
    assert measured.inventory["mig"] == {}
    assert node["lab-cp-1"].reachable
    assert node["lab-cp-1"].marks == {}
    assert not node["gone"].reachable


def test_roles_and_tenants_are_read(play: Play) -> None:
    reader = KubeCluster(Kube(play.stage.kubeconfig), load(play.stage.matrix).clusters[play.cluster])
    assert reader.node_names() == {"lab-cp-1": "control-plane", NODE: "gpu", "lab-gpu-2": "gpu"}
    workloads = reader.workloads()
    assert {w.tenant for w in workloads} == {"notebooks"}
    assert all(w.ready == w.desired for w in workloads)
    assert reader.quiet([NODE]) == {}
    assert reader.leftovers() == []


def test_the_identity_is_the_clusters_own(play: Play) -> None:
    kube = Kube(play.stage.kubeconfig)
    identity = KubeCluster(kube, load(play.stage.matrix).clusters[play.cluster]).identity()
    assert identity.uid == kube.get(path("v1", "namespaces", "kube-system"))["metadata"]["uid"]
    assert len(identity.ca) == 64
