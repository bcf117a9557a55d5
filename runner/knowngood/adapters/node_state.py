"""Measure one node: its object, its pods, what exec in the driver pod prints, and the kernel journal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from knowngood.adapters import actors, facts, kube_exec
from knowngood.adapters.facts import DRIVER_CONTAINER
from knowngood.adapters.kube import ApiError, Kube, Object
from knowngood.model.errors import Unreachable
from knowngood.model.node import NodeState

PATIENCE = 5.0  # seconds for one node's kubelet; the others must not wait for it
CORDON_TAINT = "node.kubernetes.io/unschedulable"
"""A controller's shadow of the cordon; it comes and goes a moment later, so it is no fact of its own."""
NICS = 16  # most RDMA devices looked for; exec has no shell, so no wildcard
FILES = (
    "/proc/sys/kernel/random/boot_id",
    "/proc/uptime",
    "/proc/version",
    "/proc/driver/nvidia/version",
    "/proc/driver/nvidia/gpus",
    "/sys/module/nvidia/version",
    "/sys/module/mlx5_core/version",
    "/sys/module/nvidia_peermem/version",
    "/sys/class/dmi/id/product_name",
    *(f"/sys/class/infiniband/mlx5_{i}/fw_ver" for i in range(NICS)),
)
_LIBCUDA = re.compile(r"libcuda\.so\.(\d+\.\d[\d.]*)$", re.MULTILINE)


def measure(kube: Kube, node: Object, pods: Sequence[Object], *, gpu: bool) -> NodeState:
    """One node now. `pods` are the GPU operator's on it; without GPUs the node object is all there is to read."""
    name = str(node["metadata"]["name"])
    common = _of_object(node)
    if not facts.node_ready(node):
        return NodeState(name, reachable=False, trouble="the node is not Ready", **common)
    if not gpu:
        info = node["status"].get("nodeInfo") or {}
        versions = {"rhcos-kernel": str(info.get("kernelVersion") or "")}
        return NodeState(
            name,
            reachable=True,
            ready=True,
            boot_id=str(info.get("bootID") or ""),
            versions=versions,
            **common,
        )
    operands = {_daemonset(p): p for p in pods if _daemonset(p) in facts.OPERANDS}
    states = {d: facts.pod_state(p) for d, p in sorted(operands.items())}
    images = {d: facts.running_image(p) for d, p in sorted(operands.items())}
    driver = next(
        (p for p in pods if facts.is_driver_pod(p) and not p["metadata"].get("deletionTimestamp")), None
    )
    if driver is not None:
        states["nvidia-driver"] = facts.pod_state(driver)
        images["nvidia-driver"] = facts.running_image(driver, DRIVER_CONTAINER)
    common |= {"operands": states, "images": images}
    try:
        read, libraries = _read(kube, driver)
        load = facts.module_load(kube, name, PATIENCE)
    except (ApiError, Unreachable) as error:
        seen = _by_journal(kube, name)
        return NodeState(name, reachable=False, ready=True, trouble=str(error), **seen, **common)
    return NodeState(
        name,
        reachable=True,
        ready=True,
        boot_id=_first(read, "/proc/sys/kernel/random/boot_id"),
        uptime_seconds=_number(_first(read, "/proc/uptime")),
        load=load,
        versions=_versions(read, libraries),
        gpus=tuple(sorted({gpu_of(p) for p in read if gpu_of(p)})),
        facts=_facts(node, read),
        **common,
    )


def _by_journal(kube: Kube, name: str) -> dict[str, Any]:
    """Boot id, uptime and load as far as the kernel journal tells them: it needs no driver pod.

    The uptime is that of the newest line, so that a window opened now loses no line.
    """
    try:
        lines = facts.kernel_lines(kube, name, busy=PATIENCE)
    except (ApiError, Unreachable):
        return {}
    if not lines:
        return {}
    newest = max(lines, key=lambda line: int(line.get("__MONOTONIC_TIMESTAMP") or 0))
    return {
        "boot_id": facts.dashed(str(newest.get("_BOOT_ID") or "")),
        "uptime_seconds": int(newest.get("__MONOTONIC_TIMESTAMP") or 0) / 1e6,
        "load": facts.last_load(lines),
    }


def _of_object(node: Object) -> dict[str, Any]:
    labels = {str(k): str(v) for k, v in (node["metadata"].get("labels") or {}).items()}
    annotations = node["metadata"].get("annotations") or {}
    return {
        "labels": labels,
        "annotations": {k: str(v) for k, v in annotations.items() if k.startswith(actors.OTHERS_ANNOTATIONS)},
        "taints": tuple(sorted(_taint(t) for t in actors.taints(node) if t["key"] != CORDON_TAINT)),
        "unschedulable": bool((node.get("spec") or {}).get("unschedulable")),
        "allocatable": facts.extended((node.get("status") or {}).get("allocatable") or {}),
    }


def _taint(taint: Mapping[str, Any]) -> str:
    return f"{taint['key']}={taint.get('value') or ''}:{taint['effect']}"


def _read(kube: Kube, driver: Object | None) -> tuple[dict[str, list[str]], str]:
    """What the node's files say, line by line, and the list of libraries, through the driver pod."""
    if driver is None:
        raise Unreachable("no driver pod runs on it: its files can't be read")
    metadata = driver["metadata"]
    where = (metadata["namespace"], metadata["name"], DRIVER_CONTAINER)
    files = kube_exec.run(kube, *where, ["grep", "-rsH", "", *FILES])
    if not files.stdout:
        raise Unreachable(f"exec in {metadata['name']} printed nothing: {files.stderr[:200]}")
    find = ["find", "/usr/lib64", "-maxdepth", "1", "-name", "libcuda.so.*.*"]
    return parse_grep(files.stdout), kube_exec.run(kube, *where, find).stdout


def parse_grep(text: str) -> dict[str, list[str]]:
    """`grep -H` output as path -> lines. PCI addresses in paths have colons: the path ends at a known name."""
    read: dict[str, list[str]] = {}
    for line in text.split("\n"):
        match = _LINE.match(line)
        if match:
            read.setdefault(match["path"], []).append(match["text"])
    return read


_LINE = re.compile(r"(?P<path>/proc/driver/nvidia/gpus/[^/]+/[a-z]+|/[^:]+):(?P<text>.*)")


def gpu_of(path: str) -> str:
    """The PCI address in a path under /proc/driver/nvidia/gpus, "" for another path."""
    head, _, tail = path.partition("/proc/driver/nvidia/gpus/")
    return tail.partition("/")[0] if not head and tail else ""


def _versions(read: Mapping[str, list[str]], libraries: str) -> dict[str, str]:
    """What runs, by component; a component that can't be told is absent."""
    banner = _first(read, "/proc/driver/nvidia/version")
    flavour = ""
    if banner:
        flavour = "open" if "Open Kernel Module" in banner else "proprietary"
    firmware = [
        line for path, lines in read.items() if gpu_of(path) for line in lines if "GPU Firmware" in line
    ]
    kernel = re.match(r"Linux version (\S+)", _first(read, "/proc/version"))
    peermem = _first(read, "/sys/module/nvidia_peermem/version")
    found = {
        "nvidia-driver": _first(read, "/sys/module/nvidia/version"),
        "nvidia-user-space": _one(_LIBCUDA.findall(libraries)),
        "gsp-firmware": _one(line.partition(":")[2].strip() for line in firmware),
        "doca-ofed": _first(read, "/sys/module/mlx5_core/version"),
        "nic-firmware": _one(lines[0] for path, lines in read.items() if path.endswith("/fw_ver")),
        "kernel-module-type": flavour,
        "rdma-mode": "nvidia-peermem"
        if peermem
        else ("dma-buf" if flavour == "open" else "none" if flavour else ""),
        "rhcos-kernel": kernel.group(1) if kernel else "",
    }
    return {component: version for component, version in found.items() if version}


def _facts(node: Object, read: Mapping[str, list[str]]) -> dict[str, str]:
    labels = node["metadata"].get("labels") or {}
    found = {
        "product": _first(read, "/sys/class/dmi/id/product_name"),
        "mig": str(labels.get("nvidia.com/mig.config") or ""),
        "mig-state": str(labels.get("nvidia.com/mig.config.state") or ""),
    }
    return {name: value for name, value in found.items() if value}


def _one(values: Iterable[str]) -> str:
    """The value that all share; several different ones are listed, so that they equal no release's."""
    return ", ".join(sorted({v.strip() for v in values if v.strip()}))


def _first(read: Mapping[str, list[str]], path: str) -> str:
    lines = read.get(path)
    return lines[0].strip() if lines else ""


def _number(text: str) -> float | None:
    try:
        return float(text.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None


def _daemonset(pod: Mapping[str, Any]) -> str:
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == "DaemonSet":
            return str(owner["name"])
    return ""
