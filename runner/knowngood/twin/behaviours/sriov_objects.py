"""What the SR-IOV network operator makes of policies and hardware: a node's state, by its own fields. Pure.

(openshift/sriov-network-operator@44199ad api/v1: SriovNetworkNodeState, -Policy, -PoolConfig.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from knowngood.twin.behaviours.kube import Kind, annotations_of, labels_of, matches, name_of, requests
from knowngood.twin.crds_sriov import GROUP
from knowngood.twin.host_files import NIC_TYPE, nic_address
from knowngood.twin.values import Object

API = f"{GROUP}/v1"
POLICY: Kind = (API, "SriovNetworkNodePolicy")
STATE: Kind = (API, "SriovNetworkNodeState")
POOL_CONFIG: Kind = (API, "SriovNetworkPoolConfig")
DESIRED, CURRENT = f"{GROUP}/desired-state", f"{GROUP}/current-state"
MARK = f"{GROUP}/state"
"""On a node what its daemon wants, on a MachineConfigPool whether the operator has paused it."""
IDLE, DRAIN, REBOOT = "Idle", "Drain_Required", "Reboot_Required"
DRAINING, DRAINED = "Draining", "DrainComplete"
PAUSED = "Paused"
SUCCEEDED, AT_WORK, FAILED = "Succeeded", "InProgress", "Failed"
VENDOR = "15b3"


def port(index: int) -> str:
    """The network interface of a NIC."""
    return f"ens{index + 1}f0np0"


def wanted(policies: Iterable[Object], node: Object, nics: int) -> list[Object]:
    """A state's spec: each NIC that policies select, with the most functions that one of them asks for."""
    found: dict[int, Object] = {}
    for policy in sorted(policies, key=lambda p: -int(p["spec"].get("priority", 99))):
        spec = policy["spec"]
        labels = labels_of(node)
        if any(labels.get(key) != value for key, value in spec["nodeSelector"].items()):
            continue
        for index in (i for i in range(nics) if _selects(spec["nicSelector"], i)):
            asked = int(spec["numVfs"])
            one = found.setdefault(
                index,
                {"name": port(index), "pciAddress": nic_address(index), "numVfs": 0, "vfGroups": []},
            )
            one["numVfs"] = max(one["numVfs"], asked)
            group = {"policyName": name_of(policy), "resourceName": spec["resourceName"]}
            one["vfGroups"] += [{**group, "vfRange": f"0-{asked - 1}"}] if asked else []
    return [found[index] for index in sorted(found)]


def _selects(selector: Object, index: int) -> bool:
    names = [name.partition("#")[0] for name in selector.get("pfNames") or ()]
    return (
        selector.get("vendor", VENDOR) == VENDOR
        and selector.get("deviceID", NIC_TYPE) == NIC_TYPE
        and (not names or port(index) in names)
        and nic_address(index) in (selector.get("rootDevices") or [nic_address(index)])
    )


def counts(interfaces: Iterable[Object], nics: int) -> dict[int, int]:
    """Functions by NIC: none where nothing is said of it."""
    said = {one["pciAddress"]: int(one["numVfs"]) for one in interfaces}
    return {index: said.get(nic_address(index), 0) for index in range(nics)}


def offered(interfaces: Iterable[Object], there: Mapping[int, int], prefix: str) -> dict[str, int]:
    """What the device plugin finds: by resource the functions that are there."""
    by_address = {nic_address(index): count for index, count in there.items()}
    found: dict[str, int] = {}
    for one in interfaces:
        for group in one["vfGroups"]:
            resource = f"{prefix}/{group['resourceName']}"
            found[resource] = found.get(resource, 0) + by_address.get(one["pciAddress"], 0)
    return found


def seen(there: Mapping[int, int], total: int) -> list[Object]:
    """A state's status: the NICs, with their functions."""
    return [
        {
            "name": port(index),
            "pciAddress": nic_address(index),
            "vendor": VENDOR,
            "deviceID": NIC_TYPE,
            "driver": "mlx5_core",
            "linkType": "IB",
            "totalvfs": total,
            **({"numVfs": count} if count else {}),
        }
        for index, count in there.items()
    ]


def uses(pod: Object) -> bool:
    """Whether a pod asks for anything that a NIC may be made to offer: GPUs are not."""
    return any(not name.startswith("nvidia.com/gpu") for name in requests(pod["spec"]))


def room(
    node: Object, pools: Iterable[Object], states: Mapping[str, Object], nodes: Iterable[Object]
) -> bool:
    """Whether one more node of its pool may be drained: one at a time where no pool is, all where it says nothing."""
    pools = list(pools)
    own = _pool(node, pools)
    if own is not None and (most := own["spec"].get("maxUnavailable")) is None:
        return True
    mates = [n for n in nodes if (_pool(n, pools) or {}).get("metadata") == (own or {}).get("metadata")]
    limit: int | str = 1 if own is None else most
    if isinstance(limit, str):
        limit = int(limit[:-1]) * len(mates) // 100 if limit.endswith("%") else int(limit)
    out = [n for n in mates if said(states.get(name_of(n)), CURRENT) in (DRAINING, DRAINED)]
    return len(out) < limit


def _pool(node: Object, pools: Iterable[Object]) -> Object | None:
    return next((p for p in pools if matches(p["spec"].get("nodeSelector"), labels_of(node))), None)


def said(obj: Object | None, key: str) -> str:
    """What one of its annotations says; at rest where there is none."""
    return str(annotations_of(obj).get(key) or IDLE) if obj else IDLE
