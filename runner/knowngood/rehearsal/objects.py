"""The objects of a cluster's GitOps repository, by kind, as a team would have them before any version is written in.

Plain dicts; their fields follow the operators' definitions: nvidia.com NVIDIADriver v1alpha1 and ClusterPolicy v1
(GPU Operator 26.7.0), mellanox.com NicClusterPolicy and NicNodePolicy v1alpha1 (Network Operator 26.4),
operators.coreos.com Subscription v1alpha1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import NAMESPACE_DNS, uuid5

from knowngood.model.field import ObjectRef
from knowngood.model.names import MAINTENANCE_TAINT, QUARANTINE_TAINT, RING_LABEL
from knowngood.model.values import Object
from knowngood.planner.readiness.rights import FLASHED, PARTED
from knowngood.rehearsal import sharing
from knowngood.rehearsal.at_rest import AtRest

MIRROR = "mirror.example.com/nvidia"
"""The air gap's mirror; nothing is ever pulled in a rehearsal."""

CONFIG_MAP = "ConfigMap"
GPU_TAINT = "nvidia.com/gpu"
PEERMEM = "nvidia-peermem"


def made(named: ObjectRef, spec: Object) -> Object:
    """An object of that name; of a ConfigMap `spec` is its data."""
    metadata = {"name": named.name, **({"namespace": named.namespace} if named.namespace else {})}
    body = {"spec": spec} if named.kind != CONFIG_MAP else {"data": spec}
    return {"apiVersion": named.api_version, "kind": named.kind, "metadata": metadata, **body}


def tolerations() -> list[Object]:
    """What operands must tolerate, or a driver pod deleted under our taint never returns."""
    return [
        {"key": key, "operator": "Exists", "effect": "NoSchedule"}
        for key in (GPU_TAINT, MAINTENANCE_TAINT, QUARANTINE_TAINT)
    ]


def nvidia_driver(rest: AtRest, ring: str) -> Object:
    """One ring's driver: autoUpgrade written out (from 26.7 omitted means on)."""
    return {
        "default": False,
        "driverType": "gpu",
        **_driver(rest),
        "nodeSelector": {RING_LABEL: ring},
        "tolerations": tolerations(),
    }


def cluster_policy(rest: AtRest, *, own_driver: bool = True) -> Object:
    """The GPU Operator's operands, with the driver of all nodes, or none where NVIDIADrivers bring it."""
    driver: Object = {"enabled": True, "useNvidiaDriverCRD": not own_driver}
    return {
        "operator": {"use_ocp_driver_toolkit": True} if rest.openshift else {},
        "daemonsets": {"tolerations": tolerations(), "updateStrategy": "RollingUpdate"},
        "driver": driver | (_driver(rest) if own_driver else {"upgradePolicy": {"autoUpgrade": False}}),
        "toolkit": {"enabled": True},
        "devicePlugin": {"enabled": True},
        "dcgm": {"enabled": True},
        "dcgmExporter": {"enabled": True, **_imaged(rest, "dcgm-exporter", "dcgm-exporter")},
        **({"gds": {"enabled": True, **fs}} if (fs := _imaged(rest, "gds", "nvidia-fs")) else {}),
        "gfd": {"enabled": True},
        "nodeStatusExporter": {"enabled": False},
        **sharing.configured(rest),
    }


def _imaged(rest: AtRest, component: str, image: str) -> Object:
    """Repository and image beside a version that Git declares: without them no image can be composed of it."""
    declared = {d.component for d in rest.cluster.declarations} & rest.release.components.keys()
    return {"repository": MIRROR, "image": image} if component in declared else {}


def _driver(rest: AtRest) -> Object:
    """What both kinds that declare a driver say of it, but for its version."""
    peermem = rest.release.components.get("rdma-mode") == PEERMEM
    left = "nvidia-driver" in rest.cluster.follows  # to the operator, with repository and image
    return {
        **({} if left else {"repository": MIRROR, "image": "driver"}),
        "kernelModuleType": rest.release.components.get("kernel-module-type", "open"),
        "upgradePolicy": {"autoUpgrade": False},
        **({"rdma": {"enabled": True}} if peermem else {}),
    }


def nic_policy(rest: AtRest) -> Object:
    """DOCA-OFED on all nodes, at the release's version."""
    version = rest.release.components.get("doca-ofed", "")
    parts = {
        "operator": "nic-configuration-operator",
        "configurationDaemon": "nic-configuration-operator-daemon",
    }
    made = {part: _imaged(rest, "nic-configuration-operator", image) for part, image in parts.items()}
    return {
        **({"nicConfigurationOperator": made} if all(made.values()) else {}),
        "ofedDriver": {
            "repository": MIRROR,
            "image": "doca-driver",
            "version": version,
            "upgradePolicy": {"autoUpgrade": False},
        },
        "tolerations": tolerations(),
    }


def nic_node_policy(rest: AtRest, ring: str) -> Object:
    """DOCA-OFED on one ring's nodes."""
    return {**nic_policy(rest), "nodeSelector": {RING_LABEL: ring}}


NIC_API = "configuration.net.nvidia.com/v1alpha1"
NIC_TYPE = "1021"
"""The PCI device id of a ConnectX-7, as the twin's machines have them (the PCI ID repository)."""


def nic_firmware_template(_rest: AtRest, ring: str) -> Object:
    """The firmware of one ring's NICs; its source is filled in."""
    return {
        "nodeSelector": {RING_LABEL: ring},
        "nicSelector": {"nicType": NIC_TYPE},
        "template": {"nicFirmwareSourceRef": "", "updatePolicy": "Update"},
    }


def nic_firmware_source(name: str, namespace: str, version: str) -> Object:
    """Where a version's image is; the operator reads the version from the image itself, the twin from its name."""
    image = f"https://{MIRROR}/fw-ConnectX7-rel-{version.replace('.', '_')}.bin.zip"
    return made(ObjectRef(NIC_API, "NicFirmwareSource", name, namespace), {"binUrlSources": [image]})


FUNCTIONS = "functions"
"""What rings' ports offer, without the operator's prefix."""


def sriov_policy(_rest: AtRest, ring: str) -> Object:
    """The virtual functions of one ring's ports; their number is filled in."""
    return {
        "nodeSelector": {RING_LABEL: ring},
        "nicSelector": {"vendor": "15b3", "deviceID": NIC_TYPE},
        "resourceName": FUNCTIONS,
        "numVfs": 0,
        "isRdma": True,
    }


SPECS: Mapping[str, Callable[[AtRest, str], Object]] = {
    "NVIDIADriver": nvidia_driver,
    "ClusterPolicy": lambda rest, _: cluster_policy(rest),
    "NicClusterPolicy": lambda rest, _: nic_policy(rest),
    "NicNodePolicy": nic_node_policy,
    CONFIG_MAP: lambda _, ring: {"ring": ring},
    FLASHED: nic_firmware_template,
    PARTED: sriov_policy,
    "ContainerStorageModule": lambda _, __: {"driver": {"csiDriverType": "isilon"}},
    "ClusterVersion": lambda rest, _: {"clusterID": str(uuid5(NAMESPACE_DNS, rest.cluster.name))},
}
"""Kind -> the spec of one that declares for a ring, or for all nodes (ring ""); of a ConfigMap its data."""
