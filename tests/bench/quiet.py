"""The twin's API server without behaviours: `python -m tests.bench.quiet SEED STATE [ENTRIES]` serves until ended.

Every GPU node has a driver pod that runs, nvidia-smi in it, and files that a reader finds through it; nothing ever
changes. So what a reader costs is the reader's own. It writes STATE/kubeconfig when it serves, STATE/costs.json when it
ends, and STATE/journals.json: node -> how many answers with all of its drivers' lines it gave. Each journal has so many
ENTRIES more, every one another, from before the driver's load on.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import yaml

from knowngood.twin import journal as journals
from knowngood.twin import objects
from knowngood.twin.api.kubelet import ExecResult, KubeletBackend
from knowngood.twin.api.server import ApiServer
from knowngood.twin.behaviours import gpu_manifests as manifests
from knowngood.twin.behaviours import nvidia_smi, pod_status, processes
from knowngood.twin.behaviours.kube import COMPONENT_LABEL, DRIVER_COMPONENT, GPU
from knowngood.twin.behaviours.operands import gpu_labels
from knowngood.twin.events import EventLog
from knowngood.twin.host_files import OPEN
from knowngood.twin.seed import Seed, load
from knowngood.twin.up import crds_of
from knowngood.twin.values import Object
from knowngood.twin.world import World

VERSION = "580.173.02"
AT_A_TIME = 8
FLOOD = "NVRM: Xid (PCI:0000:18:00): 31, pid={}, name=pt_main_thread, Ch 00000010, MMU Fault"


class Quiet(KubeletBackend):
    """Answers exec with real processes on a host's files, and the journal."""

    def __init__(self, world: World, pods: Mapping[str, Object], entries: int = 0) -> None:
        self._world = world
        self._pods = pods
        self._entries = entries
        self._free = asyncio.Semaphore(AT_A_TIME)
        self.whole: Counter[str] = Counter()

    async def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: list[str],
        stdin: bytes | None,
        timeout: float | None = None,
    ) -> ExecResult:
        obj = self._pods[pod]
        machine = self._world.machines[obj["spec"]["nodeName"]]
        machine.tick()
        if argv[0] == "nvidia-smi":
            return nvidia_smi.run(machine, argv[1:])
        own = machine.root.parent / "pod"
        view = processes.host_view(obj, obj["spec"]["containers"][0], machine.root, own)
        async with self._free:
            return await processes.run(argv, {}, view, "", stdin, timeout)

    async def logs(
        self, namespace: str, pod: str, container: str, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def journal(self, node: str, query: Mapping[str, str]) -> bytes:
        machine = self._world.machines[node]
        own = journals.answer(machine.journal.entries(), query)
        asked = re.search(query.get("grep", ""), FLOOD) and "until" not in query
        if "tail" in query or not asked or query.get("boot", "0") != "0":
            return own
        self.whole[node] += 1
        return own + self._flood(machine.boot_id.replace("-", "")) if self._entries else own

    def _flood(self, boot: str) -> bytes:
        base = json.dumps(
            {"_TRANSPORT": "kernel", "_BOOT_ID": boot, "SYSLOG_FACILITY": "0", "_HOSTNAME": "gpu"}
        )
        head = base.removesuffix("}")
        lines = (
            f'{head}, "__MONOTONIC_TIMESTAMP": "{number}", "MESSAGE": "{FLOOD.format(number)}"}}\n'
            for number in range(self._entries)
        )
        return "".join(lines).encode()

    async def log_file(self, node: str, name: str) -> bytes | None:
        """RHEL CoreOS has none."""
        return None


def driver_pod(seed: Seed, node: str) -> Object:
    """A driver pod that runs."""
    image = f"mirror.example.com/nvidia/driver:{VERSION}-rhel9"
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"driver-{node}",
            "namespace": seed.gpu_operator.namespace,
            "uid": f"uid-{node}",
            "labels": {COMPONENT_LABEL: DRIVER_COMPONENT, "app": "driver"},
        },
        "spec": {"nodeName": node, "containers": [{"name": manifests.DRIVER_CONTAINER, "image": image}]},
    }
    now = pod_status.Progress(main=pod_status.READY, started="2026-11-28T00:00:00Z")
    return {**pod, "status": pod_status.status(pod, now, "10.0.0.1", "10.128.0.1")}


async def serve(seed: Seed, state: Path, entries: int) -> None:
    """Serve until INT or TERM. `entries`: more in each journal."""
    server = ApiServer(state)
    for crd in crds_of(seed):
        server.install_crd(crd)
    world = World(seed, state, EventLog(state / "events.jsonl"), objects.os_release(seed.openshift))
    world.boot()
    for obj in objects.all_objects(seed):
        machine = world.machines.get(obj["metadata"]["name"]) if obj["kind"] == "Node" else None
        if machine is not None:
            obj["status"]["nodeInfo"]["bootID"] = machine.boot_id
            if machine.seed.gpus:
                machine.load_driver(VERSION, OPEN)
                machine.install_user_space(VERSION)
                obj["status"]["allocatable"][GPU] = str(machine.seed.gpus)
                obj["metadata"]["labels"] |= gpu_labels(machine, VERSION)
        server.seed(obj)
    gpu = [node.name for node in seed.nodes if node.role == "gpu"]
    pods = {f"driver-{name}": driver_pod(seed, name) for name in gpu}
    for pod in pods.values():
        server.seed(pod)
    server.kubelet = quiet = Quiet(world, pods, entries)
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await server.start()
    (state / "kubeconfig").write_text(yaml.safe_dump(server.kubeconfig()))
    await stop.wait()
    (state / "costs.json").write_text(json.dumps(server.tally.summary()))
    (state / "journals.json").write_text(json.dumps(quiet.whole))
    await server.stop()


def main(arguments: list[str]) -> None:
    """Serve the cluster of a seed file."""
    state = Path(arguments[1])
    state.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(load(Path(arguments[0])), state, int(arguments[2]) if len(arguments) > 2 else 0))


if __name__ == "__main__":
    main(sys.argv[1:])
