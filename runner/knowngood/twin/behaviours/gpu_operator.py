"""The GPU Operator: NVIDIADriver and ClusterPolicy objects to labels, driver and operand DaemonSets, and states.

As 26.7: an owner label a node, one driver DaemonSet an NVIDIADriver, OnDelete; operands roll by themselves; an
object is notReady while one of its pods lags. autoUpgrade is not played: the twin's releases switch it off.
"""

from __future__ import annotations

from knowngood.twin.behaviours import gpu_manifests as manifests
from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.daemonsets import HASH_LABEL, revision
from knowngood.twin.behaviours.kube import (
    CLUSTER_POLICY,
    DAEMON_SET,
    GPU_PCI_LABEL,
    NODE,
    NVIDIA_DRIVER,
    POD,
    Object,
    condition,
    deleting,
    digest,
    is_true,
    labels_of,
    matches,
    merge_conditions,
    name_of,
    owned_by,
)

ALL = "all"
SPEC_HASH = "nvidia.com/last-applied-hash"


class GpuOperator(Controller):
    """One pass over all objects; there are few."""

    name = "gpu-operator"
    watches = (NODE, POD, DAEMON_SET, CLUSTER_POLICY, NVIDIA_DRIVER)

    def listen(self) -> None:
        """Anything of ours changed."""
        namespace = self.twin.seed.gpu_operator.namespace
        for kind in (NODE, CLUSTER_POLICY, NVIDIA_DRIVER):
            self.every(kind, lambda _obj: ALL)
        self.every(DAEMON_SET, lambda ds: ALL if ds["metadata"]["namespace"] == namespace else None)

    async def reconcile(self, key: str) -> None:
        """Label nodes, keep the DaemonSets, write the states."""
        policy = next(iter(self.cache.all(CLUSTER_POLICY)), None)
        if policy is None or deleting(policy):
            return
        drivers = [d for d in self.cache.all(NVIDIA_DRIVER) if not deleting(d)]
        await self._label_nodes(drivers)
        namespace = self.twin.seed.gpu_operator.namespace
        wanted = [
            (driver, manifests.driver_daemon_set(driver, namespace, *self.twin.os)) for driver in drivers
        ]
        operands = manifests.operand_daemon_sets(policy, namespace, self.twin.seed.gpu_operator.version)
        for owner, daemon_set in wanted + [(policy, operand) for operand in operands]:
            await self._apply(owner, daemon_set)
        for driver in drivers:
            await self._driver_state(driver)
        await self._policy_state(policy)

    async def _label_nodes(self, drivers: list[Object]) -> None:
        for node in self.cache.all(NODE):
            labels = labels_of(node)
            if labels.get(GPU_PCI_LABEL) != "true":
                continue
            change: dict[str, str | None] = {
                label: "true" for label in manifests.DEPLOY_LABELS if label not in labels
            }
            if labels.get("nvidia.com/gpu.present") != "true":
                change["nvidia.com/gpu.present"] = "true"
            conflict, owner = _owner(node, drivers)
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
        conflicts = [
            name_of(n) for n in self.cache.all(NODE) if _owner(n, list(self.cache.all(NVIDIA_DRIVER)))[0]
        ]
        mine = [ds for ds in self.cache.all(DAEMON_SET) if owned_by(ds, driver)]
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
        namespace = self.twin.seed.gpu_operator.namespace
        sets = [ds for ds in self.cache.all(DAEMON_SET, namespace) if owned_by(ds, policy)]
        lagging = [name_of(ds) for ds in sets if not self._current(ds)]
        why = ("Reconciled", "ClusterPolicy is ready as all resources have been successfully reconciled")
        if lagging:
            why = ("OperandNotReady", f"ClusterPolicy is not ready, states not ready: {lagging}")
        await self._write_state(policy, why, ready=not lagging)

    def _current(self, daemon_set: Object) -> bool:
        """All pods there, ready, of the newest template. Zero desired pods count as ready, as upstream."""
        status = daemon_set.get("status") or {}
        desired = status.get("desiredNumberScheduled", 0)
        pods = [
            p for p in self.cache.all(POD, daemon_set["metadata"]["namespace"]) if owned_by(p, daemon_set)
        ]
        newest = revision(daemon_set)
        return len(pods) == desired and all(
            labels_of(p).get(HASH_LABEL) == newest and is_true(p, "Ready") for p in pods
        )

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
