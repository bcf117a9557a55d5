"""What the SR-IOV network operator's objects say: which ports a policy has, how far a node is, how many may be out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from knowngood.adapters.cluster.actors import (
    SRIOV_API,
    SRIOV_CURRENT,
    SRIOV_DESIRED,
    SRIOV_IDLE,
    annotation,
    optional,
)
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.model.values import Values
from knowngood.planner.holding import matches

POLICIES, STATES, POOLS = "sriovnetworknodepolicies", "sriovnetworknodestates", "sriovnetworkpoolconfigs"
POLICY, COUNT_FIELD = "SriovNetworkNodePolicy", "spec.numVfs"
SUCCEEDED, FAILED = "Succeeded", "Failed"


def states(kube: Kube) -> dict[str, Object]:
    """Node -> its state; each is large, since it lists every function of every NIC."""
    return {str(s["metadata"]["name"]): s for s in optional(kube, path(SRIOV_API, STATES), _slim)}


def ports(state: Values, policies: Iterable[str]) -> dict[str, tuple[str, int]]:
    """PCI address -> resource and number of functions, of the ports that these policies have on a node.

    As its operator has understood them, before any of it is made.
    """
    names, found = {*policies}, {}
    for port in (state.get("spec") or {}).get("interfaces") or ():
        for group in port.get("vfGroups") or ():
            if group.get("policyName") in names:
                found[str(port["pciAddress"])] = (
                    str(group.get("resourceName") or ""),
                    int(port.get("numVfs") or 0),
                )
    return found


def resources(state: Values) -> frozenset[str]:
    """What a node's policies have its ports offer, without the domain."""
    return frozenset(
        str(group.get("resourceName"))
        for port in (state.get("spec") or {}).get("interfaces") or ()
        for group in port.get("vfGroups") or ()
    )


def others_on(state: Values, name: str) -> set[str]:
    """The other policies that have functions on ports of this one."""
    groups = [
        {str(g.get("policyName")) for g in port.get("vfGroups") or ()}
        for port in (state.get("spec") or {}).get("interfaces") or ()
    ]
    return {other for found in groups if name in found for other in found if other != name}


def at_work(state: Values) -> str:
    """Who still works on the node, in words; "" where its daemon and the drains are at rest."""
    status = state.get("status") or {}
    sync, why = str(status.get("syncStatus") or "not told"), str(status.get("lastSyncError") or "")
    wants, has = (annotation(state, key) or SRIOV_IDLE for key in (SRIOV_DESIRED, SRIOV_CURRENT))
    if (sync, wants, has) == (SUCCEEDED, SRIOV_IDLE, SRIOV_IDLE):
        return ""
    return f"its SR-IOV state is {sync}, wants {wants}, is {has}{f': {why}' if why else ''}"


def fewest(state: Values, addresses: Iterable[str]) -> tuple[str, int] | None:
    """The port whose firmware allows the fewest functions, with that number; None where none is told."""
    wanted = {*addresses}
    told = [
        (int(port["totalvfs"]), str(port["pciAddress"]))
        for port in (state.get("status") or {}).get("interfaces") or ()
        if port.get("pciAddress") in wanted and port.get("totalvfs")
    ]
    return (min(told)[1], min(told)[0]) if told else None


def untold(state: Values, addresses: Iterable[str]) -> set[str]:
    """The ports whose firmware's limit is not told."""
    told = {
        str(port.get("pciAddress"))
        for port in (state.get("status") or {}).get("interfaces") or ()
        if port.get("totalvfs")
    }
    return {*addresses} - told


def pools_of(node: Values, pools: Iterable[Object]) -> list[Object]:
    """The pool configurations that select a node; the operator takes a node of several for an error."""
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    return [p for p in pools if matches((p.get("spec") or {}).get("nodeSelector") or {}, labels)]


def turns_before(kube: Kube, node: Values, nodes: int) -> int:
    """How often the last of these nodes must wait for others: its pool lets few be drained at once.

    One where no pool selects it, and where a pool says a share: then the wait may be longer than it need be.
    """
    found = pools_of(node, optional(kube, path(SRIOV_API, POOLS)))
    said = [(p.get("spec") or {}).get("maxUnavailable") for p in found] or [1]
    most = min(nodes if s is None else int(s) if str(s).isdigit() else 1 for s in said)
    return max(-(-nodes // max(most, 1)) - 1, 0)


def of_node(kube: Kube, node: Values) -> dict[str, str]:
    """The policies that select a node, by name: how many functions each asks for."""
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    return {
        str(p["metadata"]["name"]): str(p["spec"].get("numVfs"))
        for p in optional(kube, path(SRIOV_API, POLICIES))
        if all(labels.get(k) == v for k, v in (p["spec"].get("nodeSelector") or {}).items())
    }


def _slim(state: Object) -> Object:
    """Without the functions of each port."""
    metadata = {key: state["metadata"].get(key) for key in ("name", "annotations")}
    status = state.get("status") or {}
    kept = ("pciAddress", "totalvfs")
    seen: Sequence[Object] = [
        {key: port[key] for key in kept if key in port} for port in status.get("interfaces") or ()
    ]
    told = {key: status.get(key) for key in ("syncStatus", "lastSyncError")}
    return {"metadata": metadata, "spec": state.get("spec"), "status": {**told, "interfaces": seen}}
