"""Why a ring's ports could not be parted anew, or not back: asked before anything is committed."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.adapters.cluster.actors import SRIOV_API, optional
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import sriov_state
from knowngood.adapters.movers.of_rings import nodes_seen, own, ring_of, selected, selecting
from knowngood.adapters.movers.sriov_state import POLICIES, POLICY, POOLS
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.matrix import Cluster, Ring
from knowngood.model.mover import Moving


def ready(kube: Kube, cluster: Cluster, moving: Moving, *, undo: bool) -> Iterator[Finding]:
    """What stands in the way of one ring's policy; `undo`: of the number that its way back leads to."""
    ring = ring_of(cluster, moving)
    if ring is None:
        yield unknown(moving.component, "which ring its policy is of can't be told", "see declare")
        return
    policy = own(optional(kube, path(SRIOV_API, POLICIES)), moving)
    if policy is None:
        return  # that it is not there is told by whoever reads what is declared
    name = str(policy["metadata"]["name"])
    where = f"{POLICY} {name}"
    if not moving.after.isdigit() or int(moving.after) < 1:
        what = (
            f"{moving.after!r} is no number of functions that a port can show: without any there is no proof"
        )
        yield refused(where, what, "take the policy out by hand, or give it one at least")
        return
    states = sriov_state.states(kube)
    for node in ring.nodes:
        yield from _of_node(node, states.get(node), name, int(moving.after), undo=undo)
    if not undo:
        nodes = nodes_seen(kube)
        here = selected(policy["spec"].get("nodeSelector") or {}, nodes)
        yield from selecting(where, here, ring, "drained by the operator")
        yield from _known(where, policy)
        yield from _pools(optional(kube, path(SRIOV_API, POOLS)), ring, nodes)


def _of_node(node: str, state: Object | None, policy: str, count: int, *, undo: bool) -> Iterator[Finding]:
    """What its operator says of one node."""
    where = f"node {node}"
    if state is None:
        yield refused(where, "it has no SriovNetworkNodeState", "is the SR-IOV operator's daemon there?")
        return
    ports = sriov_state.ports(state, [policy])
    if not ports:
        yield refused(where, f"no port of it is of policy {policy}", "mend its nicSelector")
    if untold := sorted(sriov_state.untold(state, ports)):
        what = f"how many functions {', '.join(untold)} allows is not told"
        yield unknown(where, what, "see totalvfs of its SriovNetworkNodeState")
    few = sriov_state.fewest(state, ports)
    if few is not None and few[1] < count:
        why = "there would be no way back" if undo else "its operator would change the firmware by a boot"
        what = f"{few[0]} allows {few[1]} functions, not {count}: {why}"
        yield refused(where, what, "raise NUM_OF_VFS of its firmware first, and boot it")
    if undo:
        return
    if others := sorted(sriov_state.others_on(state, policy)):
        what = f"{', '.join(others)} has functions on the same ports as {policy}: the largest number counts"
        yield refused(where, what, "leave one policy a port")
    if busy := sriov_state.at_work(state):
        yield refused(where, busy, "wait until it is Succeeded and Idle", passes=True)


def _known(where: str, policy: Object) -> Iterator[Finding]:
    """What makes a policy another thing than the number of all functions of its ports."""
    spec = policy["spec"]
    if spec.get("externallyManaged"):
        yield refused(where, "externallyManaged: its operator makes no functions", "move it by hand")
    if spec.get("eSwitchMode") == "switchdev":
        what = "eSwitchMode switchdev: the NIC driver tells of no functions that are made in it"
        yield refused(where, what, "move it by hand")
    if shared := [n for n in (spec.get("nicSelector") or {}).get("pfNames") or () if "#" in n]:
        yield refused(where, f"pfNames {', '.join(shared)} is a part of a port", "move it by hand")


def _pools(pools: list[Object], ring: Ring, nodes: list[Object]) -> Iterator[Finding]:
    """The pools decide how many nodes are drained at once: with none nothing ever starts, with two neither counts."""
    for node in (n for n in nodes if n["metadata"]["name"] in ring.nodes):
        found = sriov_state.pools_of(node, pools)
        names = sorted(str(p["metadata"]["name"]) for p in found)
        where = f"SriovNetworkPoolConfig {', '.join(names)}"
        if len(found) > 1:
            what = f"they all select {node['metadata']['name']}, which their operator takes for an error"
            yield refused(where, what, "leave one of them")
        elif found and str(found[0]["spec"].get("maxUnavailable")) in {"0", "0%"}:
            yield refused(where, "maxUnavailable 0: nothing would ever start", "raise it, or leave it unset")
