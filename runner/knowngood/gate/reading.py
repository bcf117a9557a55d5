"""Which adapter reads the cluster for gates: the one place where this process wires a port."""

from __future__ import annotations

from collections.abc import Callable

from knowngood.adapters.cluster.node_state import Moment, Reading
from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.kubernetes.client import Kube
from knowngood.model.matrix import Cluster
from knowngood.ports.cluster import ClusterReader


def cluster_reader(
    kube: Kube, cluster: Cluster, journal: Callable[[str, str, Moment | None], str], *, ports: bool
) -> ClusterReader:
    """The reader of the cluster that `kube` reaches; `journal`: the drivers' kernel lines of a node's boot."""
    return KubeCluster(kube, cluster, Reading(kube, journal, ports))
