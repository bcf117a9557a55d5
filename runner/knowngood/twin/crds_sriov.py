"""Virtual functions by the SR-IOV network operator, where a cluster has it: what is wanted, what a node has, pools."""

from __future__ import annotations

from knowngood.twin.crds import (
    ANY,
    COUNT_OR_SHARE,
    FLAG,
    MANY,
    MANY_TEXTS,
    NUMBER,
    TEXT,
    TEXTS,
    Schema,
    definition,
    one_of,
    open_object,
)

GROUP = "sriovnetwork.openshift.io"


def sriov_crds() -> list[Schema]:
    """SriovNetworkNodePolicy, -NodeState and -PoolConfig."""
    selector = open_object(
        {"vendor": TEXT, "deviceID": TEXT, "pfNames": MANY_TEXTS, "rootDevices": MANY_TEXTS}
    )
    policy = open_object(
        {
            "nodeSelector": TEXTS,
            "nicSelector": selector,
            "resourceName": TEXT,
            "numVfs": {**NUMBER, "minimum": 0},
            "priority": {**NUMBER, "minimum": 0, "maximum": 99},
            "deviceType": {**one_of("netdevice", "vfio-pci"), "default": "netdevice"},
            "eSwitchMode": one_of("legacy", "switchdev"),
            "externallyManaged": FLAG,
        },
        ("nicSelector", "nodeSelector", "numVfs", "resourceName"),
    )
    has = open_object({"interfaces": MANY, "syncStatus": TEXT, "lastSyncError": TEXT})
    pool = open_object({"nodeSelector": ANY, "maxUnavailable": COUNT_OR_SHARE})
    return [
        _one("SriovNetworkNodePolicy", "sriovnetworknodepolicies", {"spec": policy, "status": ANY}),
        _one(
            "SriovNetworkNodeState",
            "sriovnetworknodestates",
            {"spec": open_object({"interfaces": MANY}), "status": has},
            (("Sync Status", "string", ".status.syncStatus"),),
        ),
        _one("SriovNetworkPoolConfig", "sriovnetworkpoolconfigs", {"spec": pool, "status": ANY}),
    ]


def _one(
    kind: str, plural: str, properties: Schema, columns: tuple[tuple[str, str, str], ...] = ()
) -> Schema:
    return definition(GROUP, "v1", kind, plural, properties, columns, namespaced=True)
