"""`twin up --on`: a twin's nodes and operators on a cluster that has its own controller manager and scheduler.

The other cluster is a twin, too: one without nodes that plays nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.integration.twin.setting import SPACE, Repository, seed_document

from knowngood.twin.behaviours.gpu_manifests import OPERANDS
from knowngood.twin.behaviours.kube import NODE, NVIDIA_DRIVER, POD, is_true, node_of
from knowngood.twin.client import Client

RUNNER = Path(__file__).parents[3] / "runner"
TWIN = [sys.executable, "-m", "knowngood.twin"]
ENV = {**os.environ, "PYTHONPATH": str(RUNNER)}
PATIENCE_S = 90.0
MACHINES = ("cp-1", "gpu-1", "gpu-2")


@contextmanager
def up(folder: Path, name: str, document: dict[str, Any], *options: str) -> Iterator[Path]:
    """A twin as a process, once its kubeconfig is there."""
    (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    command = [*TWIN, "up", "--seed", f"{name}.json", "--state", name, "--write-kubeconfig", f"{name}.kc"]
    with (
        (folder / f"{name}.log").open("wb") as log,
        subprocess.Popen([*command, *options], cwd=folder, env=ENV, stderr=log) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not (folder / f"{name}.kc").exists():
                said = (folder / f"{name}.log").read_text()
                assert process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.05)
            yield folder / f"{name}.kc"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0


@dataclass(frozen=True)
class Both:
    """Two twins: theirs has the API server and Kubernetes' own controllers, ours the nodes and operators."""

    folder: Path
    kubeconfig: Path

    def audit(self, name: str) -> list[dict[str, Any]]:
        lines = (self.folder / name / "audit.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def settled(self) -> str:
        """When ours had settled."""
        rows = map(json.loads, (self.folder / "ours" / "events.jsonl").read_text().splitlines())
        return str(next(row["time"] for row in rows if row["event"] == "settled"))


@pytest.fixture(scope="module", name="both")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("on")
    ours = seed_document(Repository(folder).bare)
    theirs = {"schema": 1, "cluster": "theirs", "openshift": "", "gpuOperator": ours["gpuOperator"]}
    with (
        up(folder, "theirs", theirs, "--without", "gpu-operator", "--time-scale", "300") as kubeconfig,
        up(
            folder,
            "ours",
            ours,
            *("--on", str(kubeconfig), "--kubelet-address", "127.0.0.1", "--time-scale", "300"),
        ),
    ):
        yield Both(folder, kubeconfig)


def test_it_settles_with_the_drivers_ready_on_all_nodes(both: Both) -> None:
    async def story() -> None:
        async with Client.from_kubeconfig(both.kubeconfig) as client:
            drivers = (await client.list(NVIDIA_DRIVER)).items
            assert {d["status"]["state"] for d in drivers} == {"ready"}
            pods = (await client.list(POD, SPACE)).items
            assert len([p for p in pods if node_of(p) == "gpu-1"]) > 5
            assert all(is_true(p, "Ready") for p in pods)
            node = await client.get(NODE, "gpu-1")
            assert node["status"]["allocatable"]["nvidia.com/gpu"] == "8"

    asyncio.run(story())


def test_it_does_not_fight_those_who_work_there(both: Both) -> None:
    """Pods come from their controllers alone, and each once: none is deleted again."""
    said = (both.folder / "ours.log").read_text()
    for name in ("scheduler", "daemonset-controller", "deployment-controller", "node-lifecycle-controller"):
        assert name in said
    made = {
        one["kind"]
        for one in both.audit("ours")
        if one["verb"] == "create" and not one["subresource"] and one["name"] != "twin-probe"
    }
    assert made & {"ReplicaSet", "Pod", "ControllerRevision"} == set()
    deleted = {
        one["name"].rpartition("-")[0]
        for one in both.audit("theirs")
        if one["kind"] == "Pod" and one["verb"] == "delete"
    }
    assert deleted <= {"twin", *OPERANDS}, "only operands, which a driver's start parks"


def test_our_own_writes_are_in_our_audit_log(both: Both) -> None:
    ours = {(one["verb"], one["kind"], one["name"]) for one in both.audit("ours")}
    assert ("create", "Node", "gpu-1") in ours
    assert ("patch", "Node", "gpu-1") in ours
    theirs = {(one["verb"], one["kind"], one["name"]) for one in both.audit("theirs")}
    assert ours <= theirs | {one for one in ours if one[0] == "evict"}


def test_the_nodes_have_leases_that_are_renewed(both: Both) -> None:
    async def story() -> None:
        async with Client.from_kubeconfig(both.kubeconfig) as client:
            lease = ("coordination.k8s.io/v1", "Lease")
            first = {
                one["metadata"]["name"]: one for one in (await client.list(lease, "kube-node-lease")).items
            }
            assert set(first) == set(MACHINES)
            async with asyncio.timeout(30):
                while True:
                    now = await client.get(lease, "gpu-1", "kube-node-lease")
                    if now["spec"]["renewTime"] > first["gpu-1"]["spec"]["renewTime"]:
                        return
                    await asyncio.sleep(0.5)

    asyncio.run(story())


def test_exec_logs_and_the_journal_reach_the_kubelets_through_their_api_server(both: Both) -> None:
    async def story() -> None:
        async with Client.from_kubeconfig(both.kubeconfig) as client:
            node = await client.get(NODE, "gpu-1")
            assert node["status"]["addresses"] == [{"type": "InternalIP", "address": "127.0.0.1"}]
            pods = (await client.list(POD, SPACE, labels="app.kubernetes.io/component=nvidia-driver")).items
            pod = next(one for one in pods if node_of(one) == "gpu-1")
            base = f"{client._server}/api/v1"
            place = f"{base}/namespaces/{SPACE}/pods/{pod['metadata']['name']}"
            query = [("command", "cat"), ("command", "/proc/sys/kernel/random/boot_id")]
            query += [("stdout", "1"), ("stderr", "1"), ("container", "nvidia-driver-ctr")]
            streams: dict[int, bytes] = {}
            async with client._http().ws_connect(
                f"{place}/exec", params=query, protocols=("v4.channel.k8s.io",)
            ) as socket:
                async for message in socket:
                    streams[message.data[0]] = streams.get(message.data[0], b"") + message.data[1:]
            assert json.loads(streams[3])["status"] == "Success", streams
            assert streams[1].decode().strip() == node["status"]["nodeInfo"]["bootID"]
            async with client._http().get(f"{base}/nodes/gpu-1/proxy/logs/journal") as answer:
                assert "NVRM: loading" in await answer.text()
            async with client._http().get(f"{place}/log", params={"container": "nvidia-driver-ctr"}) as log:
                assert log.status == 200

    asyncio.run(story())


def test_a_kubelet_answers_nobody_without_the_clusters_certificate(both: Both) -> None:
    async def story() -> None:
        async with Client.from_kubeconfig(both.kubeconfig) as client:
            status = (await client.get(NODE, "gpu-1"))["status"]
        port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                async with session.get(f"https://127.0.0.1:{port}/logs/journal", ssl=trusting) as answer:
                    await answer.read()

    asyncio.run(story())
