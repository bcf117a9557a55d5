"""Machines and the checks that restart nodes, where a cluster has them."""

from __future__ import annotations

from knowngood.twin.crds import ANY, MANY, NUMBER, TEXT, Schema, definition, open_object

SHARE: Schema = {"x-kubernetes-int-or-string": True}
TEXTS: Schema = {"type": "array", "items": TEXT}


def health_crds() -> list[Schema]:
    """Machine and MachineHealthCheck of OpenShift, NodeHealthCheck of medik8s."""
    machine_check = {
        "spec": open_object(
            {"selector": ANY, "unhealthyConditions": MANY, "maxUnhealthy": {**SHARE, "default": "100%"}}
        ),
        "status": open_object({"expectedMachines": NUMBER, "currentHealthy": NUMBER}),
    }
    node_check = {
        "spec": open_object(
            {"selector": ANY, "unhealthyConditions": MANY, "minHealthy": SHARE, "pauseRequests": TEXTS}
        ),
        "status": open_object({"observedNodes": NUMBER, "healthyNodes": NUMBER}),
    }
    machine = {"spec": open_object({}), "status": open_object({"nodeRef": ANY})}
    return [
        definition(
            "machine.openshift.io",
            "v1beta1",
            "Machine",
            "machines",
            machine,
            (("Phase", "string", ".status.phase"),),
            namespaced=True,
        ),
        definition(
            "machine.openshift.io",
            "v1beta1",
            "MachineHealthCheck",
            "machinehealthchecks",
            machine_check,
            (
                ("MaxUnhealthy", "string", ".spec.maxUnhealthy"),
                ("ExpectedMachines", "integer", ".status.expectedMachines"),
                ("CurrentHealthy", "integer", ".status.currentHealthy"),
            ),
            short=("mhc", "mhcs"),
            namespaced=True,
        ),
        definition(
            "remediation.medik8s.io",
            "v1alpha1",
            "NodeHealthCheck",
            "nodehealthchecks",
            node_check,
            (),
            short=("nhc",),
        ),
    ]
