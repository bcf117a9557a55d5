"""The twin's seed: which nodes, operators and tenants the embedded cluster starts with.

Everything comes from the cluster file, its hardware profile and the release that Git declares today; what
these do not say (how many pods a tenant runs) is invented by a fixed rule, so that a rehearsal repeats.
"""

from __future__ import annotations

import re

from knowngood.model.errors import UsageError
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster, Profile, Release
from knowngood.model.mover import SYSTEMS
from knowngood.model.names import RING_LABEL
from knowngood.model.values import Object, Values
from knowngood.planner.readiness.rights import FLASHED, PARTED
from knowngood.rehearsal import firmware, platform, sharing
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.helm import releases
from knowngood.rehearsal.operators import olm, olm_v1
from knowngood.rehearsal.platform import reported_kernel

SEED_SCHEMA = 1

DEFAULT_KERNEL = "5.14.0-427.92.1.el9_4.x86_64"
"""RHEL 9.4's kernel, which RHCOS 4.18 carries; used where the release does not pin `rhcos-kernel`."""

NETWORK_OPERATOR, NETWORK_OPERATOR_NAMESPACE = "network-operator", "nvidia-network-operator"


def seed(rest: AtRest, repo: str, bmcs: int = 0) -> Object:
    """The seed document (docs/twin.md): a cluster at rest on its release, fed by Git `repo` (a URL).

    `bmcs`: the port where its BMCs listen, where it plays any. Raises UsageError when the release lacks a version that
    the twin can't do without.
    """
    cluster, hardware, release = rest.cluster, rest.hardware, rest.release
    document: Object = {
        "schema": SEED_SCHEMA,
        "cluster": cluster.name,
        "kubernetes": kubernetes_version(release),
        "openshift": release.components.get("openshift", ""),
        "nodes": _nodes(rest),
        "gpuOperator": {
            "version": _needed(release, "gpu-operator"),
            "namespace": cluster.operator_namespace,
            **_drivers(rest),
        },
        "tenants": _tenants(cluster, hardware),
        "gitops": {
            "repo": repo,
            "branch": cluster.gitops.branch,
            "applications": [
                {"name": a.name, "namespace": a.namespace, "path": a.path}
                for a in cluster.gitops.applications
            ],
        },
    }
    if NETWORK_OPERATOR in release.components:
        document["networkOperator"] = {
            "version": release.components[NETWORK_OPERATOR],
            "namespace": cluster.namespaces.get(NETWORK_OPERATOR, NETWORK_OPERATOR_NAMESPACE),
        }
    return (
        document
        | platform.played(rest)
        | {part: value for part, value in _parts(rest, bmcs).items() if value}
    )


def _drivers(rest: AtRest) -> Object:
    """What each version of the GPU Operator brings where Git leaves the driver to it."""
    own = rest.cluster.follows.get("nvidia-driver")
    return {"drivers": dict(own.versions)} if own else {}


def _parts(rest: AtRest, bmcs: int) -> Object:
    """What only some clusters have. A health check needs others that can take the work of the node it remedies."""
    checked = rest.openshift and rest.cluster.traits.get("topology") == "ha"
    return {
        "olm": olm(rest),
        "olmV1": olm_v1(rest),
        "helm": releases(rest),
        "migManager": sharing.by_label(rest),
        "pluginConfig": sharing.by_label(rest, sharing.SHARES),
        "bmcs": firmware.seeded(rest, bmcs),
        "talos": _talos(rest),
        "nicConfiguration": _of_declaring(rest, FLASHED),
        "sriov": _of_declaring(rest, PARTED),
        "healthChecks": [{"kind": "MachineHealthCheck", "name": "workers"}] if checked else [],
    }


def _talos(rest: AtRest) -> Object:
    """What machines run that can be asked for another system, and which images bring which."""
    for declared in rest.cluster.declarations:
        mover, version = rest.movers.get(declared.component), rest.release.components.get(declared.component)
        if mover and mover.kind in SYSTEMS and version:
            return {"version": version, "images": {image: v for v, image in declared.images.items()}}
    return {}


def _of_declaring(rest: AtRest, kind: str) -> Object:
    """Who acts on objects of a kind, where this release has what they declare."""
    declared = (d for d in rest.cluster.declarations if d.kind == kind)
    spaces = [d.object.namespace for d in declared if d.component in rest.release.components]
    return {"namespace": spaces[0]} if spaces else {}


def kubernetes_version(release: Release) -> str:
    """The Kubernetes version of a release: pinned, or from its OpenShift minor (4.18 carries 1.31)."""
    pinned = release.components.get("kubernetes", "")
    if pinned:
        return pinned if pinned.startswith("v") else f"v{pinned}"
    parts = release.components.get("openshift", "4.18.0").split(".")
    if len(parts) < 2 or not parts[1].isdigit():
        raise UsageError(
            f"release {release.name}: openshift {parts!r} has no minor version",
            where=release.where,
            hint="write it as major.minor.patch, for example 4.18.52",
        )
    return f"v1.{int(parts[1]) + 13}.9"


def _needed(release: Release, component: str) -> str:
    version = release.components.get(component)
    if not version:
        raise UsageError(
            f"release {release.name} has no version of {component}, which a rehearsal needs",
            where=release.where,
            hint=f"add {component} to the release",
        )
    return version


def _nodes(rest: AtRest) -> list[Object]:
    cluster = rest.cluster
    rings = {node: ring.name for ring in cluster.rings for node in ring.nodes}
    plain = [
        {"name": name, "role": role, "labels": {}}
        for role, names in (
            ("control-plane", cluster.control_plane),
            ("cpu", cluster.cpu),
            ("virtual", cluster.virtual),
        )
        for name in names
    ]
    gpu = [
        {
            "name": name,
            "role": "gpu",
            "labels": {
                **({RING_LABEL: rings[name]} if name in rings else {}),
                **sharing.labels(rest, name),
            },
            **_machine(rest.hardware.of(name), rest.release),
            **_sharing(sharing.at_start(rest, name)),
        }
        for name in cluster.gpu
    ]
    return plain + gpu


def _machine(profile: Profile, release: Release) -> Object:
    """What a machine of this kind has."""
    return {
        "product": profile.product,
        "gpus": profile.gpus,
        "gpuModel": profile.gpu_model,
        "gpuPciId": profile.gpu_pci_id,
        "nvswitch": profile.nvswitch,
        "nics": profile.nics,
        "nicModel": profile.nic_model,
        "nicFirmware": release.components.get("nic-firmware", ""),
        "docaOfed": reported_ofed(release.components.get("doca-ofed", "")),
        "kernel": reported_kernel(release.components.get("rhcos-kernel", DEFAULT_KERNEL)),
        "rdmaMode": profile.rdma_mode,
    }


def _sharing(said: Values) -> Object:
    """How a node offers its GPUs, where it is not each GPU once."""
    keys = {"mig": "migConfig", "replicas": "replicas"}
    return {keys[key]: value for key, value in said.items()}


def reported_ofed(declared: str) -> str:
    """What mlx5_core says for a DOCA-OFED image's tag: the release and its first three numbers."""
    found = re.search(r"\d{2}\.\d{2}-\d+\.\d+\.\d+", declared)
    return found.group() if found else declared


def _tenants(cluster: Cluster, hardware: Hardware) -> list[Object]:
    """What the cluster file says runs there, one entry a namespace; a typical load where it says nothing."""
    said = {str(t.get("name", "")): t.get("workloads", ()) for t in cluster.raw.get("tenants", ())}
    share = _share(cluster, hardware)
    rows: list[Object] = []
    for index, tenant in enumerate(cluster.tenants):
        first, *others = tenant.namespaces or (tenant.name,)
        loads = [dict(w) for w in said.get(tenant.name, ())]
        if not loads:
            gang = index == len(cluster.tenants) - 1 and len(cluster.gpu) > 1
            loads = _gang(share) if gang else _service(share)
        rows.append({"name": tenant.name, "namespace": first, "workloads": loads})
        rows += [{"name": tenant.name, "namespace": n, "workloads": []} for n in others]
    if rows:
        rows[-1]["workloads"] += _queue(cluster, hardware, rows)
    return rows


def _queue(cluster: Cluster, hardware: Hardware, rows: list[Object]) -> list[Object]:
    """Work without a budget that keeps the cluster as full as real ones are.

    While the largest batch is out, some of it must wait and then takes the batch's nodes again: without that no
    soak would find anything on them. Yet no more waits than each budget alone can give way: its pods may all stand
    on the batch's nodes while the others fill the rest, and a drain that finds no place for them never ends.
    Pods are as large as these two allow: small ones would leave gaps that a tenant's pod does not fit in.
    """
    loads = [w for row in rows for w in row["workloads"]]
    total = sum(w["replicas"] * w.get("gpusPerPod", 1) for w in loads)
    yields = [
        (w["replicas"] - w["minAvailable"]) * w.get("gpusPerPod", 1) for w in loads if w.get("minAvailable")
    ]
    left, smallest = _left(cluster, hardware), min(p.gpus for p in hardware.profiles)
    for each in (8, 4, 2, 1):
        replicas = (left + min(yields, default=0) - total) // each
        if each <= smallest and replicas > 0 and total + replicas * each > left:
            return [{"name": "queue", "kind": "Deployment", "replicas": replicas, "gpusPerPod": each}]
    return []


def _left(cluster: Cluster, hardware: Hardware) -> int:
    """GPUs of the cluster while the batch with the most of them is out."""
    gpus = {node: hardware.of(node).gpus for node in cluster.gpu}
    batches = (r.nodes[i : i + r.batch] for r in cluster.rings for i in range(0, len(r.nodes), r.batch))
    return sum(gpus.values()) - max((sum(gpus[n] for n in b) for b in batches), default=0)


def _share(cluster: Cluster, hardware: Hardware) -> int:
    """GPUs a tenant may use: all still fit, with room for fragments, while the largest batch is out."""
    left = max(_left(cluster, hardware), min(p.gpus for p in hardware.profiles))
    return left * 3 // 4 // max(len(cluster.tenants), 1)


def _service(share: int) -> list[Object]:
    """A served model: replicas behind a PodDisruptionBudget that gives way to half of them."""
    each = 2 if share >= 8 else 1
    replicas = min(share // each, 4)
    if not replicas:
        return []
    load = {"name": "serve", "kind": "Deployment", "replicas": replicas, "gpusPerPod": each}
    return [{**load, "minAvailable": replicas // 2}]


def _gang(share: int) -> list[Object]:
    """A training job of two ranks: evicting one stops both."""
    each = min(share // 2, 4)
    return [{"name": "train", "kind": "gang", "replicas": 2, "gpusPerPod": each}] if each else []
