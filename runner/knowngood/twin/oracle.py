"""The oracle's eye: what a cluster is now, from the machines' files, the API and Git. It believes no status field."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from knowngood.twin.behaviours.argo_git import MADE, RENDERED, Mirror
from knowngood.twin.behaviours.chart_objects import is_chart
from knowngood.twin.behaviours.gpu_manifests import OPERANDS
from knowngood.twin.behaviours.kube import (
    APPLICATION,
    JOB,
    NODE,
    POD,
    Kind,
    annotations_of,
    controller_of,
    is_true,
    labels_of,
    name_of,
    node_of,
)
from knowngood.twin.client import Client, ClientError
from knowngood.twin.events import now
from knowngood.twin.fleet_view import fleet
from knowngood.twin.values import Object
from knowngood.twin.world import DRIVER_STATE, JOURNAL

SCHEMA = 1
BANNER = "NVRM: loading NVIDIA UNIX"
BACKPORT = "Compat-mlnx-ofed backport release"
OURS = "knowngood"
WORKLOADS: tuple[Kind, ...] = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"))


async def snapshot(client: Client, state_dir: Path) -> Object:
    """Everything that must be equal when a run says `restored`, and the loads and workloads beside it."""
    pods = (await client.list(POD)).items
    nodes = {}
    loads = {}
    for node in (await client.list(NODE)).items:
        name = name_of(node)
        root = state_dir / "nodes" / name / "root"
        nodes[name] = _api_view(node, pods) | (host_view(root) if root.is_dir() else {})
        loads[name] = load_view(root)
    return {
        "schema": SCHEMA,
        "time": now(),
        "nodes": nodes,
        "fleet": await fleet(client),
        "ours": await _ours(client, pods),
        "declared": await _declared(client),
        "loads": loads,
        "workloads": await _workloads(client),
    }


def _api_view(node: Object, pods: list[Object]) -> Object:
    taints = node["spec"].get("taints") or ()
    return {
        "labels": dict(labels_of(node)),
        "annotations": dict(annotations_of(node)),
        "taints": sorted(f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in taints),
        "unschedulable": bool(node["spec"].get("unschedulable")),
        "ready": is_true(node, "Ready"),
        "allocatable": {k: str(v) for k, v in node["status"]["allocatable"].items() if "/" in k},
        "operands": _operands(name_of(node), pods),
    }


def _operands(node: str, pods: list[Object]) -> dict[str, str]:
    """Each operand's pod on the node: its image and whether it is ready."""
    found = {}
    for pod in pods:
        owner = controller_of(pod)
        if node_of(pod) != node or owner is None or owner["kind"] != "DaemonSet":
            continue
        if owner["name"] in OPERANDS or "nvidia-driver" in labels_of(pod).values():
            images = ",".join(c["image"] for c in pod["spec"]["containers"])
            found[owner["name"]] = f"{images} {'ready' if is_true(pod, 'Ready') else 'not ready'}"
    return found


def host_view(root: Path) -> Object:
    """What a machine's files say: drivers with what belongs to them, GPUs, ports, virtual functions."""
    libraries = sorted(p.name for p in (root / "usr/lib64").glob("libcuda.so.*"))
    gpus = root / "proc/driver/nvidia/gpus"
    banner = _read(root / "proc/driver/nvidia/version").partition("\n")[0]
    return {
        "module": _read(root / "sys/module/nvidia/version"),
        "flavour": "open" if "Open Kernel Module" in banner else ("proprietary" if banner else ""),
        "userSpace": [name.removeprefix("libcuda.so.") for name in libraries],
        "driverState": _read(root / DRIVER_STATE),
        "gpus": sorted(p.name for p in gpus.iterdir()) if gpus.is_dir() else [],
        "peermem": (root / "sys/module/nvidia_peermem").exists(),
        "nicDriver": _read(root / "sys/module/mlx5_core/version"),
        "nfsOverRdma": (root / "sys/module/rpcrdma").exists(),
        "gds": _read(root / "sys/module/nvidia_fs/version"),
        "vfs": {
            p.parts[-3]: _read(p)
            for p in sorted((root / "sys/class/infiniband").glob("*/device/sriov_numvfs"))
            if _read(p) != "0"
        },
        "nicFirmware": sorted({_read(p) for p in (root / "sys/class/infiniband").glob("*/fw_ver")}),
        "portsDown": sorted(
            p.parts[-4]
            for p in (root / "sys/class/infiniband").glob("*/ports/1/state")
            if "ACTIVE" not in _read(p)
        ),
    }


def load_view(root: Path) -> dict[str, str]:
    """Which loads of the drivers these are: the last banner of the present boot, the last backport line."""
    boot = _read(root / "proc/sys/kernel/random/boot_id").replace("-", "")
    found = {"bootId": boot, "monotonic": "", "version": _read(root / "sys/module/nvidia/version"), "nic": ""}
    journal = root / JOURNAL
    if journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            for key, words in (("monotonic", BANNER), ("nic", BACKPORT)):
                if entry["_BOOT_ID"] == boot and entry["MESSAGE"].startswith(words):
                    found[key] = entry["__MONOTONIC_TIMESTAMP"]
    return found


async def _ours(client: Client, pods: list[Object]) -> dict[str, list[str]]:
    """What lies in knowngood's namespace: Jobs and pods by name."""
    jobs = (await client.list(JOB, OURS)).items
    return {
        "jobs": sorted(name_of(job) for job in jobs),
        "pods": sorted(name_of(pod) for pod in pods if pod["metadata"]["namespace"] == OURS),
    }


async def _declared(client: Client) -> Object:
    """Every scalar of every manifest that the Applications read, by file: `spec.version` -> text.

    What a kustomization or a chart makes has no file of its own: it goes by its folder.
    """
    try:
        apps = (await client.list(APPLICATION)).items
    except ClientError as error:
        if error.code != 404:  # else both snapshots would say that nothing is declared, and be equal
            raise
        return {}
    found: Object = {}
    with tempfile.TemporaryDirectory() as folder:
        for app in (app for app in apps if not is_chart(app)):
            source = app["spec"]["source"]
            mirror = Mirror(Path(folder), source["repoURL"])
            commit = await mirror.fetch(source.get("targetRevision") or "HEAD")
            for name, content in (await mirror.files(commit.sha, app)).items():
                documents = list(yaml.load_all(content, Loader=yaml.BaseLoader))
                key = f"{source['path']} rendered" if name in (RENDERED, MADE) else name
                found[key] = _flat(documents[0] if len(documents) == 1 else documents)
    return found


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        pairs = [(f"{prefix}.{key}" if prefix else str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{prefix}[{index}]", inner) for index, inner in enumerate(value)]
    else:
        return {prefix: str(value)}
    found: dict[str, str] = {}
    for path, inner in pairs:
        found |= _flat(inner, path)
    return found


async def _workloads(client: Client) -> dict[str, str]:
    """Workloads of all namespaces: how many of how many pods are ready."""
    found = {}
    for kind in WORKLOADS:
        for obj in (await client.list(kind)).items:
            ready = (obj.get("status") or {}).get("readyReplicas", 0)
            key = f"{kind[1]} {obj['metadata']['namespace']}/{name_of(obj)}"
            found[key] = f"{ready} of {obj['spec'].get('replicas', 1)}"
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
