"""What the engine reads of a cluster, through the Kubernetes API. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from knowngood.adapters.cluster import (
    actors,
    facts,
    journals,
    kernel_source,
    node_state,
    redfish,
    slim,
    spool,
)
from knowngood.adapters.cluster.node_state import Moment, Reading, told_by_node
from knowngood.adapters.cluster.tenants import gpu_use, workloads
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.adapters.kubernetes.kubeconfig import Access
from knowngood.adapters.kubernetes.lease import LEASE_PATH, holding
from knowngood.adapters.waiting import with_hands
from knowngood.model import names
from knowngood.model.errors import Interrupted, KnowngoodError, UsageError
from knowngood.model.field import Field
from knowngood.model.marks import Marks
from knowngood.model.matrix import Cluster, Identity
from knowngood.model.mover import Specs
from knowngood.model.node import GpuUse, Leftover, NodeState, Workload
from knowngood.model.values import Values
from knowngood.planner.roles import role
from knowngood.ports.cluster import ClusterReader

READERS = 8  # nodes read at the same time
FEW = READERS
"""Up to so many nodes are asked one by one for their pods."""
T = TypeVar("T")


class KubeCluster(ClusterReader):
    """One cluster, as its cluster file describes it and its API server answers."""

    def __init__(
        self, kube: Kube, cluster: Cluster, reading: Reading | None = None, folder: Path | None = None
    ) -> None:
        """`folder`: the run's, where its first look is kept for its first judgement."""
        self._kube = kube
        self._cluster = cluster
        read = reading or node_state.reading(kube)
        self._reading = replace(read, firmware=read.firmware or redfish.running(cluster.bmcs))
        self._folder = folder

    def identity(self) -> Identity:
        """See the port. UsageError where one is pinned and the kubeconfig lets the server prove nothing."""
        access = self._kube.access
        if self._cluster.identity is not None and not access.fingerprint():
            raise UsageError(
                f"{self._cluster.name} pins its identity, but {_unproven(access)}",
                where=access.where,
                hint="name the cluster's own certificate-authority in the kubeconfig; nothing was asked or changed",
            )
        namespace = self._kube.get(path("v1", "namespaces", "kube-system"))
        return Identity(str(namespace["metadata"]["uid"]), access.fingerprint())

    def node_names(self) -> Mapping[str, str]:
        """See the port."""
        return {str(n["metadata"]["name"]): role(n) for n in self._nodes()}

    def marks(self) -> Mapping[str, Marks]:
        """See the port."""
        return marks(self._kube)

    def observe(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        """See the port."""
        return self._measured(nodes, specs, self._reading)

    def begin(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        """See the port."""
        if self._folder is None:
            return self.observe(nodes, specs)
        told: dict[str, str] = {}

        def journal(name: str, words: str, moment: Moment | None) -> str:
            if name not in told:
                up = moment[1] if moment else None
                told[name] = journals.read(self._kube, name, words=words, up=up)
            return told[name]

        with spool.writing(self._folder / spool.FILE) as keep:

            def kept(state: NodeState) -> NodeState:
                if (lines := told.pop(state.name, None)) is not None and state.reachable:
                    keep(state, lines)
                return replace(state, rdma={})  # the gates' alone

            return self._measured(nodes, specs, replace(self._reading, journal=journal, ports=True), kept)

    def _measured(
        self,
        nodes: Sequence[str],
        specs: Specs,
        reading: Reading,
        then: Callable[[NodeState], NodeState] = lambda state: state,
    ) -> Mapping[str, NodeState]:
        found = self._look(nodes, specs)

        def one(name: str) -> NodeState:
            node, pods = found[name]
            if node is None:
                return _missing(name)
            gpu = name in self._cluster.gpu or role(node) == "gpu"
            try:
                return then(node_state.measure(reading, node, pods, specs, gpu=gpu))
            except Interrupted:
                raise
            except KnowngoodError as error:  # a kubelet's 401 or 403 is this node's trouble, not all nodes'
                return NodeState(name, reachable=False, trouble=str(error))

        return self._each(one, nodes)

    def loads(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        """See the port."""
        # What the log does not tell is read through a pod.
        by_files = any(kernel_source.proves_its_end(self._kube, node) for node in nodes)
        asked = by_files or any(spec.shows for spec in specs.values())
        pods = dict(self._pods(nodes, specs)) if asked else {}
        objects = self._objects(nodes) if any(told_by_node(spec) for spec in specs.values()) else {}

        def look(name: str) -> NodeState:
            return node_state.loaded(self._reading, name, specs, pods.get(name, ()), objects.get(name))

        found = self._each(look, nodes)
        # Of some it shows only now that their lines come from files, which need the uptime: that is read through a pod.
        late = [node for node in nodes if not asked and kernel_source.proves_its_end(self._kube, node)]
        if late:
            pods.update(self._pods(late, specs))
            found |= self._each(look, late)
        return found

    def standing(self, nodes: Sequence[str]) -> Mapping[str, NodeState]:
        """See the port."""
        found = self._objects(nodes)
        return {name: node_state.known(node) if (node := found[name]) else _missing(name) for name in nodes}

    def _objects(self, nodes: Sequence[str]) -> Mapping[str, Object | None]:
        """Each node's object, None where there is none."""
        found = facts.nodes_named(self._kube, nodes, slim.node)
        return {name: found.get(name) for name in nodes}

    def _look(
        self, nodes: Sequence[str], specs: Specs
    ) -> Mapping[str, tuple[Object | None, Sequence[Object]]]:
        """Each node's object, None where there is none, and the pods on it of the operators that move drivers.

        Few nodes' pods are asked for by node, many are taken from one list: so a look at a node costs the same however
        large the cluster is, and a look at all of them is two lists.
        """
        objects, pods = self._objects(nodes), self._pods(nodes, specs)
        return {name: (objects[name], pods.get(name, ())) for name in nodes}

    def _pods(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, Sequence[Object]]:
        """The pods of these operators on each node."""
        kube, cluster = self._kube, self._cluster
        others = (cluster.namespace_of(spec.pods.operator) for spec in specs.values() if spec.pods)
        namespaces = tuple(dict.fromkeys((cluster.operator_namespace, *others)))
        if len(nodes) <= FEW:
            return self._each(
                lambda name: [p for at in namespaces for p in facts.pods_of_node(kube, name, at)], nodes
            )
        pods: dict[str, list[Object]] = {}
        for pod in (p for at in namespaces for p in kube.list(path("v1", "pods", "", at), keep=slim.pod)):
            pods.setdefault(str(pod["spec"].get("nodeName") or ""), []).append(pod)
        return pods

    def _each(self, read: Callable[[str], T], nodes: Sequence[str]) -> dict[str, T]:
        return dict(zip(nodes, with_hands(read, nodes, READERS), strict=True))

    def live_value(self, field: Field) -> str:
        """See the port."""
        return live_value(self._kube, field)

    def workloads(self) -> Sequence[Workload]:
        """See the port."""
        return workloads(self._kube, self._cluster.tenants)

    def gpu_use(self, nodes: Sequence[str]) -> Mapping[str, GpuUse]:
        """See the port."""
        return gpu_use(self._kube, self._cluster.tenants, nodes)

    def leftovers(self) -> Sequence[Leftover]:
        """See the port. The Lease counts only once it has run out: a valid one is a run's."""
        nodes = self._nodes()
        found = [left for node in nodes for left in _left_on(node)]
        selector = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
        for job in self._kube.list(path("batch/v1", "jobs", "", names.NAMESPACE), selector):
            run = str((job["metadata"].get("labels") or {}).get(names.RUN_LABEL, ""))
            where = f"{names.NAMESPACE}/{job['metadata']['name']}"
            found.append(Leftover("job", where, f"of {run or 'no run'}", run))
        holder, renewed = holding(self._kube.find(LEASE_PATH), datetime.now(UTC))
        if holder and not renewed:
            found.append(Leftover("lease", f"{names.NAMESPACE}/{names.LEASE}", f"ran out under {holder}"))
        return found

    def quiet(self, nodes: Sequence[str]) -> Mapping[str, str]:
        """See the port."""
        elsewhere = actors.elsewhere(self._kube)
        intolerant = "; ".join(actors.intolerant(self._kube, self._cluster.operator_namespace))
        objects = {str(n["metadata"]["name"]): n for n in self._nodes()}
        reasons = {}
        for name in nodes:
            node = objects.get(name)
            reason = actors.busy(node) if node else "there is no such node"
            reason = reason or elsewhere.get(name, "") or intolerant
            if reason:
                reasons[name] = reason
        return reasons

    def _nodes(self) -> list[Object]:
        return self._kube.list(path("v1", "nodes"), keep=slim.node)


def _missing(name: str) -> NodeState:
    return NodeState(name, reachable=False, trouble="there is no such node")


def _unproven(access: Access) -> str:
    """Why a server behind this kubeconfig need not be the one it says."""
    if not access.verify:
        return "the kubeconfig says insecure-skip-tls-verify: whatever answers there proves nothing"
    return "the kubeconfig names no certificate-authority, so any public one would do"


def marks(kube: Kube) -> dict[str, Marks]:
    """What each node object carries of ours."""
    return {
        str(n["metadata"]["name"]): actors.marks(n) for n in kube.list(path("v1", "nodes"), keep=slim.node)
    }


def live_value(kube: Kube, field: Field) -> str:
    """The scalar at a change's path in its live object; "" if object or field is missing."""
    named = field.object
    try:
        where = kube.locate(named.api_version, named.kind, named.name, named.namespace)
        return scalar_at(kube.find(where), field.path)
    except ApiError as error:
        if error.missing:
            return ""
        raise


def scalar_at(found: Any, where: str) -> str:
    """The scalar at a path in an object; "" if it is missing."""
    for part in where.split("."):
        if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, dict):
            found = found.get(part)
        else:
            return ""
    if isinstance(found, bool):
        return "true" if found else "false"  # as Git has it
    return "" if found is None or isinstance(found, (dict, list)) else str(found)


def _left_on(node: Values) -> list[Leftover]:
    name = str(node["metadata"]["name"])
    found = []
    if claim := actors.annotation(node, names.CLAIM_ANNOTATION):
        found.append(Leftover("claim", name, claim))
    for taint in actors.taints(node):
        if taint["key"] in {names.MAINTENANCE_TAINT, names.QUARANTINE_TAINT}:
            found.append(Leftover("taint", name, f"{taint['key']}={taint.get('value', '')}"))
    found += [Leftover("parked-operand", name, label) for label in actors.parked(node)]
    found += [Leftover("upgrade-state", name, label) for label in actors.upgrading(node)]
    return found
