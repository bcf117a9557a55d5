"""Operators that make workloads of a section of their custom resource, and roll them when it changes.

As upstream: the image is repository, image and version of the section; the resource's own status says little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from knowngood.twin.behaviours import argo_manifest
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    CLUSTER_POLICY,
    NIC_CLUSTER_POLICY,
    Key,
    Kind,
    deleting,
    key_of,
    kind_of,
    labels_of,
    name_of,
    namespace_of,
)
from knowngood.twin.behaviours.programs import Program, ProgramError, PullError, Ready
from knowngood.twin.values import Object

STORAGE_MODULE: Kind = ("storage.dell.com/v1", "ContainerStorageModule")
LABEL = "twin.knowngood.dev/operand"
IGNORED, NO_IMAGE, CRASHES = "operand-not-followed", "operand-image-is-missing", "operand-crashes"
DELAY_S, LOOK_S = 5.0, 5.0


@dataclass(frozen=True, slots=True)
class Made:
    """A workload. section: the path whose repository, image and version it takes; `{}`: the resource's name."""

    kind: str
    name: str
    container: str
    section: tuple[str, ...]
    version: str = "version"


MADE: dict[Kind, tuple[Made, ...]] = {
    CLUSTER_POLICY: (Made("DaemonSet", "nvidia-dcgm-exporter", "nvidia-dcgm-exporter", ("dcgmExporter",)),),
    NIC_CLUSTER_POLICY: (
        Made(
            "Deployment",
            "nic-configuration-operator",
            "manager",
            ("nicConfigurationOperator", "operator"),
        ),
        Made(
            "DaemonSet",
            "nic-configuration-daemon",
            "nic-configuration-daemon",
            ("nicConfigurationOperator", "configurationDaemon"),
        ),
    ),
    STORAGE_MODULE: (
        Made("Deployment", "{}-controller", "driver", ("driver",), "configVersion"),
        Made("DaemonSet", "{}-node", "driver", ("driver",), "configVersion"),
    ),
}


class SectionOperands(Controller):
    """Works on one resource of one kind at a time. Of a ClusterPolicy the GPU Operator itself makes all."""

    name = "section-operands"
    watches: tuple[Kind, ...] = (NIC_CLUSTER_POLICY, STORAGE_MODULE)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._told: set[tuple[str, str]] = set()  # fault and image that were an event already

    def listen(self) -> None:
        """One of the resources has changed."""
        for kind in self.watches:
            self.every(kind, lambda obj: (kind_of(obj), key_of(obj)))

    async def reconcile(self, key: tuple[Kind, Key]) -> None:
        """Make and change its workloads."""
        kind, (space, name) = key
        obj = self.cache.get(kind, name, space)
        if obj is None or deleting(obj):
            return
        for wanted in self._wanted(obj):
            await self._apply(key, wanted)

    def _wanted(self, obj: Object) -> Iterator[Object]:
        for made in MADE[kind_of(obj)]:
            section = obj["spec"]
            for part in made.section:
                section = section.get(part) or {}
            if section.get(made.version):
                yield _workload(made, obj, section, self._space(obj))

    def _space(self, obj: Object) -> str:
        operator = self.twin.seed.network_operator if kind_of(obj) == NIC_CLUSTER_POLICY else None
        return namespace_of(obj) or (operator or self.twin.seed.gpu_operator).namespace

    async def _apply(self, key: tuple[Kind, Key], wanted: Object) -> None:
        live = await self.api.get(kind_of(wanted), name_of(wanted), namespace_of(wanted))
        if live is None:
            await self.api.create(wanted)
            return
        patch = argo_manifest.three_way("", wanted, live)
        if not patch:
            return
        image = _image(wanted)
        if fault := self.twin.faults.active(IGNORED, "", _version(image)):
            if (fault.uid, image) not in self._told:
                self._told.add((fault.uid, image))
                self.twin.faults.hit(fault, image=image)
            self.enqueue_later(key, max(self.twin.clock.real(LOOK_S), 0.02))
            return
        await self.twin.clock.sleep(DELAY_S)
        await self.api.patch(live, patch)


def _workload(made: Made, obj: Object, section: Object, space: str) -> Object:
    name = made.name.format(name_of(obj))
    parts = (
        section.get("repository") or "mirror.example.com/operands",
        section.get("image") or made.container,
    )
    labels = {"app": name, LABEL: "true"}
    spec: Object = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "containers": [
                    {"name": made.container, "image": f"{'/'.join(parts)}:{section[made.version]}"}
                ],
                "tolerations": [{"operator": "Exists"}],
            },
        },
    }
    if made.kind == "Deployment":
        spec["replicas"] = 1
    metadata = {"name": name, "namespace": space, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": made.kind, "metadata": metadata, "spec": spec}


def _image(obj: Object) -> str:
    return str(obj["spec"]["template"]["spec"]["containers"][0]["image"])


def _version(image: str) -> str:
    """What a fault's `version` is compared with: the tag, without a v before it and what follows the version."""
    return image.rpartition(":")[2].removeprefix("v").removesuffix("-distroless")


class OperandPod(Program):
    """A pod of such a workload: it runs, unless its image is missing or what is in it does not start."""

    async def run(self, ready: Ready) -> int:
        """Pull, start, run."""
        image = str(self.pod["spec"]["containers"][0]["image"])
        if fault := self.twin.faults.active(NO_IMAGE, "", _version(image)):
            self.twin.faults.hit(fault, image=image)
            raise PullError(f"Failed to pull image {image}: manifest unknown")
        if fault := self.twin.faults.active(CRASHES, "", _version(image)):
            self.twin.faults.hit(fault, image=image)
            raise ProgramError("it ended at its start")
        return await super().run(ready)


def operand_program(twin: Twin, pod: Object) -> Program | None:
    """The program of such a pod; None for all others."""
    return OperandPod(twin, pod) if LABEL in labels_of(pod) else None
