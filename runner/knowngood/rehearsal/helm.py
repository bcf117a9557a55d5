"""What Helm owns: without OLM the GPU Operator's release, with the ClusterPolicy that its chart makes; Alertmanager."""

from __future__ import annotations

from knowngood.model.field import ObjectRef
from knowngood.model.values import Object
from knowngood.rehearsal import sharing
from knowngood.rehearsal.at_rest import OPERATOR, AtRest
from knowngood.rehearsal.compress import played_alertmanager
from knowngood.rehearsal.objects import cluster_policy, made

ALERTMANAGER = "alertmanager"
POLICY = ObjectRef("nvidia.com/v1", "ClusterPolicy", "cluster-policy")
"""As the chart calls it."""


def releases(rest: AtRest) -> list[Object]:
    """The seed's part `helm`."""
    return [*_operator(rest), *_alertmanager(rest)]


def _alertmanager(rest: AtRest) -> list[Object]:
    """The Service of the Alertmanager that the cluster file names, which the twin then plays."""
    if not rest.cluster.alertmanager.at:
        return []
    namespace, _, name = played_alertmanager(rest.cluster).partition("/")
    scheme_name_port = name.split(":")
    metadata = {
        "name": scheme_name_port[-2],
        "namespace": namespace,
        "labels": {"app.kubernetes.io/name": ALERTMANAGER},
    }
    ports = [{"name": "web", "port": 9093}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}
    return [{"name": ALERTMANAGER, "namespace": namespace, "objects": [service]}]


def _operator(rest: AtRest) -> list[Object]:
    """Nothing where OLM installs operators, or Git owns the policy."""
    declared = any(d.kind == POLICY.kind for d in rest.cluster.declarations)
    if declared or not rest.by_helm:
        return []
    policy = made(POLICY, cluster_policy(rest, own_driver=False))
    objects = [policy, *sharing.config_maps(rest).values()]
    return [{"name": OPERATOR, "namespace": rest.cluster.operator_namespace, "objects": objects}]
