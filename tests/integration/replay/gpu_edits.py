"""What the tests of the GPU Operator's recordings did, as the recordings say it, done to a twin."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from tests.integration.replay import gpu
from tests.integration.replay.cluster import Replay

from knowngood.twin.behaviours.kube import (
    CLUSTER_POLICY,
    COMPONENT_LABEL,
    DRIVER_COMPONENT,
    NODE,
    NVIDIA_DRIVER,
    POD,
    Kind,
    controller_of,
    deleting,
    labels_of,
    name_of,
    node_of,
)
from knowngood.twin.behaviours.upgrade_seats import STATE_LABEL
from knowngood.twin.values import Object

Edit = Callable[..., Awaitable[None]]

NFD = "feature.node.kubernetes.io/"
OSTREE = f"{NFD}system-os_release.OSTREE_VERSION"
OTHER_BUILD = "418.94.209901010000-0"
PCI = f"{NFD}pci-10de.present"
RING = "example.com/ring"
CLAIMED = {"key": "knowngood.dev/claimed", "value": "x", "effect": "NoSchedule"}
FOREIGN = {"key": "example.com/foreign", "effect": "NoSchedule"}
MIRROR = {"repository": "mirror.example.com/nvidia"}
_EDITS: list[tuple[re.Pattern[str], Edit]] = []


def edit(pattern: str) -> Callable[[Edit], Edit]:
    """The decorated function does what an EDIT line says that matches; it is given the groups."""

    def noted(function: Edit) -> Edit:
        _EDITS.append((re.compile(pattern), function))
        return function

    return noted


async def perform(replay: Replay, what: str) -> None:
    """Do what an EDIT line says. KeyError: nobody wrote down how."""
    for pattern, function in _EDITS:
        if match := pattern.fullmatch(what):
            await function(replay, *match.groups())
            return
    raise KeyError(what)


async def saw(replay: Replay, note: str) -> str:
    """The same note as the twin has it."""
    if match := re.fullmatch(r"owner of (\S+): .*", note):
        owner = labels_of(_get(replay, NODE, match[1])).get("nvidia.com/gpu-operator.driver.owner")
        return f"owner of {match[1]}: {owner}"
    if match := re.fullmatch(r"(\S+) unschedulable: .*", note):
        return f"{match[1]} unschedulable: {_cordoned(replay, match[1])}"
    return re.sub(r"\{.*?\}", lambda match: json.dumps(_told(replay, json.loads(match[0]))), note)


def _told(replay: Replay, noted: dict[str, Any]) -> dict[str, Any]:
    """Objects' states, or nodes' states in an upgrade, some with whether the node is cordoned."""
    found: dict[str, Any] = {}
    for name, value in noted.items():
        if not name.startswith("gpu-"):
            found[name] = _state(replay, name)
        else:
            state = labels_of(_get(replay, NODE, name)).get(STATE_LABEL)
            found[name] = [state, _cordoned(replay, name)] if isinstance(value, list) else state
    return found


def _cordoned(replay: Replay, node: str) -> bool:
    return bool(_get(replay, NODE, node)["spec"].get("unschedulable"))


def _get(replay: Replay, kind: Kind, name: str) -> Object:
    found = replay.twin.cache.get(kind, name)
    assert found is not None, f"{kind[1]} {name}"
    return found


def _state(replay: Replay, name: str) -> str:
    kind, name = (CLUSTER_POLICY, "gpu-cluster-policy") if name == "policy" else (NVIDIA_DRIVER, name)
    return str((_get(replay, kind, name).get("status") or {}).get("state"))


async def _spec(replay: Replay, kind: Kind, name: str, **spec: Any) -> None:
    await replay.client.patch(kind, name, {"spec": spec})


async def _ring0(replay: Replay, **spec: Any) -> None:
    await _spec(replay, NVIDIA_DRIVER, "ring-0", **spec)


async def _label(replay: Replay, node: str, label: str, value: str | None) -> None:
    await replay.client.patch(NODE, node, {"metadata": {"labels": {label: value}}})


async def _delete_drivers(replay: Replay, where: Callable[[str], bool]) -> None:
    for pod in replay.twin.cache.all(POD, gpu.SPACE):
        if (
            labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT
            and where(node_of(pod))
            and not deleting(pod)
        ):
            await replay.client.delete(POD, name_of(pod), gpu.SPACE)


@edit(r"create ClusterPolicy .*")
async def _install(replay: Replay) -> None:
    for obj in (gpu.policy(), gpu.driver("ring-0"), gpu.driver("ring-1")):
        await replay.client.create(obj)


@edit(r"ring-0 spec.version [\d.]+ -> ([\d.]+)(?: \(.*)?")
@edit(r"ring-0 spec.version back to ([\d.]+) .*")
@edit(r"while in conflict: ring-0 spec.version -> ([\d.]+)")
@edit(r"undo in Git: ring-0 spec.version -> ([\d.]+) .*")
async def _version(replay: Replay, version: str) -> None:
    await _ring0(replay, version=version)


@edit(r"delete driver pod of (?:cordoned )?(gpu-\d)(?: under .*)?")
@edit(r"driver pod of (gpu-\d) goes early \(leak\)")
async def _restart(replay: Replay, node: str) -> None:
    await _delete_drivers(replay, lambda name: name == node)


@edit(r"driver pods of ring-0 restart")
async def _restart_canary(replay: Replay) -> None:
    await _delete_drivers(replay, lambda name: name in {"gpu-1", "gpu-2"})


@edit(r"driver pods of all the others")
async def _restart_others(replay: Replay) -> None:
    await _delete_drivers(replay, lambda name: name != "gpu-3")


@edit(r"all driver pods")
async def _restart_all(replay: Replay) -> None:
    await _delete_drivers(replay, lambda _name: True)


@edit(r"all driver pods of ring-0 deleted, gpu-1 and gpu-2 uncordoned by hand")
async def _restart_ring(replay: Replay) -> None:
    await _restart_canary(replay)
    for node in ("gpu-1", "gpu-2"):
        await _spec(replay, NODE, node, unschedulable=None)


@edit(r"cordon (gpu-\d) and taint it .*")
async def _claim(replay: Replay, node: str) -> None:
    await _spec(replay, NODE, node, unschedulable=True, taints=[CLAIMED])


@edit(r"add to (gpu-\d) a taint nobody tolerates .*")
async def _taint(replay: Replay, node: str) -> None:
    await _spec(replay, NODE, node, taints=[CLAIMED, FOREIGN])


@edit(r"remove taints and cordon of (gpu-\d)")
async def _release(replay: Replay, node: str) -> None:
    await _spec(replay, NODE, node, unschedulable=None, taints=None)


@edit(r"(gpu-\d) is cordoned by somebody else")
async def _cordon(replay: Replay, node: str) -> None:
    await _spec(replay, NODE, node, unschedulable=True)


@edit(r"the foreign cordon of (gpu-\d) goes|uncordon (gpu-\d)")
async def _uncordon(replay: Replay, *nodes: str) -> None:
    await _spec(replay, NODE, next(filter(None, nodes)), unschedulable=None)


@edit(r"(gpu-\d) loses (feature\S+)")
async def _lose(replay: Replay, node: str, label: str) -> None:
    await _label(replay, node, label, None)


@edit(r"(gpu-\d) loses the GPU PCI label")
async def _lose_pci(replay: Replay, node: str) -> None:
    await _label(replay, node, PCI, None)


@edit(r"(gpu-\d) gets it back")
async def _get_back(replay: Replay, node: str) -> None:
    for label, value in ((OSTREE, gpu.BUILD), (f"{NFD}system-os_release.VERSION_ID", "4.18"), (PCI, "true")):
        if label not in labels_of(_get(replay, NODE, node)):
            await _label(replay, node, label, value)


@edit(r"(gpu-\d): OSTREE_VERSION becomes another build .*")
async def _other_build(replay: Replay, node: str) -> None:
    await _label(replay, node, OSTREE, OTHER_BUILD)


@edit(r"(gpu-\d): OSTREE_VERSION as before")
async def _same_build(replay: Replay, node: str) -> None:
    await _label(replay, node, OSTREE, gpu.BUILD)


@edit(r"both nodes of ring-1 lose OSTREE_VERSION")
async def _both_lose(replay: Replay) -> None:
    for node in ("gpu-3", "gpu-4"):
        await _label(replay, node, OSTREE, None)


@edit(r"both get it back")
async def _both_get_back(replay: Replay) -> None:
    for node in ("gpu-3", "gpu-4"):
        await _label(replay, node, OSTREE, gpu.BUILD)


@edit(r"(gpu-\d)(?: \(no owner so far\))? gets(?: the label)? (ring-\d)(?: again)?")
@edit(r"(?:while in conflict: )?(gpu-\d)(?: back to| ring-\d ->) (ring-\d)")
async def _to_ring(replay: Replay, node: str, ring: str) -> None:
    await _label(replay, node, RING, ring)


@edit(r"(gpu-\d) loses its ring label")
async def _no_ring(replay: Replay, node: str) -> None:
    await _label(replay, node, RING, None)


@edit(r"ring-0 back to 580.173.02, gpu-4 back to ring-1")
async def _both_back(replay: Replay) -> None:
    await _version(replay, "580.173.02")
    await _to_ring(replay, "gpu-4", "ring-1")


@edit(r"create NVIDIADriver (fallback) \(default: true, 610.57.04\)")
async def _fallback(replay: Replay, name: str) -> None:
    await replay.client.create(gpu.driver(name, "610.57.04", default=True))


@edit(r"create NVIDIADriver (overlap) selecting gpu-1 by host name .*")
async def _overlap(replay: Replay, name: str) -> None:
    selector = {"kubernetes.io/hostname": "gpu-1"}
    await replay.client.create(gpu.driver(name, "595.91.07", nodeSelector=selector))


@edit(r"delete NVIDIADriver (\S+)(?: \(.*\))?")
async def _delete(replay: Replay, name: str) -> None:
    await replay.client.delete(NVIDIA_DRIVER, name)


@edit(r"create (ring-1) again")
async def _again(replay: Replay, name: str) -> None:
    await replay.client.create(gpu.driver(name))


@edit(r"kernelModuleType (?:open )?-> (\w+)")
async def _type(replay: Replay, kind: str) -> None:
    await _ring0(replay, kernelModuleType=kind)


RING0: dict[str, dict[str, Any]] = {
    "rdma.enabled true": {"rdma": {"enabled": True}},
    "rdma.useHostMofed true": {"rdma": {"useHostMofed": True}},
    "rdma off": {"rdma": {"enabled": False, "useHostMofed": False}},
    "rdma removed": {"rdma": None},
    "gds.enabled true (open)": {
        "gds": {"enabled": True, "image": "nvidia-fs", "version": "2.28.2", **MIRROR}
    },
    "gds with kernelModuleType proprietary": {"kernelModuleType": "proprietary"},
    "back: open, no gds": {"kernelModuleType": "open", "gds": None},
    "gdrcopy.enabled true": {"gdrcopy": {"enabled": True, "image": "gdrdrv", "version": "v2.5.1", **MIRROR}},
    "gdrcopy removed": {"gdrcopy": None},
    "tolerations: one more": {
        "tolerations": [*gpu.TOLERATED, {"key": FOREIGN["key"], "operator": "Exists", "effect": "NoSchedule"}]
    },
    "tolerations: as before": {"tolerations": gpu.TOLERATED},
    "env: one variable": {"env": [{"name": "EXTRA", "value": "1"}]},
    "env removed": {"env": None},
    "labels on the driver": {"labels": {"example.com/team": "x"}},
    "labels removed": {"labels": None},
    "manager image set": {"manager": {"image": "k8s-driver-manager", "version": "v0.13.0", **MIRROR}},
    "manager removed": {"manager": None},
    "nodeSelector of ring-0 changed to a label nobody has": {"nodeSelector": {RING: "ring-9"}},
    "nodeSelector as before": {"nodeSelector": {RING: "ring-0"}},
    "version: latest-nonexistent (no such image anywhere)": {"version": "999.1.1"},
    "version as before": {"version": "580.173.02"},
    "usePrecompiled true": {"usePrecompiled": True},
    "usePrecompiled removed": {"usePrecompiled": None},
    "autoUpgrade off while gpu-1 is in the middle": {"upgradePolicy": {"autoUpgrade": False}},
}


@edit("(" + "|".join(map(re.escape, RING0)) + ")")
async def _change(replay: Replay, what: str) -> None:
    await _ring0(replay, **RING0[what])


@edit(r"delete NVIDIADrivers, set ClusterPolicy useNvidiaDriverCRD false .*")
async def _to_policy(replay: Replay) -> None:
    for ring in ("ring-0", "ring-1"):
        await replay.client.delete(NVIDIA_DRIVER, ring)
    await replay.calm()  # the recording was quicker than the operator; that it was is no rule
    driver = {
        "enabled": True,
        "image": "driver",
        "version": "580.173.02",
        "kernelModuleType": "open",
        **MIRROR,
    }
    await _policy(replay, driver={**driver, "useNvidiaDriverCRD": False})


async def _policy(replay: Replay, **spec: Any) -> None:
    await _spec(replay, CLUSTER_POLICY, "gpu-cluster-policy", **spec)


@edit(r"spec.driver.version [\d.]+ -> ([\d.]+)|version back to ([\d.]+)")
async def _policy_version(replay: Replay, *versions: str) -> None:
    await _policy(replay, driver={"version": next(filter(None, versions))})


@edit(r"operand bump: devicePlugin version .*")
async def _bump(replay: Replay) -> None:
    await _policy(replay, devicePlugin={"image": "k8s-device-plugin", "version": "v0.21.0", **MIRROR})


@edit(r"ring-0 autoUpgrade on .*")
async def _auto(replay: Replay) -> None:
    await _ring0(replay, upgradePolicy={"autoUpgrade": True})


@edit(r"tenants: a GPU pod and a CPU pod on gpu-1 and gpu-2")
async def _tenants(replay: Replay) -> None:
    for node in ("gpu-1", "gpu-2"):
        for kind in ("gpu", "cpu"):
            limits = {"nvidia.com/gpu": "1"} if kind == "gpu" else {}
            container = {"name": "x", "image": "w", "resources": {"limits": limits, "requests": limits}}
            await replay.client.create(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": f"{kind}-{node}", "namespace": "default"},
                    "spec": {"nodeName": node, "containers": [container]},
                }
            )


def _validator(pod: Object) -> bool:
    owner = controller_of(pod)
    return owner is not None and owner["name"] == "nvidia-operator-validator"


@edit(r"validators (?:of all nodes not ready|not ready on all nodes).*")
async def _validators_fail(replay: Replay) -> None:
    replay.kubelets.unready = _validator
    await replay.kubelets.look_again()


@edit(r"validators get ready")
async def _validators_pass(replay: Replay) -> None:
    replay.kubelets.unready = lambda _pod: False
    await replay.kubelets.look_again()


@edit(r"driver pods on gpu-1 crash from now on; ring-0 spec.version [\d.]+ -> ([\d.]+)")
async def _crash(replay: Replay, version: str) -> None:
    replay.kubelets.crashing = lambda pod: (
        node_of(pod) == "gpu-1" and labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT
    )
    await replay.kubelets.look_again()
    await _version(replay, version)


@edit(r"driver pod recovers; version back to ([\d.]+)")
async def _recover(replay: Replay, version: str) -> None:
    replay.kubelets.crashing = lambda _pod: False
    await _version(replay, version)
    await replay.kubelets.look_again()
