"""The Network Operator, resting: DOCA-OFED and RDMA device plugin DaemonSets of the NicClusterPolicy, its state."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.kube import (
    DAEMON_SET,
    NIC_CLUSTER_POLICY,
    NIC_PCI_LABEL,
    Object,
    daemon_set,
    deleting,
    digest,
    name_of,
    owner_reference,
)

ALL = "all"
SPEC_HASH = "nvidia.network-operator.revision"


class NetworkOperator(Controller):
    """One pass over the only policy."""

    name = "network-operator"
    watches = (NIC_CLUSTER_POLICY, DAEMON_SET)

    def listen(self) -> None:
        """The policy or one of its DaemonSets changed."""
        self.every(NIC_CLUSTER_POLICY, lambda _policy: ALL)
        self.every(DAEMON_SET, lambda _daemon_set: ALL)

    async def reconcile(self, key: str) -> None:
        """Keep the DaemonSets and write the state."""
        operator = self.twin.seed.network_operator
        policy = next(iter(self.cache.all(NIC_CLUSTER_POLICY)), None)
        if policy is None or deleting(policy) or operator is None:
            return
        for wanted in self._daemon_sets(policy, operator.namespace):
            wanted["metadata"]["ownerReferences"] = [owner_reference(policy)]
            wanted["metadata"]["annotations"] = {SPEC_HASH: digest(wanted["spec"])}
            live = self.cache.get(DAEMON_SET, name_of(wanted), operator.namespace)
            if live is None:
                await self.api.create(wanted)
            elif live["metadata"]["annotations"].get(SPEC_HASH) != digest(wanted["spec"]):
                patch = [
                    {"op": "replace", "path": "/spec/template", "value": wanted["spec"]["template"]},
                    {
                        "op": "add",
                        "path": "/metadata/annotations",
                        "value": wanted["metadata"]["annotations"],
                    },
                ]
                await self.api.patch(live, patch, kind="json")
        await self._state(policy)

    def _daemon_sets(self, policy: Object, namespace: str) -> list[Object]:
        spec, selector = policy["spec"], {NIC_PCI_LABEL: "true"}
        tolerations = [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            *(spec.get("tolerations") or ()),
        ]
        found = []
        if driver := spec.get("ofedDriver"):
            image = f"{driver.get('repository', '')}/{driver['image']}:{driver.get('version', '')}-{self.twin.os[0]}"
            labels = {"app": "mofed", "nvidia.com/ofed-driver": ""}
            name = f"mofed-{self.twin.os[0]}-ds"
            volumes = [{"name": "shared-doca-driver-toolkit", "emptyDir": {}}]
            pod = {
                "nodeSelector": selector,
                "volumes": volumes,
                "containers": [{"name": "mofed-container", "image": image}],
            }
            found.append(daemon_set(name, namespace, labels, {**pod, "tolerations": tolerations}, "OnDelete"))
        container = {
            "name": "rdma-shared-dp",
            "image": "registry.example.com/k8s-rdma-shared-dev-plugin:v1.5.3",
        }
        pod = {"nodeSelector": selector, "containers": [container], "tolerations": tolerations}
        found.append(
            daemon_set("rdma-shared-dp-ds", namespace, {"app": "rdma-shared-dp"}, pod, "RollingUpdate")
        )
        return found

    async def _state(self, policy: Object) -> None:
        sets = self.cache.owned(DAEMON_SET, policy)
        status = [ds.get("status") or {} for ds in sets]
        ready = all(s.get("numberReady") == s.get("desiredNumberScheduled") for s in status)
        state = "ready" if ready else "notReady"
        names = ("state-OFED", "state-RDMA-device-plugin")
        new = {"state": state, "appliedStates": [{"name": name, "state": state} for name in names]}
        old = policy.get("status") or {}
        if any(old.get(name) != value for name, value in new.items()):
            await self.api.status(policy, new)
