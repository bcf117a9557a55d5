"""How probes that must meet find each other: names by a headless Service, and a NetworkPolicy that lets them talk.

Both belong to the first Job, so Kubernetes takes them away with it, whoever deletes it; we do so and verify it.
"""

from __future__ import annotations

from knowngood.adapters.judging.probe_manifest import PROBE_LABEL, Order
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model import names
from knowngood.model.errors import Inconclusive

DNS_PORTS = (53, 5353)
"""The service's, and the one of OpenShift's DNS pods: a policy sees the pod's."""
KINDS = (("v1", "services"), ("networking.k8s.io/v1", "networkpolicies"))


def service(order: Order, owner: Object) -> Object:
    """Each pod of the order gets `<host name>.<group>` in our namespace, from its start on."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(order, owner),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {PROBE_LABEL: order.group},
        },
    }


def policy(order: Order, owner: Object) -> Object:
    """The order's pods may talk to each other and ask for names, and to nobody else."""
    each_other = [{"podSelector": {"matchLabels": {PROBE_LABEL: order.group}}}]
    ports = [{"port": number, "protocol": kind} for number in DNS_PORTS for kind in ("UDP", "TCP")]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(order, owner),
        "spec": {
            "podSelector": {"matchLabels": {PROBE_LABEL: order.group}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": each_other}],
            "egress": [{"to": each_other}, {"to": [{"namespaceSelector": {}}], "ports": ports}],
        },
    }


def _metadata(order: Order, owner: Object) -> Object:
    reference = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {
        "name": order.group,
        "namespace": order.namespace,
        "labels": {
            names.MANAGED_BY_LABEL: names.MANAGED_BY,
            names.RUN_LABEL: order.run,
            PROBE_LABEL: order.group,
        },
        "ownerReferences": [reference],
    }


def make(kube: Kube, order: Order, owner: Object) -> None:
    """Make both; one that is there by our own lost answer is fine."""
    for (version, plural), body in zip(KINDS, (service(order, owner), policy(order, owner)), strict=True):
        try:
            kube.create(path(version, plural, "", order.namespace), body)
        except ApiError as error:
            if error.code == 403:
                raise Inconclusive(
                    f"probes can't be made to meet: {error}", hint="kubectl apply -k deploy/base"
                ) from error
            if error.code != 409:
                raise


def left(kube: Kube, namespace: str, group: str) -> list[str]:
    """Ask for the deletion of what is there of a group; its names, none once all are gone."""
    found = []
    for version, plural in KINDS:
        for one in kube.list(path(version, plural, "", namespace), labels=f"{PROBE_LABEL}={group}"):
            name = one["metadata"]["name"]
            kube.delete(path(version, plural, name, namespace), uid=one["metadata"]["uid"])
            found.append(f"{plural}/{name}")
    return found
