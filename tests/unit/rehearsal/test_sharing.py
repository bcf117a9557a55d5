"""What a rehearsal writes of how GPUs are parted and shared is what a team would, and fits what its nodes play."""

from __future__ import annotations

import json
from typing import Any

from knowngood.adapters.cluster.parting import Share, layouts, shares
from knowngood.rehearsal import sharing
from knowngood.rehearsal.gitops import files
from knowngood.rehearsal.seed import seed
from knowngood.twin.seed import parse

from .shipped import shipped


def kept(name: str) -> dict[str, Any]:
    """The keys of a ConfigMap in the GitOps repository."""
    found = [
        one for one in files(shipped("fra-prod")).values() if one.get("metadata", {}).get("name") == name
    ]
    return {key: json.loads(text) for key, text in found[0]["data"].items()}


def test_the_layout_that_a_node_names_is_in_mig_managers_configuration() -> None:
    layout = kept(sharing.MIG)[sharing.MIG_KEY]["mig-configs"]["all-1g.18gb"]
    (found,) = layouts(layout, [object()])  # type: ignore[list-item]  # no device filter asks it anything
    node = parse(seed(shipped("fra-prod"), "x")).by_name["fra-gpu-2"]
    assert (found.mig, dict(found.devices)) == (True, {"1g.18gb": node.instances})


def test_the_key_that_a_node_names_is_in_the_device_plugins_configuration() -> None:
    node = parse(seed(shipped("fra-prod"), "x")).by_name["fra-gpu-3"]
    key = node.labels[sharing.PLUGIN_LABEL]
    assert shares(kept(sharing.PLUGIN)[key]) == [
        Share("time-slicing", "nvidia.com/gpu", node.replicas, "nvidia.com/gpu")
    ]


def test_a_cluster_that_shares_nothing_has_no_such_configuration() -> None:
    assert sharing.configured(shipped("ams-prod")) == {}
    assert sharing.config_maps(shipped("ams-prod")) == {}


def test_where_git_names_layouts_and_keys_each_node_has_their_labels_and_each_can_be_made() -> None:
    rest = shipped("lab-mig")
    document = seed(rest, "x")
    assert (document["migManager"], document["pluginConfig"]) == (True, True)
    node = parse(document).by_name["mig-gpu-1"]
    assert (node.labels[sharing.LAYOUT_LABEL], node.labels[sharing.PLUGIN_LABEL]) == (
        "all-disabled",
        "replicas-1",
    )
    maps = {name: one["data"] for name, one in sharing.config_maps(rest).items()}
    parts = json.loads(maps[sharing.MIG][sharing.MIG_KEY])["mig-configs"]
    assert {*parts} == {"all-disabled", "all-1g.18gb"}
    keys = {key: shares(json.loads(text)) for key, text in maps[sharing.PLUGIN].items()}
    assert {key: [one.replicas for one in found] for key, found in keys.items()} == {
        "replicas-1": [],
        "replicas-4": [4],
    }
    declared = files(rest)["clusters/lab-mig/gpu/mig-ring-0.yaml"]["data"]
    assert declared == {"ring": "ring-0", "layout": "all-disabled", "shares": "replicas-1"}
