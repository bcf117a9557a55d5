"""NIC firmware by NVIDIA's operators, where a cluster has them: what is wanted, what is there, who works on a node."""

from __future__ import annotations

from knowngood.twin.crds import (
    COUNT_OR_SHARE,
    FLAG,
    MANY,
    MANY_TEXTS,
    TEXT,
    Schema,
    definition,
    one_of,
    open_object,
)

CONFIGURATION, MAINTENANCE = "configuration.net.nvidia.com", "maintenance.nvidia.com"
STATES = (
    "Downloading",
    "Processing",
    "Success",
    "ProcessingFailed",
    "DownloadFailed",
    "CacheVerificationFailed",
)
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}


def nic_crds() -> list[Schema]:
    """NicFirmwareTemplate, -Source and NicDevice; NodeMaintenance and its operator's configuration."""
    template = open_object(
        {"nicFirmwareSourceRef": TEXT, "updatePolicy": one_of("Validate", "Update")},
        ("nicFirmwareSourceRef", "updatePolicy"),
    )
    wanted = open_object(
        {
            "nodeSelector": TEXTS,
            "nicSelector": open_object({"nicType": TEXT, "pciAddresses": MANY_TEXTS}, ("nicType",)),
            "template": template,
        },
        ("nicSelector", "template"),
    )
    source = open_object({"binUrlSources": MANY_TEXTS})
    state = open_object({"state": one_of(*STATES), "reason": TEXT})
    device = open_object({"firmwareVersion": TEXT, "psid": TEXT, "node": TEXT, "conditions": MANY})
    out = open_object(
        {"requestorID": TEXT, "nodeName": TEXT, "cordon": {**FLAG, "default": True}},
        ("requestorID", "nodeName"),
    )
    most = {"maxParallelOperations": {**COUNT_OR_SHARE, "default": 1}, "maxUnavailable": COUNT_OR_SHARE}
    anything = open_object({"conditions": MANY})
    return [
        _one(CONFIGURATION, "NicFirmwareTemplate", {"spec": wanted, "status": anything}),
        _one(CONFIGURATION, "NicFirmwareSource", {"spec": source, "status": state}),
        _one(CONFIGURATION, "NicDevice", {"spec": open_object({}), "status": device}),
        _one(MAINTENANCE, "NodeMaintenance", {"spec": out, "status": anything}),
        _one(
            MAINTENANCE, "MaintenanceOperatorConfig", {"spec": open_object(most), "status": open_object({})}
        ),
    ]


def _one(group: str, kind: str, properties: Schema) -> Schema:
    return definition(group, "v1alpha1", kind, f"{kind.lower()}s", properties, (), namespaced=True)
