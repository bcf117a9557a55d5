"""How a cluster's GPUs are parted and shared, as a team writes it: the ConfigMaps of mig-manager and the device plugin.

Formats: mig-parted's config (devices, mig-enabled, mig-devices), the device plugin's (sharing.timeSlicing); NVIDIA GPU
Operator documentation, gpu-operator-mig and gpu-sharing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from knowngood.model.values import Object, Values
from knowngood.rehearsal.at_rest import AtRest

MIG, PLUGIN = "mig-layouts", "shared-gpus"
MIG_KEY = "config.yaml"
LAYOUT, LAYOUT_LABEL = "mig-config", "nvidia.com/mig.config"
"""The component that is a layout's name, and the node's label by which it comes."""
SHARES = "gpu-sharing"
"""The component that is a key of the device plugin's configuration."""
PLUGIN_LABEL = "nvidia.com/device-plugin.config"
NONE = "all-disabled"
FITTING = {"1": 7, "2": 3, "3": 2, "4": 1, "7": 1}
"""How many MIG devices of that many compute slices a GPU holds (NVIDIA's MIG user guide)."""
_KEY = re.compile(r"replicas-(\d{1,2})")
_ALL = re.compile(r"all-(?P<device>(?P<slices>\d)g\.\d{1,3}gb)")


def said(rest: AtRest) -> Mapping[str, Values]:
    """Node -> how it offers its GPUs, of those that do otherwise than each GPU once."""
    found: Mapping[str, Values] = rest.cluster.raw.get("sharing", {})
    return found


def by_label(rest: AtRest, component: str = LAYOUT) -> bool:
    """Whether Git declares layouts there, or keys, so that labels bring them."""
    return any(d.component == component for d in rest.cluster.declarations)


def _here(rest: AtRest, component: str) -> frozenset[str]:
    """What a node's label may come to name in a rehearsal; none where labels bring nothing."""
    return rest.named.get(component, frozenset()) if by_label(rest, component) else frozenset()


def at_start(rest: AtRest, node: str) -> Values:
    """How a node offers its GPUs when the rehearsal begins; empty where it is each GPU once."""
    own = dict(said(rest).get(node, {}))
    if by_label(rest, SHARES) and (replicas := _replicas(rest.release.components.get(SHARES, ""))) > 1:
        own["replicas"] = replicas
    layout = rest.release.components.get(LAYOUT, NONE) if by_label(rest) else NONE
    return own if layout == NONE else {**own, "mig": layout}


def configured(rest: AtRest) -> Object:
    """The parts of a ClusterPolicy's spec that name the ConfigMaps; nothing where no node needs one."""
    maps = config_maps(rest)
    named: Object = {}
    if MIG in maps:
        named["migManager"] = {"enabled": True, "config": {"name": MIG, "default": NONE}}
    if PLUGIN in maps:
        named["devicePlugin"] = {"enabled": True, "config": {"name": PLUGIN, "default": ""}}
    return named


def config_maps(rest: AtRest) -> dict[str, Object]:
    """The ConfigMaps by name."""
    nodes = said(rest).values()
    named = {str(node["mig"]) for node in nodes if "mig" in node}
    named |= _here(rest, LAYOUT) - {NONE}
    layouts = {name: _layout(name) for name in sorted(named)}
    keys = {key_of(node) for node in nodes if "replicas" in node} | _here(rest, SHARES)
    shares = {key: _plugin(_replicas(key)) for key in sorted(keys)}
    found: dict[str, Object] = {}
    if layouts:
        whole = {NONE: [{"devices": "all", "mig-enabled": False}], **layouts}
        found[MIG] = _map(rest, MIG, {MIG_KEY: {"version": "v1", "mig-configs": whole}})
    if shares:
        found[PLUGIN] = _map(rest, PLUGIN, shares)
    return found


def labels(rest: AtRest, node: str) -> dict[str, str]:
    """Which configuration of the device plugin a node takes, and which layout, where that comes by its label."""
    found = at_start(rest, node)
    key = rest.release.components.get(SHARES, "") if by_label(rest, SHARES) else ""
    key = key or (key_of(found) if "replicas" in found else "")
    shares = {PLUGIN_LABEL: key} if key else {}
    return shares | ({LAYOUT_LABEL: str(found.get("mig", NONE))} if by_label(rest) else {})


def key_of(node: Values) -> str:
    """The device plugin's configuration of a node that shares its GPUs."""
    return f"replicas-{node['replicas']}"


def _replicas(key: str) -> int:
    """How often each GPU is offered by that key."""
    match = _KEY.fullmatch(key)
    return int(match[1]) if match else 1


def _layout(name: str) -> list[Object]:
    match = _ALL.fullmatch(name)
    devices = {match["device"]: FITTING[match["slices"]]} if match and match["slices"] in FITTING else {}
    return [{"devices": "all", "mig-enabled": bool(devices), "mig-devices": devices}]


def _plugin(replicas: int) -> Object:
    if replicas == 1:
        return {"version": "v1"}
    resources = [{"name": "nvidia.com/gpu", "replicas": replicas}]
    return {"version": "v1", "sharing": {"timeSlicing": {"resources": resources}}}


def _map(rest: AtRest, name: str, data: Mapping[str, Object]) -> Object:
    metadata = {"name": name, "namespace": rest.cluster.operator_namespace}
    texts = {key: json.dumps(value) for key, value in data.items()}  # JSON is YAML
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts}
