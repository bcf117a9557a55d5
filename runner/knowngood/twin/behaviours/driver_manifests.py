"""The driver DaemonSets: one a NVIDIADriver and pool of nodes, or the ClusterPolicy's own.

As 26.7: the digest covers what decides between the fast path and a reload (images and environment), so neither
labels nor tolerations; `rdma` switched off is the same as none. The ClusterPolicy's own differs in its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.twin.behaviours.gpu_manifests import (
    DEPLOY,
    DIGEST_ENV,
    DRIVER_CONTAINER,
    MANAGER_CONTAINER,
    OWNER_LABEL,
    PRESENT_LABEL,
    SYSTEM_TOLERATION,
    TOOLKIT_CONTAINER,
    TYPE_ENV,
    image_of,
    tolerations,
)
from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    DRIVER_COMPONENT,
    HOSTNAME_LABEL,
    OSTREE_LABEL,
    daemon_set,
    digest,
    name_of,
    uid_of,
)
from knowngood.twin.behaviours.node_pools import Pool
from knowngood.twin.values import Object

MISSING = "openshift.driver-toolkit.rhcos-image-missing"
MANAGER_ENV = {
    "NVIDIA_VISIBLE_DEVICES": "void",
    "ENABLE_GPU_POD_EVICTION": "true",
    "ENABLE_AUTO_DRAIN": "false",
    "DRAIN_USE_FORCE": "false",
    "DRAIN_TIMEOUT_SECONDS": "0s",
    "DRAIN_DELETE_EMPTYDIR_DATA": "false",
}
SOURCE = "registry.example.com/openshift/driver-toolkit@sha256:"
NODE_NAME: Object = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the operator knows of its cluster. openshift: its minor; toolkits: builds with a driver toolkit image."""

    namespace: str
    openshift: str = ""
    toolkits: frozenset[str] = field(default_factory=frozenset)
    version: str = ""  # of the operator
    driver: str = ""  # that it brings where the ClusterPolicy names none: of its ClusterServiceVersion

    def missing(self, pool: Pool) -> bool:
        """Whether the driver must do without the toolkit of the nodes' build."""
        return bool(pool.build) and pool.build not in self.toolkits


def refusal(spec: Object) -> str:
    """Why the operator takes no such driver at all; "": it does."""
    gds, gdrcopy = (bool((spec.get(part) or {}).get("enabled")) for part in ("gds", "gdrcopy"))
    if spec.get("usePrecompiled") and (gds or gdrcopy):
        return (
            "GPUDirect Storage driver (nvidia-fs) and/or GDRCopy driver is not supported along with "
            "pre-compiled NVIDIA drivers"
        )
    if gds and spec.get("kernelModuleType", "auto") != "open":
        return (
            f"GPUDirect Storage driver '{spec['gds'].get('version', '')}' is only supported with NVIDIA OpenRM "
            "drivers. Please set 'useOpenKernelModules=true' to enable OpenRM mode"
        )
    return ""


def driver_image(spec: Object, pool: Pool, default: str = "driver") -> str:
    """repository/image:version-os, as the operator composes it; a digest is used as it is."""
    image = "/".join(part for part in (spec.get("repository"), spec.get("image", default)) if part)
    version = str(spec.get("version", ""))
    if version.startswith("sha256:"):
        return f"{image}@{version}"
    return f"{image}:{version}-{pool.kernel}-{pool.tag}" if pool.kernel else f"{image}:{version}-{pool.tag}"


def driver_daemon_set(driver: Object, pool: Pool, around: Surroundings, manager: str = "") -> Object:
    """That of one NVIDIADriver for a pool. manager: another image than the spec's for k8s-driver-manager."""
    spec = driver["spec"]
    kernel = {"nvidia.com/precompiled.kernel-version": pool.plain_kernel} if pool.kernel else {}
    of = digest([uid_of(driver), pool.kernel or pool.build], 10)
    name = f"nvidia-{spec.get('driverType', 'gpu')}-driver-{pool.tag}-{of}"
    common = {
        **_safe(spec.get("labels") or {}),
        "app": name,
        COMPONENT_LABEL: DRIVER_COMPONENT,
        "nvidia.com/node.os-version": pool.tag,
        "nvidia.com/precompiled": "true" if pool.kernel else "false",
        **kernel,
    }
    selector = {
        **(spec.get("nodeSelector") or {}),
        **pool.selector,
        PRESENT_LABEL: "true",
        OWNER_LABEL: name_of(driver),
    }
    tolerated = [SYSTEM_TOLERATION, *(spec.get("tolerations") or ())]
    pod = _pod(spec, pool, around, {"of": "NVIDIADriver", "manager": manager})
    made = _daemon_set(
        name, around, common, {**pod, "nodeSelector": {**pod["nodeSelector"], **selector}}, pool
    )
    made["metadata"]["labels"]["nvidia.com/gpu-operator.state"] = "state-driver"
    made["spec"]["template"]["spec"]["tolerations"] = tolerated
    return made


def policy_daemon_set(policy: Object, pool: Pool, around: Surroundings) -> Object:
    """The ClusterPolicy's own driver: one DaemonSet a build for all GPU nodes, which leaks at any restart."""
    own = (
        {"version": around.driver, "repository": "nvcr.io/nvidia", "image": "driver"} if around.driver else {}
    )
    spec = {**own, **policy["spec"]["driver"], **{k: policy["spec"].get(k) for k in ("gds", "gdrcopy")}}
    of = pool.build or (f"{pool.plain_kernel}-{pool.tag}" if pool.kernel else "")
    name = f"nvidia-driver-daemonset-{of}" if of else "nvidia-driver-daemonset"
    labels = {
        "app": name,
        COMPONENT_LABEL: DRIVER_COMPONENT,
        "nvidia.com/precompiled": "true" if pool.kernel else "false",
    }
    pod = _pod(spec, pool, around, {"of": "ClusterPolicy", "manager": ""})
    if pool.build:
        pod["nodeSelector"][OSTREE_LABEL] = pool.build
    made = _daemon_set(name, around, labels, pod, pool)
    made["spec"]["template"]["spec"]["tolerations"] = tolerations(policy)
    return made


def _safe(labels: Mapping[str, str]) -> dict[str, str]:
    """A driver's own labels, but for those that its pods are found by."""
    return {k: v for k, v in labels.items() if k != "app" and not k.startswith("app.kubernetes.io/")}


def _daemon_set(name: str, around: Surroundings, labels: dict[str, str], pod: Object, pool: Pool) -> Object:
    toolkit: dict[str, str] = {"openshift.driver-toolkit": "true"} if pool.build else {}
    if around.missing(pool):
        toolkit[MISSING] = "true"
    made = daemon_set(name, around.namespace, {**labels, **toolkit}, pod, "OnDelete")
    if pool.build:
        made["metadata"]["labels"]["openshift.driver-toolkit.rhcos"] = pool.build
    return made


def _pod(spec: Object, pool: Pool, around: Surroundings, how: Mapping[str, str]) -> Object:
    manager = how["manager"] or image_of(spec.get("manager") or {}, MANAGER_CONTAINER, around.version)
    containers = _containers(spec, pool, around)
    parts = [(c["name"], c["image"], _values(c)) for c in containers]
    seen = digest([how["of"], manager, parts], 32)
    containers[0]["env"].append({"name": DIGEST_ENV, "value": seen})
    prepare = {
        "name": MANAGER_CONTAINER,
        "image": manager,
        "command": ["driver-manager"],
        "args": ["uninstall_driver"],
        "env": [NODE_NAME, *_env(MANAGER_ENV), {"name": DIGEST_ENV, "value": seen}],
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "run-nvidia", "mountPath": "/run/nvidia"}],
    }
    volumes: list[Object] = [
        {"name": "run-nvidia", "hostPath": {"path": "/run/nvidia", "type": "DirectoryOrCreate"}}
    ]
    # On OpenShift the driver pod has an emptyDir: drains that delete emptyDir data meet it.
    volumes.append({"name": "shared-nvidia-driver-toolkit", "emptyDir": {}})
    alone = {
        "labelSelector": {
            "matchExpressions": [{"key": COMPONENT_LABEL, "operator": "In", "values": [DRIVER_COMPONENT]}]
        },
        "topologyKey": HOSTNAME_LABEL,
    }
    return {
        "nodeSelector": {f"{DEPLOY}driver": "true"},
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [alone]}},
        "hostPID": True,
        "priorityClassName": "system-node-critical",
        "serviceAccountName": "nvidia-gpu-driver",
        "initContainers": [prepare],
        "containers": containers,
        "volumes": volumes,
    }


def _containers(spec: Object, pool: Pool, around: Surroundings) -> list[Object]:
    """The driver's container first, then its toolkit and what is loaded beside it."""
    image = driver_image(spec, pool)
    rdma = spec.get("rdma") or {}
    wanted = {part: spec.get(part) or {} for part in ("gds", "gdrcopy")}
    env = {TYPE_ENV: str(spec.get("kernelModuleType", "auto"))}
    if env[TYPE_ENV] == "open":
        env["OPEN_KERNEL_MODULES_ENABLED"] = "true"
    if pool.build:
        env["OPENSHIFT_VERSION"] = around.openshift
    if rdma.get("enabled"):
        env["GPU_DIRECT_RDMA_ENABLED"] = "true"
        if rdma.get("useHostMofed"):
            env["USE_HOST_MOFED"] = "true"
    for part, name in (("gds", "GDS_ENABLED"), ("gdrcopy", "GDRCOPY_ENABLED")):
        if wanted[part].get("enabled"):
            env[name] = "true"
    found = [_container(DRIVER_CONTAINER, image, [NODE_NAME, *_env(env), *(spec.get("env") or ())])]
    found[0] |= {"command": ["nvidia-driver"], "args": ["init"]}
    if pool.build:
        missing = around.missing(pool)
        toolkit = {"RHCOS_VERSION": pool.build} | ({"RHCOS_IMAGE_MISSING": "true"} if missing else {})
        source = image if missing else f"{SOURCE}{digest(pool.build, 64)}"
        found.append(_container(TOOLKIT_CONTAINER, source, _env(toolkit)))
    if rdma.get("enabled"):
        found.append(_container("nvidia-peermem-ctr", image, []))
    for part, name in (("gds", "nvidia-fs-ctr"), ("gdrcopy", "nvidia-gdrcopy-ctr")):
        if wanted[part].get("enabled"):
            found.append(_container(name, driver_image(wanted[part], pool), []))
    return found


def _container(name: str, image: str, env: list[Object]) -> Object:
    mounts = [
        {"name": "run-nvidia", "mountPath": "/run/nvidia"},
        {"name": "shared-nvidia-driver-toolkit", "mountPath": "/mnt/shared-nvidia-driver-toolkit"},
    ]
    return {
        "name": name,
        "image": image,
        "env": env,
        "securityContext": {"privileged": True},
        "volumeMounts": mounts,
    }


def _env(values: Mapping[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _values(container: Object) -> list[tuple[str, str]]:
    return sorted((e["name"], str(e.get("value", ""))) for e in container["env"])
