"""The Network Operator (26.4): NicClusterPolicy and NicNodePolicy objects to DaemonSets, wait labels and states.

One NicClusterPolicy counts, and its drivers are for every node with a NIC; a NicNodePolicy is for the nodes that its
selector matches. DOCA-OFED's DaemonSets are OnDelete, one an operating system and kernel. The wait label follows the
DOCA pod's readiness and says nothing of the module: where there is no such pod it says that nobody need wait.
"""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.twin.behaviours import nic_manifests as manifests
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    DAEMON_SET,
    NIC_CLUSTER_POLICY,
    NIC_NODE_POLICY,
    NIC_PCI_LABEL,
    NODE,
    POD,
    Kind,
    deleting,
    digest,
    kind_of,
    labels_of,
    name_of,
    node_of,
    owner_reference,
    service_account,
)
from knowngood.twin.behaviours.nic_admission import overlap
from knowngood.twin.values import Object

ONLY = "nic-cluster-policy"
SPEC_HASH = "nvidia.network-operator.revision"
AGAIN_S = 5.0  # until the next look at a policy that is not ready
CALM_S = 0.2  # real seconds: while the cluster settles a label is written when its pod has come to rest
Key = tuple[Kind, str]


class NetworkOperator(Controller):
    """Works on one policy, or on one node's wait label, at a time."""

    name = "network-operator"
    watches = (NIC_CLUSTER_POLICY, NIC_NODE_POLICY, DAEMON_SET, POD, NODE)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._labels: dict[str, Mapping[str, str]] = {}  # node -> its labels, but for the one that we write
        self._fits: dict[str, object] = {}  # node -> its taints and whether it has a NIC
        assert twin.seed.network_operator is not None  # noqa: S101 (who starts us looks first)
        self.namespace = twin.seed.network_operator.namespace
        self._version = twin.seed.network_operator.version

    def listen(self) -> None:
        """Policies, their DaemonSets, DOCA pods, and nodes whose labels change."""
        for kind in (NIC_CLUSTER_POLICY, NIC_NODE_POLICY):
            self.cache.listen(kind, self._policy_changed)
            for policy in self.cache.all(kind):
                self._policy_changed("ADDED", policy)
        self.cache.listen(DAEMON_SET, self._daemon_set_changed)
        self.cache.listen(POD, self._pod_changed)
        self.cache.listen(NODE, self._node_changed)
        for node in self.cache.all(NODE):
            self._node_changed("ADDED", node)

    def _policy_changed(self, event: str, policy: Object) -> None:
        self.enqueue((kind_of(policy), name_of(policy)))
        if event != "MODIFIED":
            for node in self.cache.all(NODE):
                self._look(name_of(node))

    def _daemon_set_changed(self, _event: str, daemon_set: Object) -> None:
        owner = labels_of(daemon_set).get(manifests.OWNER_LABEL, "")
        if owner.startswith("nnp-"):
            self.enqueue_soon((NIC_NODE_POLICY, owner.removeprefix("nnp-")))
        elif owner:
            self.enqueue_soon((NIC_CLUSTER_POLICY, ONLY))

    def _pod_changed(self, _event: str, pod: Object) -> None:
        if manifests.OFED_LABEL in labels_of(pod) and node_of(pod):
            self._look(node_of(pod))

    def _node_changed(self, event: str, node: Object) -> None:
        """Labels wake the NicNodePolicies; taints, and a NIC that comes or goes, the NicClusterPolicy."""
        name = name_of(node)
        labels = {k: v for k, v in labels_of(node).items() if k != manifests.WAIT_LABEL}
        fits = (node["spec"].get("taints"), labels.get(NIC_PCI_LABEL))
        if event == "DELETED":
            self._labels.pop(name, None)
            self._fits.pop(name, None)
            return
        if self._fits.get(name) != fits:
            self._fits[name] = fits
            self._look(name)
            self.enqueue_soon((NIC_CLUSTER_POLICY, ONLY))
        if self._labels.get(name) != labels:
            self._labels[name] = labels
            self._look(name)
            for policy in self.cache.all(NIC_NODE_POLICY):
                self.enqueue_soon((NIC_NODE_POLICY, name_of(policy)))

    def _look(self, node: str) -> None:
        key = (NODE, node)
        if self.twin.clock.hurry:
            self.enqueue_later(key, CALM_S)
        else:
            self.enqueue(key)

    async def reconcile(self, key: Key) -> None:
        """Keep a policy's DaemonSets and write its state, or write a node's wait label."""
        kind, name = key
        if kind == NODE:
            await self._wait_label(name)
            return
        policy = self.cache.get(kind, name)
        if policy is None or deleting(policy):
            return
        if kind == NIC_CLUSTER_POLICY and name != ONLY:
            why = f"Unsupported NicClusterPolicy instance {name}. Only instance with name {ONLY} is supported"
            await self._write_state(policy, {"state": "ignore", "reason": why})
            return
        node_policies = [p for p in self.cache.all(NIC_NODE_POLICY) if not deleting(p)]
        if kind == NIC_NODE_POLICY and (why := overlap(node_policies, self.cache.all(NODE))):
            await self._write_state(policy, {"state": "error", "reason": why})
            return
        states = {state: await self._sync(policy, state) for state in manifests.SECTIONS}
        ready = all(state in {"ready", "ignore"} for state in states.values())
        applied = [{"name": state, "state": value} for state, value in states.items()]
        await self._write_state(
            policy, {"state": "ready" if ready else "notReady", "appliedStates": applied, "reason": ""}
        )
        if not ready:
            self.enqueue_later(key, max(self.twin.clock.real(AGAIN_S), CALM_S))

    def _wanted(self, policy: Object, state: str) -> list[Object]:
        """The DaemonSets of a state: none where no node of the policy tolerates being looked at."""
        suffix = manifests.suffix_of(policy, self._version)
        if state == manifests.RDMA_STATE:
            return [manifests.rdma_daemon_set(policy, self.namespace, suffix)]
        openshift = bool(self.twin.seed.openshift)
        pools = manifests.pools(policy, self.cache.all(NODE), openshift=openshift)
        return [manifests.ofed_daemon_set(policy, pool, self.namespace, suffix) for pool in pools]

    async def _sync(self, policy: Object, state: str) -> str:
        """Make, change and delete the DaemonSets of one state; returns how it stands."""
        declared = manifests.SECTIONS[state] in policy["spec"]
        wanted = self._wanted(policy, state) if declared else []
        names = {name_of(daemon_set) for daemon_set in wanted}
        mine = [
            ds
            for ds in self.cache.owned(DAEMON_SET, policy)
            if labels_of(ds).get(manifests.STATE_LABEL) == state
        ]
        stale = [ds for ds in mine if name_of(ds) not in names and not deleting(ds)]
        for daemon_set in stale:
            await self.api.delete(daemon_set)
        for daemon_set in wanted:
            await self._apply(policy, daemon_set)
        if not declared:
            return "notReady" if stale else "ignore"
        live = [self.cache.get(DAEMON_SET, name, self.namespace) for name in sorted(names)]
        return "ready" if live and not stale and all(_ready(ds) for ds in live) else "notReady"

    async def _apply(self, policy: Object, wanted: Object) -> None:
        wanted["metadata"]["ownerReferences"] = [owner_reference(policy)]
        wanted["metadata"]["annotations"] = {SPEC_HASH: digest(wanted["spec"])}
        live = self.cache.get(DAEMON_SET, name_of(wanted), self.namespace)
        if live is None:
            if account := wanted["spec"]["template"]["spec"].get("serviceAccountName"):
                await self.api.ensure(service_account(account, self.namespace))
            await self.api.create(wanted)
        elif (live["metadata"].get("annotations") or {}).get(SPEC_HASH) != digest(wanted["spec"]):
            patch = [
                {"op": "replace", "path": "/spec/template", "value": wanted["spec"]["template"]},
                {"op": "add", "path": "/metadata/annotations", "value": wanted["metadata"]["annotations"]},
            ]
            await self.api.patch(live, patch, kind="json")

    async def _wait_label(self, name: str) -> None:
        node = self.cache.get(NODE, name)
        if node is None:
            return
        pods = [p for p in self.cache.pods_on(name) if manifests.OFED_LABEL in labels_of(p)]
        present = labels_of(node).get(manifests.WAIT_LABEL)
        if pods:
            value: str | None = "false" if any(_container_ready(p) for p in pods) else "true"
        elif any(self._brings_ofed(policy, node) for policy in self._policies()):
            value = present
        else:
            value = "false" if labels_of(node).get(NIC_PCI_LABEL) == "true" else None
        lie = self.twin.faults.active("mofed-wait-label-lies", name) if value == "true" else None
        if lie:
            self.twin.faults.hit(lie, label=manifests.WAIT_LABEL)
            value = "false"
        if value != present:
            await self.api.patch(node, {"metadata": {"labels": {manifests.WAIT_LABEL: value}}})

    def _policies(self) -> list[Object]:
        kinds = (NIC_CLUSTER_POLICY, NIC_NODE_POLICY)
        return [policy for kind in kinds for policy in self.cache.all(kind) if not deleting(policy)]

    def _brings_ofed(self, policy: Object, node: Object) -> bool:
        return manifests.selects(policy, node) and "ofedDriver" in policy["spec"]

    async def _write_state(self, policy: Object, new: Object) -> None:
        old = policy.get("status") or {}
        reason = new.pop("reason", "")
        if reason or old.get("reason"):
            new["reason"] = reason
        if any(old.get(name) != value for name, value in new.items()):
            await self.api.status(policy, new)


def _ready(daemon_set: Object | None) -> bool:
    """As the operator counts: some pods wanted, all of them there and of the newest template."""
    status = (daemon_set or {}).get("status") or {}
    available = status.get("numberAvailable", 0)
    wanted = status.get("desiredNumberScheduled", 0)
    return bool(wanted) and wanted == available == status.get("updatedNumberScheduled", 0)


def _container_ready(pod: Object) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(s.get("ready") for s in statuses if s["name"] == manifests.OFED_CONTAINER)
