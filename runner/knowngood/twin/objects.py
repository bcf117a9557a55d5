"""The objects a twin starts with: nodes, namespaces, pools, tenants, Applications. Pure: from the seed.

Nodes are complete: typed clients refuse a whole list for one missing field.
"""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.twin import faults, health_objects, pool_objects, release_objects, seeded_olm
from knowngood.twin.argo_objects import application, default_project
from knowngood.twin.behaviours.kube import (
    GPU,
    GPU_PCI_LABEL,
    HOSTNAME_LABEL,
    KERNEL_LABEL,
    NIC_PCI_LABEL,
    OS_ID_LABEL,
    OS_VERSION_LABEL,
    OSTREE_LABEL,
    condition,
    stamp,
)
from knowngood.twin.behaviours.kubelet import host_ip
from knowngood.twin.host_files import stable_id
from knowngood.twin.nic_seed import NicConfigurationSeed
from knowngood.twin.seed import NodeSeed, Seed, TenantSeed, WorkloadSeed
from knowngood.twin.values import Object, Values

RDMA = "rdma/rdma_shared_device_a"
RDMA_SHARES = "63"
TENANT_LABEL = "twin.knowngood.dev/tenant"
PAUSE_IMAGE = "registry.example.com/tenants/workload@sha256:" + "0" * 64
VIRTUAL_TAINT = {"key": "virtual-node.liqo.io/not-allowed", "value": "true", "effect": "NoExecute"}


def operating_system(openshift: str) -> tuple[str, str, str]:
    """The driver image's OS tag, NFD's OSTREE_VERSION and the osImage line; `openshift`: its version, "" without it.

    RHCOS numbers its builds <OpenShift minor>.<RHEL minor>; 4.18 is built from RHEL 9.4.
    """
    if not openshift:
        return "rhel9.4", "9.4", "Red Hat Enterprise Linux 9.4 (Plow)"
    major, minor, patch = [*openshift.split("."), "0", "0"][:3]
    build = f"{major}{minor}.94.2026{int(patch) % 12 + 1:02d}150000-0"
    return f"rhcos{major}.{minor}", build, f"Red Hat Enterprise Linux CoreOS {build}"


def os_release(openshift: str) -> dict[str, str]:
    """/etc/os-release of the machines."""
    tag, build, line = operating_system(openshift)
    identity = "rhcos" if tag.startswith("rhcos") else "rhel"
    version = tag.removeprefix(identity)
    return {"ID": identity, "VERSION_ID": version, "OSTREE_VERSION": build, "PRETTY_NAME": line}


def talos_release(version: str) -> dict[str, str]:
    """A Talos of that version, by its name alone: the driver's pods, which a real one has none of, go by the rest."""
    return {**os_release(""), "PRETTY_NAME": f"Talos (v{version})"}


def first_release(seed: Seed) -> dict[str, str]:
    """What the machines run at the start."""
    return talos_release(seed.talos.version) if seed.talos else os_release(seed.openshift)


def all_objects(seed: Seed) -> Iterator[Object]:
    """Everything but the custom definitions, in an order in which owners come first."""
    network = [seed.network_operator.namespace] if seed.network_operator else []
    gitops = [app.namespace for app in seed.gitops.applications] if seed.gitops else []
    system = ["default", "kube-system", "kube-public", "kube-node-lease", "knowngood", faults.NAMESPACE]
    spaces = [*system, seed.gpu_operator.namespace, *network, *gitops, *seeded_olm.spaces(seed)]
    spaces += release_objects.spaces(seed)
    spaces += [health_objects.MACHINES] if seed.health_checks else []
    spaces += [release.namespace for release in seed.helm]
    spaces += [part.namespace for part in (seed.nic_configuration, seed.sriov, seed.olm_v1) if part]
    owners = {tenant.namespace: tenant.name for tenant in seed.tenants}
    for name in dict.fromkeys([*spaces, *owners]):
        yield namespace(name, owners.get(name, ""))
    yield probes_account()
    for node in seed.nodes:
        yield node_object(seed, node)
    if seed.openshift:
        yield from release_objects.objects(seed)
        yield from pool_objects.pools(seed)
    if not seeded_olm.installs(seed, "gpu-operator", seed.gpu_operator.namespace):
        yield operator_deployment(seed.gpu_operator.namespace, "gpu-operator", seed.gpu_operator.version)
    yield from seeded_olm.objects(seed)
    yield from seeded_olm.catalogs(seed)
    yield from health_objects.objects(seed)
    if seed.nic_configuration:
        yield maintenance_config(seed.nic_configuration)
    yield from helm_objects(seed)
    yield node_feature_discovery(seed)
    if seed.gitops:
        for space in dict.fromkeys(app.namespace for app in seed.gitops.applications):
            yield default_project(space)
        for app in seed.gitops.applications:
            yield application(seed, app.name, app.namespace, app.path)
    for tenant in seed.tenants:
        for load in tenant.workloads:
            yield from workload(tenant, load)


def maintenance_config(seed: NicConfigurationSeed) -> Object:
    """How many nodes the maintenance operator may take out."""
    most = {} if seed.maxUnavailable is None else {"maxUnavailable": seed.maxUnavailable}
    return {
        "apiVersion": "maintenance.nvidia.com/v1alpha1",
        "kind": "MaintenanceOperatorConfig",
        "metadata": {"name": "default", "namespace": seed.namespace},
        "spec": {"maxParallelOperations": 1, **most},
    }


def os_labels(release: Values, kernel: str, *, openshift: bool) -> dict[str, str]:
    """What NFD says of an operating system."""
    return {
        OS_ID_LABEL: release["ID"],
        OS_VERSION_LABEL: release["VERSION_ID"],
        KERNEL_LABEL: kernel,
        **({OSTREE_LABEL: release["OSTREE_VERSION"]} if openshift else {}),
    }


def helm_objects(seed: Seed) -> Iterator[Object]:
    """What Helm releases own, marked as Helm marks it."""
    for release in seed.helm:
        said = {
            "meta.helm.sh/release-name": release.name,
            "meta.helm.sh/release-namespace": release.namespace,
        }
        labels = {"app.kubernetes.io/managed-by": "Helm"}
        for obj in release.objects:
            own = obj["metadata"].get("labels") or {}
            yield {**obj, "metadata": {**obj["metadata"], "labels": {**own, **labels}, "annotations": said}}


def namespace(name: str, tenant: str = "") -> Object:
    """A namespace; a tenant's carries its name."""
    labels = {"kubernetes.io/metadata.name": name} | ({TENANT_LABEL: tenant} if tenant else {})
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def probes_account() -> Object:
    """Whom a probe's pod runs as; on a real cluster deploy/base makes it."""
    metadata = {"name": "knowngood-probe", "namespace": "knowngood"}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def node_object(seed: Seed, node: NodeSeed) -> Object:
    """A complete Node."""
    _, _, line = operating_system(seed.openshift)
    capacity = {"cpu": "128", "memory": "1056000000Ki", "pods": "250", "ephemeral-storage": "900000000Ki"}
    if node.gpus:
        capacity |= {GPU: "0"}
    if node.nics:
        capacity |= {RDMA: RDMA_SHARES}
    taints: list[Object] = []
    if node.role == "control-plane":
        taints = [{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}]
    elif not node.machine:
        taints = [VIRTUAL_TAINT]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": _node_labels(seed, node),
            "annotations": pool_objects.said_of(seed, node),
        },
        "spec": {
            "providerID": f"baremetal:///{stable_id(node.name, 'provider')}",
            **({"taints": taints} if taints else {}),
        },
        "status": {
            "capacity": dict(capacity),
            "allocatable": dict(capacity),
            "addresses": [
                {"type": "InternalIP", "address": host_ip(node.name)},
                {"type": "Hostname", "address": node.name},
            ],
            "conditions": node_conditions(ready=True),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": [],
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": "cri-o://1.31.9",
                "kernelVersion": node.kernel,
                "kubeProxyVersion": seed.kubernetes,
                "kubeletVersion": seed.kubernetes,
                "machineID": stable_id(node.name, "machine").replace("-", ""),
                "operatingSystem": "linux",
                "osImage": line if node.machine else "",
                "systemUUID": stable_id(node.name, "system"),
            },
        },
    }


def node_conditions(*, ready: bool, reason: str = "", message: str = "") -> list[Object]:
    """The five conditions of a node; Unknown all of them when nobody hears from it."""
    calm = ("MemoryPressure", "DiskPressure", "PIDPressure")
    entries = [condition(name, "False" if ready else "Unknown", f"Kubelet{name}") for name in calm]
    words = ("KubeletReady", "kubelet is posting ready status")
    unknown = (reason or "NodeStatusUnknown", message or "Kubelet stopped posting node status.")
    entries.append(condition("Ready", "True" if ready else "Unknown", *(words if ready else unknown)))
    return [{**entry, "lastHeartbeatTime": stamp()} for entry in entries]


def _node_labels(seed: Seed, node: NodeSeed) -> dict[str, str]:
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        HOSTNAME_LABEL: node.name,
        **node.labels,
    }
    if not node.machine:
        return labels | {"liqo.io/type": "virtual-node", "liqo.io/remote-cluster-id": node.name}
    role = {"control-plane": "control-plane", "cpu": "worker", "gpu": "worker"}[node.role]
    labels[f"node-role.kubernetes.io/{role}"] = ""
    if role == "control-plane":
        labels["node-role.kubernetes.io/master"] = ""
    labels |= os_labels(os_release(seed.openshift), node.kernel, openshift=bool(seed.openshift))
    if node.gpus:
        labels[GPU_PCI_LABEL] = "true"
    if node.nics:
        labels |= {NIC_PCI_LABEL: "true", "network.nvidia.com/operator.mofed.wait": "false"}
    return labels


def operator_deployment(space: str, name: str, version: str) -> Object:
    """An operator's own pod."""
    labels = {"app.kubernetes.io/name": name, "app": name}
    container = {"name": name, "image": f"registry.example.com/{name}:v{version}"}
    return _deployment(name, space, labels, {"containers": [container]}, 1)


def node_feature_discovery(seed: Seed) -> Object:
    """NFD's workers, on every machine."""
    labels = {"app": "nfd-worker"}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "nfd-worker", "namespace": seed.gpu_operator.namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"node-role.kubernetes.io/worker": ""},
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "nfd-worker", "image": "registry.example.com/nfd:v4.18"}],
                },
            },
        },
    }


def workload(tenant: TenantSeed, load: WorkloadSeed) -> Iterator[Object]:
    """A tenant's workload, its budget, and for a gang its PodGroup."""
    labels = {"app": load.name, TENANT_LABEL: tenant.name}
    count = {GPU: str(load.gpusPerPod)} if load.gpusPerPod else {}
    container: Object = {"name": load.name, "image": PAUSE_IMAGE}
    if count:
        container["resources"] = {"limits": dict(count), "requests": dict(count)}
    spec: Object = {"containers": [container], "terminationGracePeriodSeconds": 30}
    if load.kind == "gang":
        yield from _gang(tenant, load, labels, spec)
    elif load.kind == "StatefulSet":
        yield _stateful_set(load.name, tenant.namespace, labels, spec, load.replicas)
    else:
        yield _deployment(load.name, tenant.namespace, labels, spec, load.replicas)
    if load.minAvailable:
        yield {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": load.name, "namespace": tenant.namespace},
            "spec": {"minAvailable": load.minAvailable, "selector": {"matchLabels": {"app": load.name}}},
        }


def _gang(tenant: TenantSeed, load: WorkloadSeed, labels: dict[str, str], spec: Object) -> Iterator[Object]:
    yield {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": load.name, "namespace": tenant.namespace, "labels": labels},
        "spec": {"minMember": load.replicas, "queue": tenant.name},
    }
    spec = {**spec, "schedulerName": "kai-scheduler"}
    annotations = {"pod-group-name": load.name}
    yield _stateful_set(load.name, tenant.namespace, labels, spec, load.replicas, annotations)


def _deployment(name: str, space: str, labels: dict[str, str], spec: Object, replicas: int) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": space, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": labels["app"]}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _stateful_set(
    name: str,
    space: str,
    labels: dict[str, str],
    spec: Object,
    replicas: int,
    annotations: dict[str, str] | None = None,
) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": space, "labels": labels, "annotations": annotations or {}},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": labels["app"]}},
            "template": {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": spec},
        },
    }
