"""The custom kinds that the twin serves, as CustomResourceDefinitions of our own.

Structural schemas that name the fields we read or write, keep all others, and default what the vendors' schemas
default (their field names and enums are facts of their CRDs; the text is ours).
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
ANY: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
MANY_TEXTS: Schema = {"type": "array", "items": TEXT}
MANY: Schema = {"type": "array", "items": ANY}


def open_object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    """An object with these fields that keeps any other."""
    schema: Schema = {
        "type": "object",
        "properties": properties,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    if required:
        schema["required"] = list(required)
    return schema


def one_of(*values: str) -> Schema:
    """A text that is one of these."""
    return {"type": "string", "enum": list(values)}


def _status(*states: str) -> Schema:
    fields = {"state": one_of(*states), "namespace": TEXT, "conditions": MANY}
    return open_object(fields, ("state",))


COUNT_OR_SHARE: Schema = {"x-kubernetes-int-or-string": True, "anyOf": [NUMBER, TEXT]}


def _upgrade_policy(*, automatic: bool) -> Schema:
    """How the operator upgrades by itself: unless told otherwise, and then one node at a time."""
    wait = {**NUMBER, "default": 300}
    off = {**FLAG, "default": False}
    return open_object(
        {
            "autoUpgrade": {**FLAG, "default": automatic},
            "maxParallelUpgrades": {**NUMBER, "default": 1},
            "maxUnavailable": {**COUNT_OR_SHARE, "default": "25%"},
            "drain": open_object(
                {
                    "enable": off,
                    "force": off,
                    "deleteEmptyDir": off,
                    "podSelector": TEXT,
                    "timeoutSeconds": wait,
                }
            ),
            "podDeletion": open_object({"force": off, "deleteEmptyDir": off, "timeoutSeconds": wait}),
            "waitForCompletion": open_object(
                {"podSelector": TEXT, "timeoutSeconds": {**NUMBER, "default": 0}}
            ),
        }
    )


NVIDIA_DRIVER_SPEC = open_object(
    {
        "driverType": {**one_of("gpu", "vgpu", "vgpu-host-manager"), "default": "gpu"},
        "default": {**FLAG, "default": False},
        "image": {**TEXT, "default": "nvcr.io/nvidia/driver"},
        "repository": TEXT,
        "version": TEXT,
        "kernelModuleType": {**one_of("auto", "open", "proprietary"), "default": "auto"},
        "usePrecompiled": FLAG,
        "nodeSelector": TEXTS,
        "tolerations": MANY,
        "env": MANY,
        "manager": ANY,
        "upgradePolicy": _upgrade_policy(automatic=True),
    },
    ("driverType", "image"),
)
NVIDIA_DRIVER_SPEC["x-kubernetes-validations"] = [
    {
        "rule": "has(self.default) && self.default ? !has(self.nodeSelector) || size(self.nodeSelector) == 0 : true",
        "message": "default NVIDIADriver must not use nodeSelector",
    }
]
CLUSTER_POLICY_DEFAULTS: dict[str, Schema] = {
    "operator": open_object({"runtimeClass": {**TEXT, "default": "nvidia"}}),
    "daemonsets": open_object({"updateStrategy": {**TEXT, "default": "RollingUpdate"}}),
    "driver": open_object(
        {
            "kernelModuleType": {**one_of("auto", "open", "proprietary"), "default": "auto"},
            "upgradePolicy": _upgrade_policy(automatic=False),
        }
    ),
    "toolkit": open_object({"installDir": {**TEXT, "default": "/usr/local/nvidia"}}),
    "cdi": open_object(
        {
            "enabled": {**FLAG, "default": True},
            "default": {**FLAG, "default": False},
            "nriPluginEnabled": {**FLAG, "default": False},
        }
    ),
}
CLUSTER_POLICY_PARTS = (
    "operator",
    "daemonsets",
    "driver",
    "toolkit",
    "devicePlugin",
    "dcgm",
    "dcgmExporter",
    "gfd",
    "nodeStatusExporter",
)
OFED_DRIVER = open_object(
    {
        "image": TEXT,
        "version": TEXT,
        "repository": TEXT,
        "env": MANY,
        "forcePrecompiled": {**FLAG, "default": False},
        "terminationGracePeriodSeconds": {**NUMBER, "default": 300},
        "upgradePolicy": open_object(
            {
                "autoUpgrade": {**FLAG, "default": False},
                "maxParallelUpgrades": {**NUMBER, "default": 1},
                "safeLoad": {**FLAG, "default": False},
                "drain": open_object(
                    {
                        "enable": {**FLAG, "default": True},
                        "force": {**FLAG, "default": False},
                        "deleteEmptyDir": {**FLAG, "default": False},
                        "timeoutSeconds": {**NUMBER, "default": 300},
                    }
                ),
            }
        ),
    },
    ("image",),
)
NIC_POLICIES = (
    ("NicClusterPolicy", "nicclusterpolicies", "ncp"),
    ("NicNodePolicy", "nicnodepolicies", "nicnode", "nnp"),
)
PHASES = ("Running", "Failed", "Error", "Succeeded", "Terminating")


def definition(  # noqa: PLR0913 (a table row)
    group: str,
    version: str,
    kind: str,
    plural: str,
    properties: Schema,
    columns: tuple[tuple[str, str, str], ...],
    *,
    short: tuple[str, ...] = (),
    namespaced: bool = False,
    status: bool = True,
) -> Schema:
    """One kind in one version. `columns`: name, type, JSON path."""
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {"metadata": {"type": "object"}, **properties},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": list(short),
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}} if status else {},
                    "additionalPrinterColumns": [
                        {"name": name, "type": type_, "jsonPath": path} for name, type_, path in columns
                    ],
                }
            ],
        },
    }


STATUS_COLUMNS = (("Status", "string", ".status.state"), ("Age", "date", ".metadata.creationTimestamp"))


def condition_path(name: str) -> str:
    """Where a printer finds the status of a condition."""
    return f'.status.conditions[?(@.type=="{name}")].status'


def all_crds(*, openshift: bool) -> list[Schema]:
    """Every definition, for OpenShift with the kinds that only it has."""
    return [*_gpu(), *_others(), *(_openshift() if openshift else ())]


def _gpu() -> list[Schema]:
    parts = {**dict.fromkeys(CLUSTER_POLICY_PARTS, ANY), **CLUSTER_POLICY_DEFAULTS}
    policy_spec = open_object(parts, CLUSTER_POLICY_PARTS)
    return [
        definition(
            "nvidia.com",
            "v1alpha1",
            "NVIDIADriver",
            "nvidiadrivers",
            {"spec": NVIDIA_DRIVER_SPEC, "status": _status("ignored", "ready", "notReady", "disabled")},
            (
                ("Status", "string", ".status.state"),
                ("Default", "boolean", ".spec.default"),
                ("Age", "date", ".metadata.creationTimestamp"),
            ),
            short=("nvd", "nvdriver", "nvdrivers"),
        ),
        definition(
            "nvidia.com",
            "v1",
            "ClusterPolicy",
            "clusterpolicies",
            {"spec": policy_spec, "status": _status("ignored", "ready", "notReady")},
            STATUS_COLUMNS,
        ),
        *(_nic_policy(*names) for names in NIC_POLICIES),
    ]


def _nic_policy(kind: str, plural: str, *short: str) -> Schema:
    sections = dict.fromkeys(("rdmaSharedDevicePlugin", "sriovDevicePlugin"), open_object({}, ("image",)))
    spec = {"ofedDriver": OFED_DRIVER, **sections, "tolerations": MANY, "nodeSelector": TEXTS}
    status = {"state": one_of("ignore", "notReady", "ready", "error"), "reason": TEXT, "appliedStates": MANY}
    properties = {"spec": open_object(spec), "status": open_object(status, ("state",))}
    return definition("mellanox.com", "v1alpha1", kind, plural, properties, STATUS_COLUMNS, short=short)


def _others() -> list[Schema]:
    operation = open_object(
        {"phase": one_of(*PHASES), "message": TEXT, "startedAt": TEXT, "finishedAt": TEXT, "operation": ANY},
        ("operation", "phase", "startedAt"),
    )
    sync = open_object({"status": one_of("Synced", "OutOfSync", "Unknown"), "revision": TEXT}, ("status",))
    app_status = open_object({"sync": sync, "operationState": operation, "resources": MANY, "history": MANY})
    return [
        definition(
            "argoproj.io",
            "v1alpha1",
            "Application",
            "applications",
            {
                "spec": open_object(
                    {"destination": ANY, "project": TEXT, "source": ANY}, ("destination", "project")
                ),
                "status": app_status,
                "operation": ANY,
            },
            (
                ("Sync Status", "string", ".status.sync.status"),
                ("Health Status", "string", ".status.health.status"),
            ),
            short=("app", "apps"),
            namespaced=True,
            status=False,
        ),
        definition(
            "argoproj.io",
            "v1alpha1",
            "AppProject",
            "appprojects",
            {"spec": ANY, "status": ANY},
            (),
            short=("appproj", "appprojs"),
            namespaced=True,
            status=False,
        ),
        _storage_module(),
        definition(
            "scheduling.run.ai",
            "v2alpha2",
            "PodGroup",
            "podgroups",
            {
                "spec": open_object({"minMember": NUMBER, "queue": TEXT, "priorityClassName": TEXT}),
                "status": ANY,
            },
            (),
            short=("pg",),
            namespaced=True,
        ),
    ]


def _storage_module() -> Schema:
    """By its names alone: the vendor's definition was not at hand."""
    properties = {"spec": ANY, "status": ANY}
    names = ("storage.dell.com", "v1", "ContainerStorageModule", "containerstoragemodules")
    return definition(*names, properties, (), short=("csm",), namespaced=True)


def _openshift() -> list[Schema]:
    return [
        definition(
            "machineconfiguration.openshift.io",
            "v1",
            "MachineConfigPool",
            "machineconfigpools",
            {
                "spec": open_object({"paused": FLAG}),
                "status": open_object({"conditions": MANY, "machineCount": NUMBER}),
            },
            (
                ("Config", "string", ".status.configuration.name"),
                ("Updated", "string", condition_path("Updated")),
                ("Updating", "string", condition_path("Updating")),
                ("Degraded", "string", condition_path("Degraded")),
                ("MachineCount", "number", ".status.machineCount"),
            ),
            short=("mcp",),
        ),
        definition(
            "machineconfiguration.openshift.io",
            "v1",
            "MachineConfig",
            "machineconfigs",
            {"spec": open_object({"config": ANY, "kernelArguments": MANY_TEXTS, "osImageURL": TEXT})},
            (("IgnitionVersion", "string", ".spec.config.ignition.version"),),
            short=("mc",),
            status=False,
        ),
        definition(
            "config.openshift.io",
            "v1",
            "ClusterVersion",
            "clusterversions",
            {"spec": open_object({"clusterID": TEXT, "channel": TEXT}, ("clusterID",)), "status": ANY},
            (
                ("Version", "string", '.status.history[?(@.state=="Completed")].version'),
                ("Available", "string", condition_path("Available")),
                ("Progressing", "string", condition_path("Progressing")),
            ),
        ),
        definition(
            "config.openshift.io",
            "v1",
            "ClusterOperator",
            "clusteroperators",
            {"spec": ANY, "status": ANY},
            (
                ("Version", "string", '.status.versions[?(@.name=="operator")].version'),
                ("Available", "string", condition_path("Available")),
                ("Progressing", "string", condition_path("Progressing")),
                ("Degraded", "string", condition_path("Degraded")),
            ),
            short=("co",),
        ),
    ]
