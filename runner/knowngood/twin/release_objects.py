"""What a twin has of its OpenShift release at the start: ClusterVersion, ClusterOperators, admin gates. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime

from knowngood.twin.behaviours.kube import condition
from knowngood.twin.host_files import stable_id
from knowngood.twin.seed import ClusterVersionSeed, Seed
from knowngood.twin.values import Object

CONFIG = "openshift-config"
MANAGED = "openshift-config-managed"
SIGNED = "release.openshift.io/verification-signatures"
GATES, ACKS = "admin-gates", "admin-acks"


def spaces(seed: Seed) -> tuple[str, ...]:
    """Namespaces in which the cluster-version operator looks."""
    return (CONFIG, MANAGED) if seed.cluster_version else ()


def image_of(seed: Seed) -> str:
    """The release image that the cluster runs at the start."""
    for payload in seed.cluster_version.payloads if seed.cluster_version else ():
        if payload.version == seed.openshift:
            return payload.image
    return f"quay.io/openshift-release-dev/ocp-release@sha256:{'0' * 64}"


def objects(seed: Seed) -> Iterator[Object]:
    """The ClusterVersion; and where its operator works, what it updates and asks."""
    if not seed.openshift:
        return
    yield cluster_version(seed)
    if seed.cluster_version:
        for name in seed.cluster_version.operators:
            yield cluster_operator(name, seed.openshift)
        yield _config_map(GATES, MANAGED, dict(seed.cluster_version.gates))
        yield _config_map(ACKS, CONFIG, {})
        yield signatures(seed.cluster_version)


def cluster_version(seed: Seed) -> Object:
    """The ClusterVersion of a cluster that has settled."""
    image = image_of(seed)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = {
        "Available": ("True", "", f"Done applying {seed.openshift}"),
        "Failing": ("False", "", ""),
        "Progressing": ("False", "", f"Cluster version is {seed.openshift}"),
        "ReleaseAccepted": ("True", "PayloadLoaded", loaded(seed.openshift, image)),
        "RetrievedUpdates": ("False", "NoChannel", "The update channel has not been configured."),
    }
    return {
        "apiVersion": "config.openshift.io/v1",
        "kind": "ClusterVersion",
        "metadata": {"name": "version", **_backed_up(seed, now)},
        "spec": {
            "clusterID": stable_id(seed.cluster, "cluster"),
            "channel": f"stable-{'.'.join(seed.openshift.split('.')[:2])}",
        },
        "status": {
            "desired": {"version": seed.openshift, "image": image},
            "observedGeneration": 1,
            "versionHash": stable_id(seed.openshift)[:12],
            "availableUpdates": None,
            "history": [
                {
                    "state": "Completed",
                    "version": seed.openshift,
                    "image": image,
                    "startedTime": now,
                    "completionTime": now,
                    "verified": True,
                }
            ],
            "conditions": [condition(kind, *said) for kind, said in words.items()],
        },
    }


def _backed_up(seed: Seed, now: str) -> Object:
    """When etcd was backed up, as whoever did it writes it there."""
    key = seed.cluster_version.backupAnnotation if seed.cluster_version else ""
    return {"annotations": {key: now}} if key else {}


def loaded(version: str, image: str) -> str:
    """What the operator says of a payload that it took."""
    return f'Payload loaded version="{version}" image="{image}" architecture="amd64"'


def cluster_operator(name: str, version: str) -> Object:
    """A ClusterOperator at rest."""
    states = {"Available": "True", "Degraded": "False", "Progressing": "False", "Upgradeable": "True"}
    return {
        "apiVersion": "config.openshift.io/v1",
        "kind": "ClusterOperator",
        "metadata": {"name": name},
        "spec": {},
        "status": {
            "conditions": [condition(kind, state, "AsExpected") for kind, state in states.items()],
            "versions": [{"name": "operator", "version": version}],
        },
    }


def signatures(seeded: ClusterVersionSeed) -> Object:
    """What oc-mirror writes beside the images: a signature of each, by digest."""
    digests = [p.image.rpartition("@")[2].replace(":", "-") for p in seeded.payloads if p.signed]
    obj = _config_map("mirrored-release-signatures", MANAGED, {})
    obj["metadata"]["labels"] = {SIGNED: ""}
    obj["binaryData"] = {f"{digest}-1": base64.b64encode(digest.encode()).decode() for digest in digests}
    return obj


def _config_map(name: str, space: str, data: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
