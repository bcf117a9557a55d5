"""A node's DOCA pod: what it loads, what holds it up, and what the GPU driver beside it has to do with that."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.twin.nic_stage import NEW, NEW_SAYS, OLD_SAYS, SPACE, Nics, play, ring

from knowngood.twin.behaviours.kube import NIC_NODE_POLICY, POD, deleting, is_true, labels_of, name_of
from knowngood.twin.nic_driver import NFS, PEERMEM
from knowngood.twin.values import Object

GPU_SPACE = "nvidia-gpu-operator"
DRIVER = "595.91.07"
STORAGE = {"name": "UNLOAD_STORAGE_MODULES", "value": "true"}
NFS_RDMA = {"name": "ENABLE_NFSRDMA", "value": "true"}


async def moved(nics: Nics, *env: Object) -> None:
    """Ring 0 declares the new version, and its node's pod was deleted."""
    await nics.declare(ring("ring-0", ofedDriver={"env": list(env)}))
    await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
    await nics.restart("gpu-1")


async def fails(nics: Nics, words: str, node: str = "gpu-1") -> None:
    """Wait until the node's DOCA pod says so again and again."""

    def said() -> bool:
        pod = nics.pod(node) or {"status": {}}
        statuses = pod.get("status", {}).get("containerStatuses") or ()
        return any(words in (s["state"].get("waiting") or {}).get("message", "") for s in statuses)

    await nics.play.until(f"the pod fails: {words}", said)


def test_a_reload_takes_the_ports_for_a_while_and_leaves_the_node_as_it_was(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        machine = nics.twin.world.machines["gpu-1"]
        machine.count(0, "symbol_error", 4)
        machine.write("sys/class/infiniband/mlx5_1/device/sriov_numvfs", "8\n")
        await nics.declare(ring("ring-0"))
        port = machine.root / "sys/class/infiniband/mlx5_0/ports/1/state"
        await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
        await nics.restart("gpu-1")
        await nics.play.until("no port while it reloads", lambda: not port.exists())
        await nics.play.until("ready", lambda: nics.ready("gpu-1"))
        assert nics.running("gpu-1") == NEW_SAYS
        assert machine.read("sys/class/infiniband/mlx5_0/ports/1/counters/symbol_error") == "4"
        assert machine.read("sys/class/infiniband/mlx5_1/device/sriov_numvfs") == "8"
        assert (machine.root / "run/mellanox/drivers/.driver-ready").exists()
        lines = [entry["MESSAGE"] for entry in machine.journal.entries()]
        assert sum("Compat-mlnx-ofed" in line for line in lines) == 2, "at the boot and now"

    play(tmp_path, story)


def test_the_way_back_is_not_built_again(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await moved(nics)
        await nics.play.until("loaded", lambda: nics.ready("gpu-1"))
        inventory = nics.twin.world.machines["gpu-1"].root / "var/opt/mofed-container/inventory"
        assert {p.name for p in inventory.glob("*/*")} == {f"{OLD_SAYS}.checksum", f"{NEW_SAYS}.checksum"}

    play(tmp_path, story)


def test_the_pod_answers_what_its_image_holds_and_what_the_kernel_has(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.declare(ring("ring-0"))
        pod = nics.pod("gpu-1")
        assert pod is not None
        assert nics.twin.kubelet is not None

        async def run(*argv: str) -> str:
            assert nics.twin.kubelet is not None
            done = await nics.twin.kubelet.exec(SPACE, name_of(pod), "mofed-container", list(argv), None)
            return done.stdout.decode()

        assert await run("ofed_info", "-s") == f"OFED-internal-{OLD_SAYS}:\n"
        assert await run("cat", "/sys/module/mlx5_core/version") == f"{OLD_SAYS}\n"
        assert "Linux version 5.14.0" in await run("cat", "/proc/version")

    play(tmp_path, story)


def test_nfs_over_rdma_comes_back_only_where_the_policy_asks_for_it(tmp_path: Path) -> None:
    nodes = [
        {
            "name": n,
            "role": "gpu",
            "labels": {"example.com/ring": r},
            "nics": 2,
            "docaOfed": OLD_SAYS,
            "modules": [NFS],
        }
        for r, n in (("ring-0", "gpu-1"), ("ring-1", "gpu-2"))
    ]

    async def story(nics: Nics) -> None:
        await nics.declare(ring("ring-1", ofedDriver={"env": [STORAGE]}))
        await nics.move(NIC_NODE_POLICY, "ring-1", NEW)
        await nics.restart("gpu-2")
        await moved(nics, STORAGE, NFS_RDMA)
        await nics.play.until("both", lambda: nics.ready("gpu-1") and nics.ready("gpu-2"))
        machines = nics.twin.world.machines
        assert machines["gpu-1"].modules[NFS].abi == NEW_SAYS
        assert NFS not in machines["gpu-2"].modules

    play(tmp_path, story, nodes)


def test_storage_modules_that_may_not_go_hold_the_pod_up(tmp_path: Path) -> None:
    node = {
        "name": "gpu-1",
        "role": "gpu",
        "labels": {"example.com/ring": "ring-0"},
        "nics": 2,
        "modules": [NFS],
    }

    async def story(nics: Nics) -> None:
        await nics.play.client.create(ring("ring-0"))
        await nics.play.until("a pod", lambda: nics.pod("gpu-1"))
        await fails(nics, "UNLOAD_STORAGE_MODULES is not true")
        assert nics.running("gpu-1") == "", "the kernel's own is still in"

    play(tmp_path, story, [node])


def test_restoring_the_kernels_own_driver_leaves_nfs_over_rdma_out(tmp_path: Path) -> None:
    """network-operator 1830."""

    async def story(nics: Nics) -> None:
        await moved(nics, STORAGE, NFS_RDMA, {"name": "RESTORE_DRIVER_ON_POD_TERMINATION", "value": "true"})
        await nics.play.until("loaded", lambda: nics.ready("gpu-1"))
        machine = nics.twin.world.machines["gpu-1"]
        assert NFS in machine.modules
        await nics.play.client.delete(NIC_NODE_POLICY, "ring-0")
        await nics.play.until("the kernel's own", lambda: nics.loads("gpu-1")[-1] == "")
        assert NFS not in machine.modules

    play(tmp_path, story)


def test_rpcrdma_stays_out(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.play.fault("rpcrdma-stays-out", "gpu-1", version=NEW_SAYS)
        await moved(nics, STORAGE, NFS_RDMA)
        await nics.play.until("ready all the same", lambda: nics.ready("gpu-1"))
        assert nics.running("gpu-1") == NEW_SAYS
        assert NFS not in nics.twin.world.machines["gpu-1"].modules
        assert [e["fault"] for e in nics.play.events("fault-hit")] == ["rpcrdma-stays-out"]

    play(tmp_path, story)


def test_doca_dtk_mismatch(tmp_path: Path) -> None:
    """The pod never gets ready, and the driver that was there stays."""

    async def story(nics: Nics) -> None:
        await nics.play.fault("doca-dtk-mismatch", "gpu-1", version=NEW_SAYS)
        await moved(nics)
        await fails(nics, "its kernel packages are not of 5.14.0")
        assert nics.running("gpu-1") == OLD_SAYS
        assert nics.waits("gpu-1") == "true"
        await nics.play.clear()
        await nics.play.until("built at last", lambda: nics.running("gpu-1") == NEW_SAYS)

    play(tmp_path, story)


def test_mofed_wait_label_lies(tmp_path: Path) -> None:
    """The label says go while the old driver is in and the pod is not ready."""

    async def story(nics: Nics) -> None:
        await nics.play.fault("mofed-wait-label-lies", "gpu-1")
        await nics.play.fault("doca-dtk-mismatch", "gpu-1", version=NEW_SAYS)
        await moved(nics)
        await nics.play.until("the lie", lambda: "mofed-wait-label-lies" in hits(nics))
        await fails(nics, "timeout awaiting DTK")
        assert (nics.waits("gpu-1"), nics.running("gpu-1"), nics.ready("gpu-1")) == ("false", OLD_SAYS, False)

    play(tmp_path, story)


def hits(nics: Nics) -> set[str]:
    """The faults that struck."""
    return {e["fault"] for e in nics.play.events("fault-hit")}


def driver_set(peermem: bool = True, kind: str = "open") -> Object:
    """A driver DaemonSet for gpu-1 as the GPU Operator makes it, cut to what runs."""
    labels = {"app": "nvidia-gpu-driver", "app.kubernetes.io/component": "nvidia-driver"}
    image = f"mirror.example.com/nvidia/driver:{DRIVER}-rhcos4.18"
    env = {"DRIVER_VERSION": DRIVER, "DRIVER_CONFIG_DIGEST": "1", "KERNEL_MODULE_TYPE": kind}
    variables = [{"name": k, "value": v} for k, v in env.items()]
    containers = [{"name": "nvidia-driver-ctr", "image": image, "env": variables}]
    if peermem:
        containers.append({"name": "nvidia-peermem-ctr", "image": image, "env": []})
    pod = {
        "nodeSelector": {"example.com/ring": "ring-0"},
        "initContainers": [{"name": "k8s-driver-manager", "image": "m:1", "env": variables}],
        "containers": containers,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "nvidia-gpu-driver", "namespace": GPU_SPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": labels["app"]}},
            "updateStrategy": {"type": "OnDelete"},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


class Gpu:
    """The GPU driver pod of gpu-1 and its modules."""

    def __init__(self, nics: Nics) -> None:
        self._nics = nics
        self.machine = nics.twin.world.machines["gpu-1"]

    async def installed(self, daemon_set: Object) -> None:
        """Make its DaemonSet and wait until its pod is ready."""
        await self._nics.play.client.create(daemon_set)
        await self._nics.play.until("the GPU driver", self.ready)

    def pod(self) -> Object | None:
        """The pod, unless it is on its way out."""
        pods = self._nics.twin.cache.all(POD, GPU_SPACE)
        wanted = [p for p in pods if labels_of(p).get("app") == "nvidia-gpu-driver" and not deleting(p)]
        return wanted[0] if wanted else None

    def ready(self) -> bool:
        """Whether all its containers are."""
        pod = self.pod()
        return pod is not None and is_true(pod, "Ready")

    def container(self, name: str) -> Object:
        """The status of a container."""
        statuses = ((self.pod() or {}).get("status") or {}).get("containerStatuses") or ()
        return next((s for s in statuses if s["name"] == name), {})

    def complaint(self, name: str) -> str:
        """What a container waits for; it waits for the other drivers before it tries, and then it may fail."""
        return str((self.container(name).get("state") or {}).get("waiting", {}).get("message", ""))

    async def restarted(self, **env: str) -> None:
        """Change variables of the template, delete the pod, wait for another."""
        play, before = self._nics.play, self.pod()
        if env:
            patch = [
                {"op": "replace", "path": f"/spec/template/spec/containers/0/env/{i}/value", "value": v}
                for i, v in ((1, env["digest"]),)
            ]
            await play.client.patch(
                ("apps/v1", "DaemonSet"), "nvidia-gpu-driver", patch, GPU_SPACE, kind="json"
            )
            await asyncio.sleep(0.05)
        assert before is not None
        await play.client.delete(POD, name_of(before), GPU_SPACE)
        await play.until("another driver pod", lambda: self.pod() and self.pod() != before)


def test_after_doca_ofed_peermem_needs_a_gpu_driver_that_is_really_built_anew(tmp_path: Path) -> None:
    """gpu-operator 2868: a restart with an equal digest keeps the old modules, and peermem never gets in."""

    async def story(nics: Nics) -> None:
        gpu = Gpu(nics)
        await nics.declare(ring("ring-0"))
        await gpu.installed(driver_set())
        assert gpu.machine.modules[PEERMEM].abi == OLD_SAYS
        await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
        await nics.restart("gpu-1")
        await nics.play.until(
            "DOCA is there", lambda: nics.running("gpu-1") == NEW_SAYS and nics.ready("gpu-1")
        )
        failing = "nvidia-peermem-ctr"
        refused = "Invalid argument"
        await nics.play.until("its container fails", lambda: refused in gpu.complaint(failing))
        assert gpu.container("nvidia-driver-ctr")["ready"]
        assert not gpu.ready()
        await gpu.restarted()
        await nics.play.until("it fails on", lambda: refused in gpu.complaint(failing))
        assert PEERMEM not in gpu.machine.modules
        await gpu.restarted(digest="2")
        await nics.play.until("ready", gpu.ready)
        assert gpu.machine.modules[PEERMEM].abi == NEW_SAYS

    play(tmp_path, story)


def test_with_dma_buf_the_gpu_driver_does_not_mind(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        gpu = Gpu(nics)
        await nics.declare(ring("ring-0"))
        await gpu.installed(driver_set(peermem=False))
        await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
        await nics.restart("gpu-1")
        await nics.play.until(
            "DOCA is there", lambda: nics.running("gpu-1") == NEW_SAYS and nics.ready("gpu-1")
        )
        assert gpu.ready()

    play(tmp_path, story)


@pytest.mark.parametrize("host_ofed", [False, True])
def test_peermem_waits_for_a_doca_pod_unless_the_host_has_the_driver(tmp_path: Path, host_ofed: bool) -> None:
    """Nothing is built before, and nobody says so: the driver pod just stays in its init container."""

    async def story(nics: Nics) -> None:
        gpu = Gpu(nics)
        daemon_set = driver_set()
        if host_ofed:
            variable = {"name": "USE_HOST_MOFED", "value": "true"}
            daemon_set["spec"]["template"]["spec"]["containers"][0]["env"].append(variable)
        await nics.play.client.create(daemon_set)
        if not host_ofed:
            await nics.play.until("its pod", gpu.pod)
            await nics.play.quiet(0.5)
            assert gpu.machine.driver is None
            await nics.declare(ring("ring-0"))
        await nics.play.until("ready", gpu.ready)
        assert PEERMEM in gpu.machine.modules

    play(tmp_path, story)


def test_peermem_old_abi(tmp_path: Path) -> None:
    """Even a driver that is built anew is built against the NIC driver of before."""

    async def story(nics: Nics) -> None:
        gpu = Gpu(nics)
        await nics.play.fault("peermem-old-abi", "gpu-1")
        await nics.declare(ring("ring-0"))
        await gpu.installed(driver_set())
        await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
        await nics.restart("gpu-1")
        await nics.play.until(
            "DOCA is there", lambda: nics.running("gpu-1") == NEW_SAYS and nics.ready("gpu-1")
        )
        await gpu.restarted(digest="2")
        await nics.play.until("loaded anew", lambda: "peermem-old-abi" in hits(nics))
        await nics.play.until("it fails", lambda: "Invalid argument" in gpu.complaint("nvidia-peermem-ctr"))
        lines = [entry["MESSAGE"] for entry in gpu.machine.journal.entries()]
        assert "nvidia_peermem: disagrees about version of symbol ib_register_peer_memory_client" in lines

    play(tmp_path, story)


@pytest.mark.parametrize("who", ["doca", "gpu driver"])
def test_peermem_will_not_unload(tmp_path: Path, who: str) -> None:
    """Neither driver can go while somebody holds it; a boot ends that."""

    async def story(nics: Nics) -> None:
        gpu = Gpu(nics)
        await nics.declare(ring("ring-0"))
        await gpu.installed(driver_set())
        await nics.play.fault("peermem-will-not-unload", "gpu-1")
        if who == "doca":
            await nics.move(NIC_NODE_POLICY, "ring-0", NEW)
            await nics.restart("gpu-1")
            await fails(nics, "failed to unload nvidia_peermem module")
            assert nics.running("gpu-1") == OLD_SAYS
        else:
            await gpu.restarted(digest="2")
            await nics.play.until("it is tried", lambda: "peermem-will-not-unload" in hits(nics))
        assert PEERMEM in gpu.machine.modules
        await nics.play.clear()
        await nics.play.fault("node-reboots", "gpu-1", seconds="1")
        await nics.play.until("both are there", lambda: nics.ready("gpu-1") and gpu.ready())
        assert nics.running("gpu-1") == (NEW_SAYS if who == "doca" else OLD_SAYS)

    play(tmp_path, story)


def test_auto_picks_other_flavour(tmp_path: Path) -> None:
    async def story(nics: Nics) -> None:
        await nics.play.fault("auto-picks-other-flavour", "gpu-1")
        gpu = Gpu(nics)
        await gpu.installed(driver_set(peermem=False, kind="auto"))
        assert "Open Kernel Module" not in gpu.machine.read("proc/driver/nvidia/version")
        assert hits(nics) == {"auto-picks-other-flavour"}

    play(tmp_path, story)
