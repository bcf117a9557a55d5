"""How GPUs are to be parted and shared: the ConfigMaps of mig-manager and of the device plugin. Reads only.

Names and keys: NVIDIA GPU Operator documentation, gpu-operator-mig and gpu-sharing; mig-parted's own config format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model.values import Values

DEFAULT_MIG = "default-mig-parted-config"
MIG_KEY = "config.yaml"
MAX_CHARS = 1 << 20  # of one key: a ConfigMap holds no more


@dataclass(frozen=True, slots=True)
class GpuConfig:
    """`mig`: layout's name -> its rules; `plugin`: key -> the device plugin's configuration; `default`: its key.

    What can't be read is in `mig_trouble` and `plugin_trouble`. `policy`: whether a ClusterPolicy is
    there; `named`: whether it gives the plugin a ConfigMap.
    """

    mig: Values = field(default_factory=dict)
    plugin: Values = field(default_factory=dict)
    default: str = ""
    named: bool = False
    policy: bool = False
    mig_trouble: str = ""
    plugin_trouble: str = ""


def read(kube: Kube, namespace: str) -> GpuConfig:
    """What the ClusterPolicy names, in the GPU operator's namespace."""
    spec = _policy(kube)
    mig = str(_config(spec, "migManager").get("name") or DEFAULT_MIG)
    layouts, mig_trouble = _keys(kube, namespace, mig)
    known = layouts.get(MIG_KEY)
    found = known.get("mig-configs") if isinstance(known, Mapping) else None
    if not mig_trouble and not isinstance(found, Mapping):
        mig_trouble = f"ConfigMap {mig} has no mig-configs in {MIG_KEY}"
    plugin = _config(spec, "devicePlugin")
    name = str(plugin.get("name") or "")
    keys, plugin_trouble = _keys(kube, namespace, name) if name else ({}, "")
    return GpuConfig(
        mig=found if isinstance(found, Mapping) else {},
        plugin=keys,
        default=str(plugin.get("default") or ""),
        named=bool(name),
        policy=spec is not None,
        mig_trouble=mig_trouble,
        plugin_trouble=plugin_trouble,
    )


IGNORED = "ignored"
"""What its status says of every ClusterPolicy but the one that counts (gpu-operator api/nvidia/v1)."""


def _policy(kube: Kube) -> Object | None:
    try:
        found = kube.list(path("nvidia.com/v1", "clusterpolicies"))
    except ApiError as error:
        if error.missing:
            return None
        raise
    found = [p for p in found if (p.get("status") or {}).get("state") != IGNORED]
    return (
        dict(min(found, key=lambda policy: str(policy["metadata"]["name"])).get("spec") or {})
        if found
        else None
    )


def _config(spec: Object | None, part: str) -> Object:
    return dict(((spec or {}).get(part) or {}).get("config") or {})


def _keys(kube: Kube, namespace: str, name: str) -> tuple[Object, str]:
    """Each key of a ConfigMap as YAML; what is no YAML is left out and told."""
    found = kube.find(path("v1", "configmaps", name, namespace))
    if found is None:
        return {}, f"there is no ConfigMap {name} in {namespace}"
    keys: Object = {}
    for key, text in (found.get("data") or {}).items():
        try:
            keys[key] = yaml.safe_load(str(text)[:MAX_CHARS])
        except yaml.YAMLError as error:
            return {}, f"ConfigMap {name}, {key}: {str(error).splitlines()[0]}"
    return keys, ""
