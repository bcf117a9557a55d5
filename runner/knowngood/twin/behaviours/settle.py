"""Whether the cluster is at rest: what still moves, in words."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.gpu_manifests import (
    MIG_CAPABLE_LABEL,
    MIG_MANAGER_LABEL,
    OWNER_LABEL,
    brings_drivers,
)
from knowngood.twin.behaviours.kube import (
    APPLICATION,
    CLUSTER_POLICY,
    DAEMON_SET,
    DEPLOYMENT,
    GPU,
    NIC_CLUSTER_POLICY,
    NIC_NODE_POLICY,
    NODE,
    NVIDIA_DRIVER,
    STATEFUL_SET,
    labels_of,
    name_of,
    namespace_of,
)
from knowngood.twin.behaviours.mig_manager import as_labelled
from knowngood.twin.behaviours.nic_manifests import WAIT_LABEL
from knowngood.twin.behaviours.olm_objects import SERVICE_VERSION
from knowngood.twin.behaviours.sriov_objects import POLICY, STATE, counts, offered

LOOKED_AT = (NODE, DAEMON_SET, DEPLOYMENT, STATEFUL_SET, NVIDIA_DRIVER, CLUSTER_POLICY)


def unsettled(twin: Twin) -> Iterator[str]:
    """What is not at rest yet, one after the other: who only wants to know whether all is need not look at all."""
    yield from _gitops(twin)
    yield from _operators(twin)
    if twin.seed.network_operator:
        yield from _nics(twin)
    if twin.seed.sriov:
        yield from _functions(twin, twin.seed.sriov.prefix)
    yield from _pods(twin)
    yield from _gpus(twin)


def _gitops(twin: Twin) -> Iterator[str]:
    for app in twin.cache.all(APPLICATION) if twin.seed.gitops else ():
        status = app.get("status") or {}
        if (status.get("sync") or {}).get("status") != "Synced":
            why = [c.get("message", "") for c in status.get("conditions") or ()]
            operation = (status.get("operationState") or {}).get("message", "")
            yield f"Application {name_of(app)} is not Synced {' '.join(why) or operation}".rstrip()


def _operators(twin: Twin) -> Iterator[str]:
    for row in twin.seed.olm.installed if twin.seed.olm else ():
        csv = twin.cache.get(SERVICE_VERSION, row.csv, row.namespace)
        if csv is None or (csv.get("status") or {}).get("phase") != "Succeeded":
            yield f"{row.csv} is not installed in {row.namespace}"


def _nics(twin: Twin) -> Iterator[str]:
    """Each policy was looked at, and no node waits for its DOCA pod."""
    for kind in (NIC_CLUSTER_POLICY, NIC_NODE_POLICY):
        for policy in twin.cache.all(kind):
            if not (policy.get("status") or {}).get("state"):
                yield f"{kind[1]} {name_of(policy)} has no state"
    for node in twin.cache.all(NODE):
        if labels_of(node).get(WAIT_LABEL) == "true":
            yield f"node {name_of(node)} waits for DOCA-OFED"


def _functions(twin: Twin, prefix: str) -> Iterator[str]:
    """Each policy was looked at, and each node has and offers what it asks for."""
    asked = {name_of(policy) for policy in twin.cache.all(POLICY)}
    for state in twin.cache.all(STATE):
        name, ports = name_of(state), state["spec"].get("interfaces") or ()
        machine = twin.world.machines[name]
        asked -= {group["policyName"] for port in ports for group in port["vfGroups"]}
        wanted = counts(ports, machine.seed.nics)
        there = {index: machine.nic.functions(index) for index in wanted}
        node = twin.cache.get(NODE, name)
        has = ((node or {}).get("status") or {}).get("allocatable") or {}
        late = any(has.get(n) != str(c) for n, c in offered(ports, wanted, prefix).items())
        if there != wanted or late:
            yield f"node {name} has not the virtual functions of its policies"
    yield from (f"{POLICY[1]} {name} selects no NIC" for name in sorted(asked))


def _pods(twin: Twin) -> Iterator[str]:
    for ds in twin.cache.all(DAEMON_SET):
        status = ds.get("status") or {}
        wanted = status.get("desiredNumberScheduled")
        if wanted is None or status.get("numberReady") != wanted:
            yield f"DaemonSet {name_of(ds)} has {status.get('numberReady', 0)} of {wanted} pods ready"
    for kind in (DEPLOYMENT, STATEFUL_SET):
        for obj in twin.cache.all(kind):
            wanted, ready = obj["spec"].get("replicas", 1), (obj.get("status") or {}).get("readyReplicas", 0)
            if wanted != ready:
                yield f"{kind[1]} {namespace_of(obj)}/{name_of(obj)} has {ready} of {wanted} pods ready"


def _gpus(twin: Twin) -> Iterator[str]:
    """Where drivers are declared, each GPU node has its GPUs and each object is ready."""
    drivers, policies = list(twin.cache.all(NVIDIA_DRIVER)), list(twin.cache.all(CLUSTER_POLICY))
    for obj in (*drivers, *policies):
        if (obj.get("status") or {}).get("state") != "ready":
            yield f"{obj['kind']} {name_of(obj)} is not ready"
    own = any(brings_drivers(policy) for policy in policies)
    for node in twin.cache.all(NODE) if drivers or own else ():
        machine = twin.world.machines.get(name_of(node))
        seed = machine.seed if machine else None
        have = (node["status"].get("allocatable") or {}).get(GPU, "0")
        labels = node["metadata"]["labels"]
        owned = own or OWNER_LABEL in labels
        if labels.get(MIG_CAPABLE_LABEL) == "true" and MIG_MANAGER_LABEL not in labels:
            yield f"node {name_of(node)} is not labelled for the MIG manager"
        wanted = seed.gpus * (seed.instances or 1) * seed.replicas if seed else 0
        if machine and machine.by_label and not as_labelled(node, machine):
            yield f"node {name_of(node)} is not parted as its label says"
        if seed and owned and int(have) != wanted:
            yield f"node {name_of(node)} has {have} of {wanted} GPUs allocatable"
