"""The GPU Operator: NVIDIADriver and ClusterPolicy objects to labels, driver and operand DaemonSets, and states.

As 26.7: an owner label a node, one driver DaemonSet an NVIDIADriver, OnDelete; operands roll by themselves; an
object is notReady while one of its pods lags. autoUpgrade is not played: the twin's releases switch it off.
"""

from __future__ import annotations

from knowngood.twin.behaviours import gpu_manifests as manifests
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    CLUSTER_POLICY,
    DAEMON_SET,
    GPU_PCI_LABEL,
    NODE,
    NVIDIA_DRIVER,
    condition,
    deleting,
    digest,
    labels_of,
    matches,
    merge_conditions,
    name_of,
    namespace_of,
    service_account,
    uid_of,
)
from knowngood.twin.values import Object

ALL = "all"
SPEC_HASH = "nvidia.com/last-applied-hash"
OPERATOR_CAME = {"operator-installed", "operator-removed"}


class GpuOperator(Controller):
    """Labels one node at a time; a pass over its objects, of which there are few, for all the rest."""

    name = "gpu-operator"
    watches = (NODE, DAEMON_SET, CLUSTER_POLICY, NVIDIA_DRIVER)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._labels: dict[str, object] = {}  # node -> its labels when it was last looked at
        self._conflicts: set[str] = set()  # nodes that two objects select
        self._specs: dict[str, object] = {}  # our objects' specs by uid

    def listen(self) -> None:
        """Anything of ours changed."""
        namespace = self.twin.seed.gpu_operator.namespace
        self.every(NODE, self._node_changed)
        for kind in (CLUSTER_POLICY, NVIDIA_DRIVER):
            self.cache.listen(kind, self._object_changed)
        self.cache.listen(DAEMON_SET, lambda _, ds: self._all() if namespace_of(ds) == namespace else None)
        self.twin.events.listen(lambda event: self._all() if event["event"] in OPERATOR_CAME else None)
        self._all()

    def _all(self) -> None:
        self.enqueue_soon(ALL)

    def _node_changed(self, node: Object) -> str | None:
        """The node, where its labels are others than before."""
        name, labels = name_of(node), labels_of(node)
        if self._labels.get(name) == labels:
            return None
        self._labels[name] = labels
        return name

    def _object_changed(self, event: str, obj: Object) -> None:
        """What an object asks for decides on every node; its status on none."""
        spec = None if event == "DELETED" or deleting(obj) else obj["spec"]
        if self._specs.get(uid_of(obj)) != spec or event != "MODIFIED":
            self._specs[uid_of(obj)] = spec
            for node in self.cache.all(NODE):
                self.enqueue(name_of(node))
        self._all()

    async def reconcile(self, key: str) -> None:
        """Label a node, or keep the DaemonSets and write the states."""
        policy = next(iter(self.cache.all(CLUSTER_POLICY)), None)
        version = self.twin.operator_version("gpu-operator", self.twin.seed.gpu_operator.version)
        if policy is None or deleting(policy) or not version:
            return  # without its operator a cluster keeps what it has
        drivers = [d for d in self.cache.all(NVIDIA_DRIVER) if not deleting(d)]
        if key != ALL:
            await self._label(key, drivers)
            return
        namespace = self.twin.seed.gpu_operator.namespace
        wanted = [
            (driver, manifests.driver_daemon_set(driver, namespace, *self.twin.os)) for driver in drivers
        ]
        operands = manifests.operand_daemon_sets(policy, namespace, version)
        for owner, daemon_set in wanted + [(policy, operand) for operand in operands]:
            await self._apply(owner, daemon_set)
        for driver in drivers:
            await self._driver_state(driver)
        await self._policy_state(policy)

    async def _label(self, name: str, drivers: list[Object]) -> None:
        node = self.cache.get(NODE, name)
        if node is None:
            self._conflicts.discard(name)
            return
        labels = labels_of(node)
        conflict, owner = _owner(node, drivers)
        if conflict != (name in self._conflicts):
            self._conflicts.symmetric_difference_update({name})
            self._all()
        if labels.get(GPU_PCI_LABEL) != "true":
            return
        change: dict[str, str | None] = {
            label: "true" for label in manifests.DEPLOY_LABELS if label not in labels
        }
        if labels.get("nvidia.com/gpu.present") != "true":
            change["nvidia.com/gpu.present"] = "true"
        if not conflict and labels.get(manifests.OWNER_LABEL) != owner:
            change[manifests.OWNER_LABEL] = owner
        if change:
            await self.api.patch(node, {"metadata": {"labels": change}})

    async def _apply(self, owner: Object, daemon_set: Object) -> None:
        wanted = digest(daemon_set["spec"])
        daemon_set["metadata"]["annotations"] = {SPEC_HASH: wanted}
        daemon_set["metadata"]["ownerReferences"] = [manifests.owned(owner)]
        namespace = daemon_set["metadata"]["namespace"]
        live = self.cache.get(DAEMON_SET, name_of(daemon_set), namespace)
        if live is None:
            if account := daemon_set["spec"]["template"]["spec"].get("serviceAccountName"):
                await self.api.ensure(service_account(account, namespace))
            await self.api.create(daemon_set)
        elif live["metadata"].get("annotations", {}).get(SPEC_HASH) != wanted:
            # The selector is immutable and never changes; the template is replaced whole.
            patch = [
                {"op": "replace", "path": "/spec/template", "value": daemon_set["spec"]["template"]},
                {
                    "op": "replace",
                    "path": "/spec/updateStrategy",
                    "value": daemon_set["spec"]["updateStrategy"],
                },
                {"op": "add", "path": "/metadata/annotations", "value": {SPEC_HASH: wanted}},
            ]
            await self.api.patch(live, patch, kind="json")

    async def _driver_state(self, driver: Object) -> None:
        conflicts = sorted(self._conflicts)
        mine = self.cache.owned(DAEMON_SET, driver)
        lagging = [name_of(ds) for ds in mine if not self._current(ds)]
        if conflicts:
            why = (
                "ConflictingNodeSelector",
                f"conflicting NVIDIADriver node selectors on {', '.join(conflicts)}",
            )
        elif lagging or not mine:
            why = ("DriverNotReady", "Waiting for driver pod to be ready")
        else:
            why = ("Reconciled", "All resources have been successfully reconciled")
        await self._write_state(driver, why, ready=why[0] == "Reconciled")

    async def _policy_state(self, policy: Object) -> None:
        sets = self.cache.owned(DAEMON_SET, policy)
        lagging = [name_of(ds) for ds in sets if not self._current(ds)]
        why = ("Reconciled", "ClusterPolicy is ready as all resources have been successfully reconciled")
        if lagging:
            why = ("OperandNotReady", f"ClusterPolicy is not ready, states not ready: {lagging}")
        await self._write_state(policy, why, ready=not lagging)

    def _current(self, daemon_set: Object) -> bool:
        """All pods there, ready, of the newest template. Zero desired pods count as ready, as upstream.

        As the DaemonSet's controller says it, whoever that is: another one makes other hashes.
        """
        status = daemon_set.get("status") or {}
        desired = status.get("desiredNumberScheduled", 0)
        if status.get("observedGeneration") != daemon_set["metadata"].get("generation", 1):
            return False
        counted = ("currentNumberScheduled", "updatedNumberScheduled", "numberReady")
        return all(status.get(name, 0) == desired for name in counted)

    async def _write_state(self, obj: Object, why: tuple[str, str], *, ready: bool) -> None:
        old = obj.get("status") or {}
        reason, message = why
        conditions = [
            condition("Ready", ready, reason, message if ready else ""),
            condition("Error", not ready, reason, "" if ready else message),
        ]
        status = {
            "state": "ready" if ready else "notReady",
            "namespace": self.twin.seed.gpu_operator.namespace,
            "conditions": merge_conditions(old.get("conditions") or (), conditions),
        }
        if {k: v for k, v in old.items() if k in status} != status:
            await self.api.status(obj, status)


def _owner(node: Object, drivers: list[Object]) -> tuple[bool, str | None]:
    """Which NVIDIADriver a node belongs to; (True, None) where two selective ones match."""
    selective, default = [], None
    for driver in drivers:
        if driver["spec"].get("default"):
            default = name_of(driver)
        elif matches({"matchLabels": driver["spec"].get("nodeSelector") or {}}, labels_of(node)):
            selective.append(name_of(driver))
    if len(selective) > 1:
        return True, None
    return False, selective[0] if selective else default
