"""Scheduler, kubelet and Jobs: where pods run, what they see of their node, how they end."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from tests.integration.twin.setting import OLD, SPACE
from tests.integration.twin.stage import Stage, play, smoke_job

from knowngood.twin.api.kubelet import ContainerNotFoundError, ExecResult
from knowngood.twin.behaviours.kube import JOB, NODE, POD, is_true, name_of, node_of, phase_of


async def run_in_driver(stage: Stage, *argv: str) -> ExecResult:
    """Exec in gpu-1's driver pod, as the API server does."""
    pod = stage.driver_pod("gpu-1")
    assert pod is not None
    return await stage.backend.exec(SPACE, name_of(pod), "nvidia-driver-ctr", list(argv), None)


def test_a_listed_command_reads_the_node_and_its_output_names_no_path_of_this_machine(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        grep = ("grep", "-rH", "", "/host/sys/module/nvidia", "/host/etc/hostname")
        await stage.client.create(smoke_job("gpu-2", *grep))
        status = await stage.done("smoke")
        assert status["succeeded"] == 1
        lines = (await stage.log("smoke")).splitlines()
        assert f"/host/sys/module/nvidia/version:{OLD}" in lines
        assert "/host/etc/hostname:gpu-2" in lines
        assert str(tmp_path) not in "\n".join(lines)

    play(tmp_path, story)


def test_no_pod_reads_this_machine(tmp_path: Path) -> None:
    """A path that the pod does not mount, or that climbs out of its mount, is its own empty folder."""
    secret = tmp_path / "secret"
    secret.write_text("sesame", encoding="utf-8")

    async def story(stage: Stage) -> None:
        await stage.client.create(smoke_job("gpu-1", "cat", str(secret), f"/host/../../../../..{secret}"))
        status = await stage.done("smoke")
        assert status["failed"] == 1
        assert "sesame" not in await stage.log("smoke")
        found = await run_in_driver(
            stage, "cat", "/sys/module/nvidia/version", "/../../../../../etc/hostname"
        )
        assert found.stdout.decode().split() == [OLD, "gpu-1"]

    play(tmp_path, story)


def test_exec_runs_listed_commands_only_and_only_in_a_running_container(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        for argv in (["sh", "-c", "id"], ["find", "/proc", "-delete"], ["python", "-c", "1"]):
            assert (await run_in_driver(stage, *argv)).code == 126
        smi = await run_in_driver(stage, "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        assert smi.stdout.decode().split() == [OLD] * 8
        with pytest.raises(ContainerNotFoundError):
            await stage.backend.exec(SPACE, "nothing", "", ["cat", "/proc/version"], None)

    play(tmp_path, story)


def test_the_journal_endpoint_knows_boots_and_formats(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        async def lines(**query: str) -> list[str]:
            return (await stage.backend.journal("gpu-1", query) or b"").decode().splitlines()

        now = [json.loads(line) for line in await lines(boot="0", output="json")]
        assert {entry["_TRANSPORT"] for entry in now} == {"kernel"}
        assert all(int(e["__MONOTONIC_TIMESTAMP"]) < 600e6 for e in now)
        assert not await lines(boot="-1")
        await stage.fault("node-reboots", "gpu-1")
        await stage.until("it has booted", lambda: stage.events("node-up", "gpu-1"))
        await stage.at_rest("gpu-1", OLD)
        before = [json.loads(line) for line in await lines(boot="-1", output="json")]
        assert {e["_BOOT_ID"] for e in before} == {e["_BOOT_ID"] for e in now}
        assert len(await lines(boot="0", grep="loading NVIDIA", output="cat")) == 1

    play(tmp_path, story)


def test_a_kubelet_that_is_not_openshifts_serves_a_file_of_all_boots_instead(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        assert await stage.backend.log_file("gpu-1", "kern.log") is None, "RHEL CoreOS has no rsyslog"
        stage.twin.openshift = ""
        assert await stage.backend.journal("gpu-1", {"boot": "0"}) is None
        assert await stage.backend.log_file("gpu-1", "messages") is None
        lines = (await stage.backend.log_file("gpu-1", "kern.log") or b"").decode().splitlines()
        assert "kernel: [    0." in lines[0]
        assert "Linux version" in lines[0]
        assert [line for line in lines if "loading NVIDIA" in line]

    play(tmp_path, story)


def test_an_indexed_job_spreads_by_anti_affinity_and_its_pods_know_their_index(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        job = smoke_job(
            "gpu-1", "cat", "/host/etc/hostname", completionMode="Indexed", completions=2, parallelism=2
        )
        spec = job["spec"]["template"]["spec"]
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
            "nodeSelectorTerms"
        ][0]["matchExpressions"][0]["values"] = ["gpu-1", "gpu-2"]
        apart = {"labelSelector": {"matchLabels": {"x": "y"}}, "topologyKey": "kubernetes.io/hostname"}
        spec["affinity"]["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}
        job["spec"]["template"]["metadata"] = {"labels": {"x": "y"}}
        await stage.client.create(job)
        status = await stage.done("smoke")
        assert status["completedIndexes"] == "0-1"
        pods = list(stage.twin.cache.all(POD, "knowngood"))
        assert {node_of(p) for p in pods} == {"gpu-1", "gpu-2"}
        env = [{e["name"]: e.get("value") for e in p["spec"]["containers"][0]["env"]} for p in pods]
        assert {e["JOB_COMPLETION_INDEX"] for e in env} == {"0", "1"}
        assert {e["node"] for e in stage.events("job-ran")} == {"gpu-1", "gpu-2"}

    play(tmp_path, story)


def test_a_job_counts_failures_and_gives_up(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.client.create(smoke_job("gpu-1", "cat", "/host/nothing", backoffLimit=1, name="twice"))
        status = await stage.done("twice")
        assert status["failed"] == 2
        assert status["conditions"][-1]["reason"] == "BackoffLimitExceeded"
        job = smoke_job("gpu-1", "sleep", "1", activeDeadlineSeconds=1, name="late")
        await stage.client.create(job)  # not on the list: it would run for ever
        assert (await stage.done("late"))["conditions"][-1]["reason"] == "DeadlineExceeded"

    play(tmp_path, story)


def test_a_finished_job_goes_after_its_time_and_takes_its_pods(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.client.create(smoke_job("gpu-1", "cat", "/host/etc/hostname", ttlSecondsAfterFinished=1))
        await stage.done("smoke")
        await stage.until(
            "it is gone", lambda: not stage.pods("knowngood") and not list(stage.twin.cache.all(JOB))
        )

    play(tmp_path, story)


def test_devices_are_counted_and_a_pod_waits_for_them_with_a_reason(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.client.create(smoke_job("gpu-1", "cat", "/host/etc/hostname", gpus=8))

        def why() -> str:
            pods = stage.pods("knowngood")
            conditions = pods[0]["status"].get("conditions") or [{}] if pods else [{}]
            return str(conditions[0].get("message", ""))

        if stage.tenants_on("gpu-1"):
            await stage.until("Unschedulable", lambda: "Insufficient nvidia.com/gpu" in why())
        await stage.empty("gpu-1")
        assert "unschedulable" in why() or not why()
        await stage.cordon("gpu-1", on=False)
        assert (await stage.done("smoke"))["succeeded"] == 1

    play(tmp_path, story)


def test_a_pod_killed_with_its_process_leaves_none_behind(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        fifo = stage.twin.world.machines["gpu-1"].root / "run" / "fifo"
        fifo.parent.mkdir(exist_ok=True)
        await asyncio.to_thread(os.mkfifo, fifo)
        await stage.client.create(smoke_job("gpu-1", "cat", "/host/run/fifo"))
        await stage.until("it runs", lambda: [p for p in stage.pods("knowngood") if phase_of(p) == "Running"])
        options = {"propagationPolicy": "Background"}
        await stage.client.delete(JOB, "smoke", "knowngood", options=options)
        await stage.until("it is gone", lambda: not list(stage.twin.cache.all(POD, "knowngood")))
        assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(fifo).encode() in _bytes(p)]

    play(tmp_path, story)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_virtual_node_runs_nothing_and_answers_nothing(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        assert not [p for p in stage.twin.cache.all(POD) if node_of(p) == "liqo-1"]
        assert not (stage.state / "nodes" / "liqo-1").exists()
        node = await stage.client.get(NODE, "liqo-1")
        assert is_true(node, "Ready")

    play(tmp_path, story)
