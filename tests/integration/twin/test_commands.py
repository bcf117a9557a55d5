"""The twin's own command line, as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.twin.setting import OLD, SPACE, Repository, seed_document

from knowngood.twin import crds, objects, seed
from knowngood.twin.api.server import ApiServer
from knowngood.twin.behaviours.kube import NODE, NVIDIA_DRIVER, POD, is_true
from knowngood.twin.client import Client
from knowngood.twin.up import _private

RUNNER = Path(__file__).parents[3] / "runner"
TWIN = [sys.executable, "-m", "knowngood.twin"]
ENV = {**os.environ, "PYTHONPATH": str(RUNNER)}
PATIENCE_S = 60.0


def twin(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*TWIN, *map(str, arguments)],
        env=ENV,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Served:
    """A twin that serves, as its folder shows it."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.state = folder / "state"
        self.kubeconfig = folder / "kubeconfig"
        self.process = process


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("twin")
    (folder / "seed.json").write_text(json.dumps(seed_document(Repository(folder).bare)), encoding="utf-8")
    command = [*TWIN, "up", "--seed", "seed.json", "--state", "state", "--write-kubeconfig", "kubeconfig"]
    with subprocess.Popen([*command, "--time-scale", "300"], cwd=folder, env=ENV, text=True) as process:
        found = Served(folder, process)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not found.kubeconfig.exists():
                assert process.poll() is None, "the twin ended"
                assert time.monotonic() < deadline, "no kubeconfig appeared"
                time.sleep(0.05)
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0, "TERM ends it cleanly"


def test_the_kubeconfig_appears_for_its_owner_only_when_the_cluster_has_settled(served: Served) -> None:
    assert stat.S_IMODE(served.kubeconfig.stat().st_mode) == 0o600
    rows = [json.loads(line)["event"] for line in (served.state / "events.jsonl").read_text().splitlines()]
    assert "settled" in rows


def test_faults_come_and_go_by_command(served: Served) -> None:
    at = ("--kubeconfig", served.kubeconfig)
    added = twin("fault", "add", "driver-in-use", "--node", "gpu-1", "--param", "version=1", *at)
    assert (added.returncode, added.stderr) == (0, "")
    listed = json.loads(twin("fault", "list", "--json", *at).stdout)
    assert listed == [{"fault": "driver-in-use", "node": "gpu-1", "params": {"version": "1"}}]
    assert "active" in twin("fault", "add", "driver-in-use", "--node", "gpu-1", *at).stderr
    assert "driver-in-use" in twin("fault", "list", *at).stdout
    assert twin("fault", "clear", *at).returncode == 0
    assert json.loads(twin("fault", "list", "--json", *at).stdout) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no-such-fault",), "no fault is called"),
        (("olm-orphan-csv",), "this cluster does not play it: name `olm` in its seed"),
        (("xid-79",), "needs a node"),
        (("xid-79", "--node", "gpu-9"), "no node gpu-9"),
        (("xid-79", "--node", "gpu-1", "--param", "color=red"), "no parameter color"),
        (("xid-79", "--node", "gpu-1", "--param", "gpu"), "KEY=VALUE"),
        (("api-outage", "--param", "seconds=soon"), "not a number"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    served: Served, arguments: tuple[str, ...], words: str
) -> None:
    done = twin("fault", "add", *arguments, "--kubeconfig", served.kubeconfig)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_oracle_compares_and_tells_by_command(served: Served, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    for out in (one, two):
        done = twin(
            "oracle", "snapshot", "--kubeconfig", served.kubeconfig, "--state", served.state, "--out", out
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert twin("oracle", "compare", one, two).returncode == 0
    changed = json.loads(two.read_text())
    changed["nodes"]["gpu-1"]["module"] = "1.2.3"
    two.write_text(json.dumps(changed))
    done = twin("oracle", "compare", "--json", one, two)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"equal": False, "differences": [f"nodes.gpu-1.module: {OLD} -> 1.2.3"]}
    past = json.loads(twin("oracle", "history", "--json", "--state", served.state).stdout)
    assert [d["version"] for d in past["nodes"]["gpu-1"]["drivers"]] == [OLD]


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not JSON"), ("[]", "object"), ('{"schema": 2}', "schema"), ('{"schema": 1}', "gpuOperator")],
)
def test_a_seed_that_can_not_be_used_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "seed.json").write_text(text)
    done = twin(
        "up", "--seed", tmp_path / "seed.json", "--state", tmp_path, "--write-kubeconfig", tmp_path / "k"
    )
    assert done.returncode == 2
    assert "seed.json" in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_behaviours_run_on_an_api_server_that_is_not_theirs(tmp_path: Path) -> None:
    """`--on KUBECONFIG`, where nobody else works: the same controllers as ordinary clients, nodes at no address."""
    document = seed_document(Repository(tmp_path).bare)
    (tmp_path / "seed.json").write_text(json.dumps(document), encoding="utf-8")

    async def story() -> None:
        server = ApiServer(tmp_path)
        await server.start()
        _private(tmp_path / "theirs", server.kubeconfig())
        arguments = ["up", "--seed", "seed.json", "--state", "state", "--write-kubeconfig", "kubeconfig"]
        process = await asyncio.create_subprocess_exec(
            *TWIN, *arguments, "--on", "theirs", "--time-scale", "300", cwd=tmp_path, env=ENV
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (tmp_path / "kubeconfig").exists():
                    assert process.returncode is None, "the twin ended"
                    await asyncio.sleep(0.05)
            async with Client.from_kubeconfig(tmp_path / "theirs") as client:
                drivers = (await client.list(NVIDIA_DRIVER)).items
                assert {d["status"]["state"] for d in drivers} == {"ready"}
                pods = (await client.list(POD, SPACE)).items
                assert pods
                assert all(is_true(p, "Ready") for p in pods)
                node = await client.get(NODE, "gpu-1")
                assert node["status"]["allocatable"]["nvidia.com/gpu"] == "8"
                assert node["status"]["addresses"] == []
        finally:
            process.terminate()
            await process.wait()
            await server.stop()
        assert process.returncode == 0

    asyncio.run(story())


def test_every_seeded_object_has_a_served_kind(tmp_path: Path) -> None:
    parsed = seed.parse(seed_document(tmp_path))
    served = {(f"{d['spec']['group']}", d["spec"]["names"]["kind"]) for d in crds.all_crds(openshift=True)}
    groups = {(o["apiVersion"].rpartition("/")[0], o["kind"]) for o in objects.all_objects(parsed)}
    assert {g for g in groups if "." in g[0]} <= served
