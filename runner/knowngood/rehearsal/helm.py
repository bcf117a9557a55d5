"""What Helm owns on a cluster without OLM: the GPU Operator's release, with the ClusterPolicy that its chart makes."""

from __future__ import annotations

from knowngood.model.field import ObjectRef
from knowngood.model.values import Object
from knowngood.rehearsal.at_rest import OPERATOR, AtRest
from knowngood.rehearsal.objects import cluster_policy, made

POLICY = ObjectRef("nvidia.com/v1", "ClusterPolicy", "cluster-policy")
"""As the chart calls it."""


def releases(rest: AtRest) -> list[Object]:
    """The seed's part `helm`; empty where OLM installs operators, or Git owns the policy."""
    declared = any(d.kind == POLICY.kind for d in rest.cluster.declarations)
    if declared or not rest.by_helm:
        return []
    policy = made(POLICY, cluster_policy(rest, own_driver=False))
    return [{"name": OPERATOR, "namespace": rest.cluster.operator_namespace, "objects": [policy]}]
