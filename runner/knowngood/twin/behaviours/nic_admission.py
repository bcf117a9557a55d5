"""What the Network Operator's admission webhook refuses (26.4). Pure, but for the cache that `webhook` looks into.

Selectors are compared by the nodes that they match now: two policies that no node has in common pass, whatever they
could match later. A node that is relabelled so that both match is seen by the controller only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from knowngood.twin.api.errors import cause
from knowngood.twin.api.webhooks import Denial, Webhook
from knowngood.twin.behaviours.cache import Cache
from knowngood.twin.behaviours.kube import (
    NIC_CLUSTER_POLICY,
    NIC_NODE_POLICY,
    NODE,
    kind_of,
    labels_of,
    matches,
    name_of,
)
from knowngood.twin.behaviours.nic_manifests import selector_of
from knowngood.twin.values import Object

LONGEST_NAME = 30
SECTIONS = ("ofedDriver", "rdmaSharedDevicePlugin", "sriovDevicePlugin")
WEBHOOKS = {NIC_CLUSTER_POLICY: "vnicclusterpolicy.kb.io", NIC_NODE_POLICY: "vnicnodepolicy.kb.io"}
_VERSION = re.compile(
    r"(doca\d+(\.\d+)+-)?\d{2}\.\d{2}-\d+(\.\d+){2,3}(-\d+)*(-\d+\.\d+\.\d+\S*)?|sha256:[0-9a-f]{64}"
)


def webhook(cache: Cache) -> Webhook:
    """The webhook of both kinds."""

    def ask(obj: Object) -> Denial | None:
        kind = kind_of(obj)
        if causes := fields(obj):
            return Denial(WEBHOOKS[kind], causes=tuple(causes))
        others = [
            p for p in cache.all(NIC_NODE_POLICY) if kind != NIC_NODE_POLICY or name_of(p) != name_of(obj)
        ]
        if kind == NIC_CLUSTER_POLICY:
            why = doubled(obj, others, by_node_policy=False)
        else:
            cluster = next(iter(cache.all(NIC_CLUSTER_POLICY)), None)
            why = doubled(cluster, [obj], by_node_policy=True) if cluster else ""
            why = why or overlap([*others, obj], cache.all(NODE))
        return Denial(WEBHOOKS[kind], why) if why else None

    return ask


def fields(policy: Object) -> list[Object]:
    """Fields that are wrong by themselves."""
    found = []
    driver = policy["spec"].get("ofedDriver") or {}
    version = str(driver.get("version", ""))
    if driver and not _VERSION.fullmatch(version):
        found.append(_invalid("spec.ofedDriver.version", version, "invalid OFED version"))
    upgrade = driver.get("upgradePolicy") or {}
    if upgrade.get("safeLoad") and not upgrade.get("autoUpgrade"):
        why = "Forbidden: safeLoad requires spec.ofedDriver.upgradePolicy.autoUpgrade to be true"
        found.append(cause("FieldValueForbidden", "spec.ofedDriver.upgradePolicy.safeLoad", why))
    if kind_of(policy) == NIC_NODE_POLICY and len(name_of(policy)) > LONGEST_NAME:
        why = f"a NicNodePolicy's name has at most {LONGEST_NAME} characters"
        found.append(_invalid("metadata.name", name_of(policy), why))
    return found


def doubled(cluster: Object, policies: Iterable[Object], *, by_node_policy: bool) -> str:
    """A section that stands in the NicClusterPolicy and in a NicNodePolicy; "" where none does."""
    said = []
    for policy in policies:
        for section in SECTIONS:
            if section in cluster["spec"] and section in policy["spec"]:
                here, there = "NicClusterPolicy", f'NicNodePolicy "{name_of(policy)}"'
                if not by_node_policy:
                    here, there = there, here
                said.append(f"{here} already defines {section}; {there} cannot also define it")
    return "; ".join(said)


def overlap(policies: Sequence[Object], nodes: Iterable[Object]) -> str:
    """The nodes that two NicNodePolicies select; "" where there is none. NICs do not matter for it."""
    said = []
    for node in sorted(nodes, key=name_of):
        labels = labels_of(node)
        names = sorted(name_of(p) for p in policies if matches({"matchLabels": selector_of(p)}, labels))
        if len(names) > 1:
            said.append(f'node "{name_of(node)}" is selected by policies: [{", ".join(names)}]')
    return f"node selector overlap detected: {'; '.join(said)}" if said else ""


def _invalid(field: str, value: str, why: str) -> Object:
    return cause("FieldValueInvalid", field, f'Invalid value: "{value}": {why}')
