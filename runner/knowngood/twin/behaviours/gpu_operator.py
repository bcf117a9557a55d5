"""The GPU Operator's ClusterPolicy: GPU nodes' labels, the operands' DaemonSets and its own driver's, its state.

As 26.7: operands roll by themselves; where NVIDIADrivers are not used the driver is one OnDelete DaemonSet an
operating system build, and notReady while one of its pods lags; a node that loses its PCI label loses it all.
"""

from __future__ import annotations

from collections import Counter

from knowngood.twin.behaviours import gpu_manifests as manifests
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.driver_manifests import Surroundings, policy_daemon_set
from knowngood.twin.behaviours.gpu_states import (
    OPERATOR_CAME,
    apply,
    error,
    is_ready,
    ready,
    remove_others,
    surroundings,
    write_state,
)
from knowngood.twin.behaviours.kube import (
    CLUSTER_POLICY,
    DAEMON_SET,
    GPU_PCI_LABEL,
    NODE,
    controller_of,
    deleting,
    labels_of,
    name_of,
)
from knowngood.twin.behaviours.node_pools import Pool, pool_of
from knowngood.twin.behaviours.policy_faults import PolicyFaults
from knowngood.twin.behaviours.upgrade_seats import DONE, STATE_LABEL
from knowngood.twin.values import Object

POLICY = ""
DRIVER_STATE = "state-driver"
UNFINISHED = (
    "NVIDIADriver upgrade has not completed; one or more NVIDIADriver-owned Nodes are marked pending, in-progress, "
    "or failed"
)


class GpuOperator(Controller):
    """Labels one node at a time; a pass over the ClusterPolicy for all the rest."""

    name = "gpu-operator"
    watches = (NODE, DAEMON_SET, CLUSTER_POLICY)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._labels: dict[str, object] = {}  # node -> its labels when it was last looked at
        self._pool_of: dict[str, Pool] = {}
        self._pools: Counter[Pool] = Counter()
        self._upgrading: set[str] = set()  # nodes in the middle of an automatic upgrade
        self._specs: dict[str, object] = {}
        self._faults = PolicyFaults(twin)

    def listen(self) -> None:
        """Labels of nodes, the ClusterPolicy's spec, its DaemonSets."""
        self._faults.start()
        self.every(NODE, self._node_changed)
        self.cache.listen(NODE, self._node_gone)
        self.every(CLUSTER_POLICY, self._policy_changed)
        self.cache.listen(DAEMON_SET, self._daemon_set_changed)
        self.twin.events.listen(lambda event: self._again() if event["event"] in OPERATOR_CAME else None)

    def _again(self) -> None:
        for policy in self.cache.all(CLUSTER_POLICY):
            self._specs.pop(policy["metadata"]["uid"], None)
            self.enqueue(self._policy_changed(policy))

    def _node_changed(self, node: Object) -> str | None:
        """The node, where its labels are others than before."""
        name, labels = name_of(node), labels_of(node)
        if self._labels.get(name) == labels:
            return None
        self._labels[name] = labels
        before, upgrading = set(self._pools), name in self._upgrading
        self._count(name, pool_of(labels, openshift=bool(self.twin.seed.openshift), precompiled=False))
        if labels.get(STATE_LABEL, DONE) == DONE:
            self._upgrading.discard(name)
        else:
            self._upgrading.add(name)
        if before != set(self._pools) or upgrading != (name in self._upgrading):
            self.enqueue_soon(POLICY)
        return name

    def _node_gone(self, event: str, node: Object) -> None:
        if event == "DELETED":
            self._count(name_of(node), None)
            self._upgrading.discard(name_of(node))
            self.enqueue_soon(POLICY)

    def _count(self, node: str, pool: Pool | None) -> None:
        old = self._pool_of.pop(node, None)
        if old is not None:
            self._pools[old] -= 1
            if not self._pools[old]:
                del self._pools[old]
        if pool is not None:
            self._pool_of[node] = pool
            self._pools[pool] += 1

    def _policy_changed(self, policy: Object) -> str:
        """All, and where its spec is new each node too."""
        uid, spec = policy["metadata"]["uid"], policy["spec"]
        if self._specs.get(uid) != spec:
            self._specs[uid] = spec
            for node in self.cache.all(NODE):
                self.enqueue(name_of(node))
        return POLICY

    def _daemon_set_changed(self, _event: str, daemon_set: Object) -> None:
        owner = controller_of(daemon_set)
        if owner is not None and owner["kind"] == CLUSTER_POLICY[1]:
            self.enqueue_soon(POLICY)

    async def reconcile(self, key: str) -> None:
        """Label a node, or keep the DaemonSets and write the state."""
        policy = next((p for p in self.cache.all(CLUSTER_POLICY) if not deleting(p)), None)
        around = surroundings(self.twin)
        if policy is None or not around.version:
            return  # without its operator a cluster keeps what it has
        if key != POLICY:
            await self._label(key)
            return
        operands = manifests.operand_daemon_sets(policy, around.namespace, around.version)
        wanted = [*self._drivers(policy, around), *operands]
        await remove_others(self.twin, policy, {name_of(one) for one in wanted})
        made = [await apply(self.twin, policy, one) for one in wanted]
        await self._state(policy, [name_of(one) for one in made if not is_ready(one)])

    def _drivers(self, policy: Object, around: Surroundings) -> list[Object]:
        """Its own driver's DaemonSets, where it does not leave drivers to NVIDIADrivers or to the hosts."""
        if not manifests.brings_drivers(policy):
            return []
        pools = sorted(self._pools, key=lambda pool: pool.build)
        return [policy_daemon_set(*self._faults.taken(policy, pool), around) for pool in pools]

    async def _label(self, name: str) -> None:
        node = self.cache.get(NODE, name)
        if node is None:
            return
        labels = labels_of(node)
        change: dict[str, str | None] = {}
        if labels.get(GPU_PCI_LABEL) == "true":
            wanted = manifests.DEPLOY_LABELS
            if labels.get(manifests.MIG_CAPABLE_LABEL) == "true":
                wanted = (*wanted, manifests.MIG_MANAGER_LABEL)
            change |= {label: "true" for label in wanted if label not in labels}
            if labels.get(manifests.PRESENT_LABEL) != "true":
                change[manifests.PRESENT_LABEL] = "true"
        elif labels.get(manifests.PRESENT_LABEL) == "true":
            change |= {label: None for label in labels if label.startswith(manifests.DEPLOY)}
            change[manifests.PRESENT_LABEL] = "false"
        if change:
            await self.api.patch(node, {"metadata": {"labels": change}})

    async def _state(self, policy: Object, lagging: list[str]) -> None:
        states = dict.fromkeys(
            manifests.OPERANDS[name].state if name in manifests.OPERANDS else DRIVER_STATE for name in lagging
        )
        reasons = [f"states not ready: [{' '.join(states)}]"] if states else []
        if self._upgrading and (policy["spec"].get("driver") or {}).get("useNvidiaDriverCRD"):
            reasons.append(UNFINISHED)
        if reasons:
            why = error("OperandNotReady", "; ".join(["ClusterPolicy is not ready", *reasons]))
        else:
            why = ready("ClusterPolicy is ready as all resources have been successfully reconciled")
        state = "notReady" if reasons else "ready"
        await write_state(self.twin, policy, state, why, namespace=self.twin.seed.gpu_operator.namespace)
