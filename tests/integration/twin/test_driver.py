"""A node's driver: what restarts load, what they leave, and who else acts meanwhile."""

from __future__ import annotations

from pathlib import Path

from tests.integration.twin.setting import NEW, OLD, SPACE
from tests.integration.twin.stage import Stage, play

from knowngood.twin.behaviours.kube import GPU, NODE, NVIDIA_DRIVER, POD, is_true, labels_of, name_of
from knowngood.twin.values import Object


def test_a_new_template_moves_nothing_until_the_pod_restarts_for_any_reason(tmp_path: Path) -> None:
    """OnDelete is the leak: the object is notReady, the node unchanged, and any restart takes the new version."""

    async def story(stage: Stage) -> None:
        before = stage.driver_pod("gpu-1")
        await stage.sync(stage.repository.move("ring-0", NEW))
        assert await stage.version_of("ring-0") == NEW

        def state() -> str:
            return str((stage.twin.cache.get(NVIDIA_DRIVER, "ring-0") or {})["status"]["state"])

        await stage.until("notReady while one pod lags", lambda: state() == "notReady")
        assert stage.module("gpu-1") == OLD
        assert stage.driver_pod("gpu-1") == before
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.at_rest("gpu-1", NEW)
        await stage.until("ready again", lambda: state() == "ready")
        assert stage.module("gpu-2") == OLD
        assert not stage.events("driver-pod-started", "gpu-2")

    play(tmp_path, story)


def test_a_reload_is_a_new_banner_and_the_user_space_of_the_same_version(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.upgrade("ring-0", NEW)
        machine = stage.twin.world.machines["gpu-1"]
        banners = [line for line in stage.kernel("gpu-1") if "loading NVIDIA UNIX Open Kernel Module" in line]
        assert [line.split("x86_64")[1].split()[0] for line in banners] == [OLD, NEW]
        assert [p.name for p in (machine.root / "usr/lib64").iterdir()] == [f"libcuda.so.{NEW}"]
        assert labels_of(stage.node("gpu-1"))["nvidia.com/cuda.driver-version.full"] == NEW

    play(tmp_path, story)


def test_the_driver_manager_uncordons_whoever_cordoned_and_leaves_taints_alone(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.sync(stage.repository.move("ring-0", NEW))
        await stage.taint("gpu-1")
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.at_rest("gpu-1", NEW)
        assert not stage.node("gpu-1")["spec"].get("unschedulable")
        assert [t["key"] for t in stage.node("gpu-1")["spec"]["taints"]] == ["example.com/work"]
        order = [e["event"] for e in stage.events(node="gpu-1")]
        assert order.index("uncordoned") < order.index("module-loaded"), (
            "uncordoned before the driver is built"
        )

    play(tmp_path, story)


def test_the_driver_manager_evicts_gpu_pods_that_nobody_drained(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        held = {name_of(p) for p in stage.tenants_on("gpu-1")}
        assert held
        await stage.sync(stage.repository.move("ring-0", NEW))
        await stage.restart_driver("gpu-1")
        await stage.at_rest("gpu-1", NEW)
        assert {e["pod"] for e in stage.events("pod-evicted", "gpu-1")} == held
        assert {e["by"] for e in stage.events("pod-evicted", "gpu-1")} == {"twin"}

    play(tmp_path, story)


def test_an_unchanged_driver_keeps_its_module_but_its_operands_restart(tmp_path: Path) -> None:
    """The fast path: allocatable drops to 0 for a while, so it looks like a reload, and nothing was loaded."""

    async def story(stage: Stage) -> None:
        seen: set[str] = set()

        def note(_event: str, node: Object) -> None:
            if name_of(node) == "gpu-1":
                seen.add(node["status"]["allocatable"][GPU])

        stage.twin.cache.listen(NODE, note)
        before = stage.operand("nvidia-device-plugin-daemonset", "gpu-1")
        await stage.cordon("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.at_rest("gpu-1", OLD)
        assert stage.operand("nvidia-device-plugin-daemonset", "gpu-1") != before
        assert "0" in seen
        assert not stage.events("module-loaded")
        assert stage.node("gpu-1")["spec"]["unschedulable"], "no uncordon on the fast path"

    play(tmp_path, story)


def test_a_relabelled_node_loses_its_driver_pod_at_once_and_undrained(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        before = stage.driver_pod("gpu-1")
        await stage.sync(stage.repository.move("ring-1", NEW))
        await stage.client.patch(NODE, "gpu-1", {"metadata": {"labels": {"example.com/ring": "ring-1"}}})
        await stage.until("another driver pod", lambda: stage.driver_pod("gpu-1") not in (None, before))
        assert stage.events("driver-pod-deleted", "gpu-1")[0]["cause"] == "left-selector"
        await stage.at_rest("gpu-1", NEW)

    play(tmp_path, story)


def test_a_node_that_loses_its_nfd_label_loses_its_driver_pod(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        label = "feature.node.kubernetes.io/system-os_release.OSTREE_VERSION"
        await stage.client.patch(NODE, "gpu-1", {"metadata": {"labels": {label: None}}})
        await stage.until("no driver pod", lambda: stage.driver_pod("gpu-1") is None)
        assert stage.module("gpu-1") == OLD, "the module stays in the kernel"

    play(tmp_path, story)


def test_operands_and_driver_do_not_come_back_under_a_taint_that_git_does_not_tolerate(
    tmp_path: Path,
) -> None:
    async def story(stage: Stage) -> None:
        await stage.taint("gpu-1", "example.com/foreign")
        pod = stage.driver_pod("gpu-1")
        assert pod is not None, "a NoSchedule taint does not end what runs"
        await stage.client.delete(POD, name_of(pod), SPACE)
        await stage.until("the driver pod is gone", lambda: stage.driver_pod("gpu-1") is None)
        await stage.taint("gpu-1", "example.com/work")
        await stage.until("it comes back under a tolerated taint", lambda: stage.driver_pod("gpu-1"))

    play(tmp_path, story)


def test_a_gang_stops_as_a_whole_and_starts_as_a_whole(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        first, second = sorted(stage.pods("llm"), key=name_of)
        await stage.client.evict("llm", name_of(first))

        def restarts() -> int:
            pod = stage.twin.cache.get(POD, name_of(second), "llm")
            assert pod is not None
            return int(pod["status"]["containerStatuses"][0]["restartCount"])

        await stage.until("the other rank fails with it", lambda: restarts() > 0)
        await stage.until(
            "all ranks run again", lambda: sum(is_true(p, "Ready") for p in stage.pods("llm")) == 2
        )

    play(tmp_path, story)


def test_operands_roll_one_node_at_a_time_and_drivers_do_not_when_their_template_changes(
    tmp_path: Path,
) -> None:
    async def story(stage: Stage) -> None:
        before = {name_of(p) for p in stage.pods(SPACE)}
        drivers = {name_of(p) for p in stage.pods(SPACE) if "driver" in name_of(p)}
        for file in stage.repository.folder.iterdir():
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace("example.com/work", "example.com/other"), encoding="utf-8")
        await stage.sync(stage.repository.push("other tolerations"))
        operands = {n for n in before - drivers if not n.startswith(("nfd-worker", "gpu-operator"))}

        def rolled() -> bool:
            pods = stage.pods(SPACE)
            new = not operands & {name_of(p) for p in pods}
            return new and len(pods) == len(before) and all(is_true(p, "Ready") for p in pods)

        await stage.until("all operands are new", rolled)
        assert drivers <= {name_of(p) for p in stage.pods(SPACE)}
        assert (stage.gpus("gpu-1"), stage.gpus("gpu-2")) == ("8", "8")
        assert not stage.events("driver-pod-deleted")

    play(tmp_path, story)
