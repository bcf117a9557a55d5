"""What is read of one node: its kernel journal and its driver pod. Reads only; parses nothing it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence

from knowngood.adapters.cluster import kernel_source
from knowngood.adapters.cluster.kernel_files import Uptime
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Mark, MoverSpec, Pods, Proof, Words
from knowngood.model.values import Values

DRIVER_LABEL = "app.kubernetes.io/component=nvidia-driver"
DRIVER_CONTAINER = "nvidia-driver-ctr"
DRIVER_PROOF = Proof(
    module="nvidia",
    log="NVRM: loading NVIDIA",
    banner=r"NVRM: loading NVIDIA UNIX (?:Open Kernel Module for \S+|\S+ Kernel Module)\s+(?P<version>\d[\w.]*)",
)
BY_HAND = {
    "nvidia-driver": MoverSpec(
        kind="daemon-driver",
        users=("gpu", "rdma"),
        pods=Pods(DRIVER_LABEL, DRIVER_CONTAINER, state="/run/nvidia/nvidia-driver.state"),
        proof=DRIVER_PROOF,
        words=Words("driver", "reload the driver", "reload the driver that was there before"),
    )
}
"""What a playbook by hand goes by where it is given no movers: the GPU driver, as its component file says."""


def proof_of(spec: MoverSpec) -> Proof | None:
    """By which kernel line an arrival is dated; what has no line of its own lasts as long as the GPU driver's load."""
    return spec.proof or (DRIVER_PROOF if spec.on_a_load else None)


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
OPERANDS = (
    "nvidia-container-toolkit-daemonset",
    "nvidia-device-plugin-daemonset",
    "gpu-feature-discovery",
    "nvidia-dcgm-exporter",
    "nvidia-operator-validator",
)
"""What the GPU Operator runs beside the driver on a node; selected by `nvidia.com/gpu.deploy.<x>=true`."""
DEPLOY_PREFIX = "nvidia.com/gpu.deploy."
PAUSED = "paused-for"
HOSTNAME = "kubernetes.io/hostname"
"""The kubelet's own label, the node's name as a rule."""
NAMES = 100
"""Nodes in one selector: it travels in the URL, of which proxies take 8 KiB."""


def journal(
    kube: Kube, node: str, *, grep: str = "", tail: int = 0, busy: float | None = None, up: Uptime = None
) -> str:
    """The kernel lines, and maybe others, of the present boot as JSON lines; `tail`: the last so many.

    `busy`: seconds to ask again while the API server can't reach the kubelet. `up`: see kernel_source.ask.
    """
    more = {"grep": grep} if grep else {}
    more |= {"tail": str(tail)} if tail else {}
    return "".join(f"{line}\n" for line in kernel_source.ask(kube, node, more, busy=busy, up=up))


def uptime(kube: Kube, pod: Object, container: str) -> float | None:
    """Seconds since a pod's node booted, as its kernel tells them to the pod; None where it does not.

    ApiError, Unreachable: the pod can't be asked.
    """
    meta = pod["metadata"]
    said = pod_exec.run(kube, meta["namespace"], meta["name"], container, ["cat", "/proc/uptime"]).stdout
    try:
        return float(said.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None


def kernel_lines(node: str, text: str) -> list[Object]:
    """The kernel's lines of a node's journal, oldest first."""
    lines = []
    # Not splitlines: it also cuts at U+2028 and its like, which a process may have put into a message.
    for line in text.split("\n"):
        if not line or line.startswith("-- "):  # journalctl's "-- No entries --"
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise Unreachable(f"{node}: the journal answers something else than JSON lines") from error
        if isinstance(entry, dict) and entry.get("_TRANSPORT") == "kernel":
            lines.append(entry)
    return lines


def loads(lines: Iterable[Values], proof: Proof = DRIVER_PROOF) -> tuple[Mark, ...]:
    """The loads of a module among kernel lines, oldest first: its banners. A banner may not tell the version: ""."""
    found, banner = [], re.compile(proof.banner)
    tells = "version" in banner.groupindex
    for entry in lines:
        match = banner.search(str(entry.get("MESSAGE") or ""))
        if match:
            # When the kernel printed it; journald may have read it, with lines that came after, much later.
            stamp = entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or entry.get("__MONOTONIC_TIMESTAMP")
            boot = dashed(str(entry.get("_BOOT_ID") or ""))
            found.append(Mark(match["version"] if tells else "", boot, int(stamp or 0) / 1e6))
    return tuple(found)


def last_load(lines: Iterable[Values], proof: Proof = DRIVER_PROOF) -> Mark | None:
    """The newest load of a module among kernel lines."""
    found = loads(lines, proof)
    return found[-1] if found else None


def module_loads(kube: Kube, node: str, proof: Proof = DRIVER_PROOF, up: Uptime = None) -> tuple[Mark, ...]:
    """All loads of a module on the present boot."""
    return loads(kernel_lines(node, journal(kube, node, grep=proof.log, up=up)), proof)


def module_load(kube: Kube, node: str, proof: Proof = DRIVER_PROOF, up: Uptime = None) -> Mark | None:
    """The newest load of a module on the present boot, None if there was none."""
    found = module_loads(kube, node, proof, up)
    return found[-1] if found else None


def dashed(boot_id: str) -> str:
    """A boot id as /proc writes it; journald leaves the dashes out."""
    plain = boot_id.replace("-", "").strip()
    if len(plain) != 32:
        return boot_id.strip()
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


def nodes_named(
    kube: Kube, names: Sequence[str], keep: Callable[[Object], Object] | None = None
) -> dict[str, Object]:
    """These nodes' objects, as far as there are any, by the label that has their name, `NAMES` of them a list.

    A node whose label says something else is asked for by name. `keep`: what is kept of each of a list.
    """
    found: dict[str, Object] = {}
    for first in range(0, len(names) if len(names) > 1 else 0, NAMES):
        selector = f"{HOSTNAME} in ({','.join(names[first : first + NAMES])})"
        found |= {n["metadata"]["name"]: n for n in kube.list(path("v1", "nodes"), selector, keep=keep)}
    for name in names:
        if name not in found and (node := kube.find(path("v1", "nodes", name))) is not None:
            found[name] = node
    return {name: found[name] for name in names if name in found}


def pods_of_node(kube: Kube, node: str, namespace: str = "", labels: str = "") -> list[Object]:
    """All pods bound to a node."""
    return kube.list(path("v1", "pods", "", namespace), labels, f"spec.nodeName={node}")


def has_label(pod: Values, label: str) -> bool:
    """Whether a pod, or a pod template, has a label `key=value`."""
    key, _, value = label.partition("=")
    return bool((pod["metadata"].get("labels") or {}).get(key) == value)


def is_driver_pod(pod: Values) -> bool:
    """Whether a pod is a driver DaemonSet's."""
    return has_label(pod, DRIVER_LABEL)


def is_ready(pod: Values) -> bool:
    """Whether a pod is Ready and not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def pod_state(pod: Values) -> str:
    """`ready`, or in a few words why not."""
    if pod["metadata"].get("deletionTimestamp"):
        return "terminating"
    if is_ready(pod):
        return "ready"
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in statuses:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in {"PodInitializing", "ContainerCreating"}:
            return f"{container.get('name')}: {waiting['reason']}"
    return str(status.get("phase") or "Unknown")


def image_of(pod_spec: Values, container: str = "") -> str:
    """The image of a container of a pod spec; of the first one by default."""
    for entry in pod_spec.get("containers") or ():
        if not container or entry.get("name") == container:
            return str(entry.get("image") or "")
    return ""


def running_image(pod: Values, container: str = "") -> str:
    """The image that a container (the first one by default) runs: as its spec names it, and the digest that was pulled.

    A tag can be pushed anew, a digest can't. The kubelet tells it as `name@sha256:...`, with or without a prefix, or
    as a bare `sha256:...`, the image's own id. Of a container that did not start it tells none: the name is all.
    """
    name = image_of(pod["spec"], container)
    wanted = container or next((c.get("name") for c in pod["spec"].get("containers") or ()), "")
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    identity = next((str(s.get("imageID") or "") for s in statuses if s.get("name") == wanted), "")
    found = _DIGEST.search(identity)
    return f"{name}@{found.group()}" if found and "@" not in name else name


def carries(image: str, version: str) -> bool:
    """Whether an image reference's tag is of that driver version; a bare digest can't tell and counts."""
    tag = image.rpartition("@")[0] or image
    tag = tag.rpartition("/")[2].partition(":")[2]
    return not tag or tag == version or tag.startswith(f"{version}-")


def node_ready(node: Values) -> bool:
    """Whether a node's Ready condition is True."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def extended(resources: Values) -> dict[str, str]:
    """The extended resources among a node's allocatable: those with a vendor's domain."""
    return {
        name: str(amount)
        for name, amount in sorted(resources.items())
        if "/" in name and not name.startswith(("kubernetes.io/", "hugepages-"))
    }


def selects(daemonset: Values, node: Values) -> bool:
    """Whether a DaemonSet's nodeSelector matches a node."""
    labels = node["metadata"].get("labels") or {}
    wanted = daemonset["spec"]["template"]["spec"].get("nodeSelector") or {}
    return all(labels.get(key) == value for key, value in wanted.items())
