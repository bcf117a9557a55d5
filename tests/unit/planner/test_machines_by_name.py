"""Machines come by name from the cluster file: a virtual node, somebody else's cluster, is among none of their lists.

Whoever asks the cluster for its nodes instead takes Liqo's along: a Talos upgrade of all Kubernetes nodes failed at one
that has no Talos API (siderolabs/talos issue 11974).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.planner.matrices import cluster

from knowngood.adapters.cluster.readouts import of_kubelet
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.planner.plan.still import still
from knowngood.planner.roles import role

MATRIX = load(matrix_dir())
PEERED = [name for name, found in MATRIX.clusters.items() if found.virtual]
VIRTUAL: dict[str, Any] = {
    "metadata": {
        "name": "liqo-fra",
        "labels": {"liqo.io/type": "virtual-node", "knowngood.dev/ring": "ring-0"},
    },
    "spec": {"taints": [{"key": "virtual-node.liqo.io/not-allowed", "effect": "NoExecute"}]},
}


def test_a_shipped_cluster_is_peered() -> None:
    assert PEERED, "or the rest of this file shows nothing"


@pytest.mark.parametrize("name", MATRIX.clusters)
def test_no_list_of_a_plan_has_a_virtual_node(name: str) -> None:
    found = MATRIX.clusters[name]
    made = still(MATRIX, name)
    batches = {n for hop in made.hops for ring in hop.rings for batch in ring.batches for n in batch}
    machines = {*found.control_plane, *found.cpu, *found.gpu}
    assert not {*found.virtual} & (batches | machines | {*made.nodes})
    assert batches <= {*found.gpu}


def test_a_virtual_node_is_one_whatever_its_labels_say_of_rings() -> None:
    assert role(VIRTUAL) == "virtual"
    assert role({**VIRTUAL, "metadata": {"name": "liqo-fra"}}) == "virtual", "its taint alone tells"


def test_a_machine_that_turns_out_to_be_virtual_is_a_stranger() -> None:
    """The name in the cluster file is that of a virtual node: nothing may be done to it."""
    found = replace(cluster(), gpu=("liqo-fra",))
    assert (
        found.strangers({"liqo-fra": role(VIRTUAL)})["liqo-fra"] == "is a virtual node there, not a machine"
    )


@pytest.mark.parametrize(
    ("image", "talos"),
    [
        ("Talos (v1.11.3)", "1.11.3"),
        ("Talos (1.12.0)", "1.12.0"),
        ("Talos (v1.11.3-4-gabc-dirty)", ""),
        ("Red Hat Enterprise Linux CoreOS 418.94", ""),
        ("", ""),
    ],
)
def test_talos_tells_its_version_in_the_nodes_own_object(image: str, talos: str) -> None:
    assert of_kubelet({"osImage": image}).get("talos", "") == talos


@pytest.mark.parametrize("kubelet", ["1.34.3", "1.31.4+rke2r1", "1.31.4-eks-7f9249a", "1.27.4+deb2c60"])
def test_a_kubelets_distribution_is_told(kubelet: str) -> None:
    assert of_kubelet({"kubeletVersion": f"v{kubelet}"}) == {"kubernetes": kubelet}
