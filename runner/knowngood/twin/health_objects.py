"""The health checks that a twin starts with, and the Machines behind its nodes. Pure: from the seed."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.twin.seed import CheckSeed, Seed
from knowngood.twin.values import Object

MACHINES = "openshift-machine-api"
ROLE = "machine.openshift.io/cluster-api-machine-role"
API = "machine.openshift.io/v1beta1"


def objects(seed: Seed) -> Iterator[Object]:
    """A Machine for every host where a check looks at Machines, then the checks, for workers."""
    if any(check.kind == "MachineHealthCheck" for check in seed.health_checks):
        for node in seed.nodes:
            if node.machine:
                role = "master" if node.role == "control-plane" else "worker"
                metadata = {"name": node.name, "namespace": MACHINES, "labels": {ROLE: role}}
                reference = {"kind": "Node", "name": node.name}
                status = {"phase": "Running", "nodeRef": reference}
                yield {
                    "apiVersion": API,
                    "kind": "Machine",
                    "metadata": metadata,
                    "spec": {},
                    "status": status,
                }
    for check in seed.health_checks:
        yield _machine_check(check) if check.kind == "MachineHealthCheck" else _node_check(check)


def _machine_check(check: CheckSeed) -> Object:
    ill = [{"type": "Ready", "status": said, "timeout": check.timeout} for said in ("False", "Unknown")]
    spec = {
        "selector": {"matchLabels": {ROLE: "worker"}},
        "unhealthyConditions": ill,
        "maxUnhealthy": check.maxUnhealthy,
    }
    metadata = {"name": check.name, "namespace": MACHINES}
    return {"apiVersion": API, "kind": check.kind, "metadata": metadata, "spec": spec}


def _node_check(check: CheckSeed) -> Object:
    ill = [{"type": "Ready", "status": said, "duration": check.timeout} for said in ("False", "Unknown")]
    worker = {"key": "node-role.kubernetes.io/worker", "operator": "Exists"}
    spec = {
        "selector": {"matchExpressions": [worker]},
        "unhealthyConditions": ill,
        "maxUnhealthy": check.maxUnhealthy,
    }
    metadata = {"name": check.name}
    return {
        "apiVersion": "remediation.medik8s.io/v1alpha1",
        "kind": check.kind,
        "metadata": metadata,
        "spec": spec,
    }
