"""A small twin in this process, its GitOps repository, and the questions the tests ask of both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tests.integration.twin.setting import RINGS, SPACE, Repository, seed_document

from knowngood.twin import events, faults, seed
from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.gpu_manifests import OPERANDS
from knowngood.twin.behaviours.kube import (
    APPLICATION,
    COMPONENT_LABEL,
    DRIVER_COMPONENT,
    GPU,
    NODE,
    NVIDIA_DRIVER,
    POD,
    Kind,
    deleting,
    is_true,
    labels_of,
    name_of,
    node_of,
)
from knowngood.twin.client import Client, ClientError
from knowngood.twin.up import Options, start
from knowngood.twin.values import Object

Story = Callable[["Stage"], Awaitable[None]]

RUNNING = [name for name, operand in OPERANDS.items() if not operand.also]  # on any node with GPUs
PATIENCE_S = 60.0


class Stage:
    """A twin that has settled, as a client sees it, and as nobody but a test does (`twin`)."""

    def __init__(self, twin: Twin, client: Client, repository: Repository, state: Path) -> None:
        self.twin = twin
        self.client = client
        self.repository = repository
        self.state = state
        assert twin.kubelet is not None
        self.backend = twin.kubelet

    async def until(self, what: str, condition: Callable[[], Any], patience: float = PATIENCE_S) -> None:
        """Wait for a condition on the cache or the machines."""
        try:
            async with asyncio.timeout(patience):
                while not condition():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never came: {what}") from None

    def node(self, name: str) -> Object:
        """A node as the behaviours know it."""
        found = self.twin.cache.get(NODE, name)
        assert found is not None
        return found

    def gpus(self, name: str) -> str:
        """Its allocatable GPUs."""
        return str(self.node(name)["status"]["allocatable"][GPU])

    def module(self, name: str) -> str:
        """The version of the loaded nvidia module."""
        return self.twin.world.machines[name].read("sys/module/nvidia/version")

    def kernel(self, name: str) -> list[str]:
        """All kernel lines."""
        return [entry["MESSAGE"] for entry in self.twin.world.machines[name].journal.entries()]

    def pods(self, namespace: str) -> list[Object]:
        """All pods of a namespace that nobody deletes."""
        return [pod for pod in self.twin.cache.all(POD, namespace) if not deleting(pod)]

    def driver_pod(self, node: str) -> Object | None:
        """The node's driver pod."""
        for pod in self.pods(SPACE):
            if node_of(pod) == node and labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT:
                return pod
        return None

    def operand(self, name: str, node: str) -> Object | None:
        """An operand's pod on a node."""
        found = [p for p in self.pods(SPACE) if node_of(p) == node and labels_of(p).get("app") == name]
        return found[0] if found else None

    def events(self, event: str = "", node: str = "") -> list[events.Event]:
        """The event log since the cluster had settled."""
        rows = list(events.read(self.state / "events.jsonl"))
        settled = next(i for i, row in enumerate(rows) if row["event"] == "settled")
        return [r for r in rows[settled:] if event in {"", r["event"]} and node in {"", r["node"]}]

    async def sync(self, commit: str) -> Object:
        """Have Argo CD look, and wait until it has compared or tried that commit."""
        await self.client.patch(
            APPLICATION,
            "small-gpu",
            {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}},
            "openshift-gitops",
        )

        def seen() -> bool:
            app = self.twin.cache.get(APPLICATION, "small-gpu", "openshift-gitops")
            assert app is not None
            refreshing = "argocd.argoproj.io/refresh" in (app["metadata"].get("annotations") or {})
            return not refreshing and bool(app["status"]["sync"]["revision"] == commit)

        await self.until(f"Argo CD at {commit[:8]}", seen)
        return await self.client.get(APPLICATION, "small-gpu", "openshift-gitops")

    async def version_of(self, ring: str) -> str:
        """The version in the live NVIDIADriver."""
        return str((await self.client.get(NVIDIA_DRIVER, ring))["spec"]["version"])

    async def log(self, job: str) -> str:
        """What the only pod of a Job wrote."""
        pod = next(
            p for p in self.twin.cache.all(POD, "knowngood") if p["metadata"]["labels"].get("job-name") == job
        )
        server = self.client._server
        url = f"{server}/api/v1/namespaces/knowngood/pods/{name_of(pod)}/log"
        async with self.client._http().get(url) as answer:
            return await answer.text()

    async def done(self, job: str) -> Object:
        """Wait until a Job has ended, well or badly; returns its status."""

        def status() -> Object:
            return (self.twin.cache.get(("batch/v1", "Job"), job, "knowngood") or {}).get("status") or {}

        await self.until(f"Job {job} ends", lambda: {"Complete", "Failed"} & _types(status()))
        return status()

    async def cordon(self, node: str, *, on: bool = True) -> None:
        """What kubectl cordon does."""
        await self.client.patch(NODE, node, {"spec": {"unschedulable": on or None}})

    async def taint(self, node: str, key: str = "example.com/work") -> None:
        """A NoSchedule taint, beside nothing else."""
        await self.client.patch(NODE, node, {"spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}})

    def tenants_on(self, node: str) -> list[Object]:
        """The tenants' pods on a node, those on their way out too."""
        return [
            p for space in ("vision", "llm") for p in self.twin.cache.all(POD, space) if node_of(p) == node
        ]

    async def empty(self, node: str) -> None:
        """Cordon, then evict the tenants' pods as their budgets allow, and wait until they are gone."""
        await self.cordon(node)
        async with asyncio.timeout(PATIENCE_S):
            while pods := self.tenants_on(node):
                for pod in pods:
                    if not deleting(pod):
                        await self.evicted(pod)
                await asyncio.sleep(0.02)

    async def evicted(self, pod: Object) -> bool:
        """Evict a pod; whether its budget allowed it. A budget that was changed just now is asked again."""
        while True:
            try:
                await self.client.evict(pod["metadata"]["namespace"], name_of(pod))
            except ClientError as error:
                if error.code not in {404, 429}:
                    raise
                if "still being processed" not in str(error.body):
                    return error.code == 404
                await asyncio.sleep(0.02)
            else:
                return True

    async def restart_driver(self, node: str) -> None:
        """Delete the node's driver pod."""
        pod = self.driver_pod(node)
        assert pod is not None
        await self.client.delete(POD, name_of(pod), SPACE)
        await self.until("the old driver pod is gone", lambda: self.driver_pod(node) not in (None, pod))

    async def at_rest(self, node: str, version: str) -> None:
        """Wait until the node runs that driver with all operands ready and all GPUs."""

        def ready() -> bool:
            pods = [p for p in self.twin.cache.all(POD, SPACE) if node_of(p) == node]
            return (
                self.module(node) == version
                and self.gpus(node) == "8"
                and {*RUNNING} <= {labels_of(p)["app"] for p in pods}
                and self.driver_pod(node) is not None
                and all(is_true(p, "Ready") and not deleting(p) for p in pods)
            )

        await self.until(f"{node} at rest with {version}", ready)

    async def upgrade(self, ring: str, version: str) -> None:
        """Declare, empty, restart, wait."""
        await self.sync(self.repository.move(ring, version))
        await self.empty(RINGS[ring])
        await self.restart_driver(RINGS[ring])
        await self.at_rest(RINGS[ring], version)

    def out(self) -> bool:
        """Whether the API answers nobody now."""
        return any(task.get_name().startswith("fault api-outage") for task in asyncio.all_tasks())

    async def fault(self, name: str, node: str = "", **params: str) -> None:
        """Inject a fault and wait until the twin knows it."""
        fault = faults.make(name, node, params)
        made = await self.client.create(faults.to_config_map(fault))
        uid = made["metadata"]["uid"]
        await self.until(f"{name} is known", lambda: uid in self.twin.faults.uids())

    async def clear(self) -> None:
        """End all faults."""
        kind: Kind = ("v1", "ConfigMap")
        for obj in (await self.client.list(kind, faults.NAMESPACE, labels=faults.LABEL)).items:
            await self.client.delete(kind, name_of(obj), faults.NAMESPACE)
        await self.until("no fault is left", lambda: not self.twin.faults.uids())


@contextlib.asynccontextmanager
async def raised(
    folder: Path, scale: float = 300.0, change: Mapping[str, Any] | None = None
) -> AsyncIterator[Stage]:
    """A small twin that has settled; `change` replaces top-level keys of its seed."""
    repository = Repository(folder)
    state = folder / "state"
    state.mkdir()
    document = {**seed_document(repository.bare), **(change or {})}
    options = Options(seed.parse(document), state, folder / "kubeconfig", time_scale=scale)
    async with contextlib.AsyncExitStack() as stack:
        twin = await start(options, stack)
        async with Client.from_kubeconfig(folder / "kubeconfig", "test") as client:
            yield Stage(twin, client, repository, state)


def play(folder: Path, story: Story, scale: float = 300.0, **change: Any) -> None:
    """Raise a twin and tell the story on it."""

    async def run() -> None:
        async with raised(folder, scale, change) as stage:
            await story(stage)

    asyncio.run(run())


def _types(status: Object) -> set[str]:
    return {c["type"] for c in status.get("conditions") or () if c["status"] == "True"}


def smoke_job(node: str, *command: str, gpus: int = 0, name: str = "smoke", **spec: Any) -> Object:
    """A Job on one node that runs a command with the host mounted at /host."""
    devices = {GPU: str(gpus)} if gpus else {}
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "knowngood"},
        "spec": {
            "backoffLimit": 0,
            **spec,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "affinity": {
                        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}
                    },
                    "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
                    "containers": [
                        {
                            "name": "smoke",
                            "image": "example.com/smoke:1",
                            "command": list(command),
                            "env": [
                                {
                                    "name": "NODE_NAME",
                                    "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}},
                                }
                            ],
                            "volumeMounts": [{"name": "host", "mountPath": "/host", "readOnly": True}],
                            "resources": {"limits": devices, "requests": devices},
                        }
                    ],
                }
            },
        },
    }
