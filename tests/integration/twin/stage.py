"""A small twin in this process, its GitOps repository, and the questions the tests ask of both."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from knowngood.twin import events, faults, seed
from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import (
    APPLICATION,
    COMPONENT_LABEL,
    DRIVER_COMPONENT,
    GPU,
    NODE,
    NVIDIA_DRIVER,
    POD,
    Kind,
    Object,
    deleting,
    is_true,
    labels_of,
    name_of,
    node_of,
)
from knowngood.twin.client import Client, ClientError
from knowngood.twin.up import Options, start

Story = Callable[["Stage"], Awaitable[None]]

OLD, NEW, BAD = "580.173.02", "595.91.07", "610.57.04"
RINGS = {"ring-0": "gpu-1", "ring-1": "gpu-2"}
FOLDER = "clusters/small/gpu"
SPACE = "nvidia-gpu-operator"
PATIENCE_S = 20.0
HARDWARE = {
    "product": "PowerEdge XE7740",
    "gpus": 8,
    "gpuModel": "NVIDIA H200 NVL",
    "gpuPciId": "10de:233b",
    "nvswitch": False,
    "nics": 8,
    "nicModel": "ConnectX-7",
    "nicFirmware": "28.47.1026",
    "docaOfed": "25.10-1.7.1.0",
}


def tolerations(*keys: str) -> list[dict[str, str]]:
    """What the operands tolerate beside nvidia.com/gpu."""
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]


def manifests() -> dict[str, Object]:
    """What Git holds at first, by file."""
    tolerated = tolerations("example.com/work")
    found: dict[str, Object] = {
        "clusterpolicy.yaml": {
            "apiVersion": "nvidia.com/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": "gpu-cluster-policy"},
            "spec": {
                "operator": {},
                "daemonsets": {"tolerations": tolerated},
                "driver": {"useNvidiaDriverCRD": True, "upgradePolicy": {"autoUpgrade": False}},
                **{
                    part: {"enabled": True}
                    for part in ("toolkit", "devicePlugin", "dcgm", "dcgmExporter", "gfd")
                },
                "nodeStatusExporter": {"enabled": False},
            },
        }
    }
    for ring in RINGS:
        found[f"nvidiadriver-{ring}.yaml"] = {
            "apiVersion": "nvidia.com/v1alpha1",
            "kind": "NVIDIADriver",
            "metadata": {"name": ring},
            "spec": {
                "driverType": "gpu",
                "repository": "mirror.example.com/nvidia",
                "image": "driver",
                "version": OLD,
                "kernelModuleType": "open",
                "nodeSelector": {"example.com/ring": ring},
                "upgradePolicy": {"autoUpgrade": False},
                "tolerations": tolerated,
            },
        }
    return found


def seed_document(repo: Path) -> dict[str, Any]:
    """Two rings of one node, a control plane, a virtual node, a served model and a gang."""
    gpu = [
        {"name": n, "role": "gpu", "labels": {"example.com/ring": r}, **HARDWARE} for r, n in RINGS.items()
    ]
    others = [{"name": "cp-1", "role": "control-plane"}, {"name": "liqo-1", "role": "virtual"}]
    serve = {"name": "serve", "kind": "Deployment", "replicas": 4, "gpusPerPod": 1, "minAvailable": 2}
    train = {"name": "train", "kind": "gang", "replicas": 2, "gpusPerPod": 2}
    return {
        "schema": 1,
        "cluster": "small",
        "kubernetes": "v1.31.9",
        "openshift": "4.18.52",
        "nodes": [*gpu, *others],
        "gpuOperator": {"version": "26.7.0", "namespace": SPACE},
        "networkOperator": {"version": "26.4.1", "namespace": "nvidia-network-operator"},
        "tenants": [
            {"name": "vision", "namespace": "vision", "workloads": [serve]},
            {"name": "llm", "namespace": "llm", "workloads": [train]},
        ],
        "gitops": {
            "repo": f"file://{repo}",
            "branch": "main",
            "applications": [{"name": "small-gpu", "namespace": "openshift-gitops", "path": FOLDER}],
        },
    }


class Repository:
    """The GitOps repository: a bare one and a clone to push from."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "gitops.git"
        self.clone = folder / "clone"
        _git("init", "-q", "--bare", "-b", "main", str(self.bare))
        _git("clone", "-q", str(self.bare), str(self.clone))
        self.folder = self.clone / FOLDER
        self.folder.mkdir(parents=True)
        for name, obj in manifests().items():
            (self.folder / name).write_text(yaml.safe_dump(obj), encoding="utf-8")
        self.push("what runs today")

    def push(self, subject: str) -> str:
        """Commit everything and push; returns the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def move(self, ring: str, version: str) -> str:
        """Declare another driver for a ring."""
        file = self.folder / f"nvidiadriver-{ring}.yaml"
        obj = yaml.safe_load(file.read_text(encoding="utf-8"))
        obj["spec"]["version"] = version
        file.write_text(yaml.safe_dump(obj), encoding="utf-8")
        return self.push(f"{ring} to {version}")

    def revert(self) -> str:
        """Revert the last commit."""
        self.git("revert", "--no-edit", "HEAD")
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git in the clone."""
        return _git("-C", str(self.clone), *arguments)


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
        """Evict a pod; whether its budget allowed it."""
        try:
            await self.client.evict(pod["metadata"]["namespace"], name_of(pod))
        except ClientError as error:
            if error.code not in {404, 429}:
                raise
            return error.code == 404
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
                and len(pods) >= 6
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


def _git(*arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()
