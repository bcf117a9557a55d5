"""Which adapter reads the cluster for gates: the one place where this process wires a port."""

from __future__ import annotations

from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.kubernetes.client import Kube
from knowngood.model.matrix import Cluster
from knowngood.ports.cluster import ClusterReader


def cluster_reader(kube: Kube, cluster: Cluster) -> ClusterReader:
    """The reader of the cluster that `kube` reaches."""
    return KubeCluster(kube, cluster)
