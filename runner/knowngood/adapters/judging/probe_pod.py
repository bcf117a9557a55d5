"""The pod of a probe, down to each need of its image and not a thing more: deploy/openshift admits exactly this.

- It reads three folders of the host, read-only with all that is mounted below them. They are root's in part, and of
  SELinux types that only `spc_t` may read whoever made them (the driver's container labels its files as its own).
- Its root is read-only. Python, torch and NCCL write to a temporary folder and to /dev/shm, which is 64 MiB unless
  a volume says otherwise; both count as the pod's own, and /dev/shm as its memory.
- It has no capability but IPC_LOCK where RDMA memory is registered, which a memlock limit would forbid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.adapters.kubernetes.client import Object
from knowngood.model import names
from knowngood.model.probe_pod import PodNeeds, PodSite, PodStorage

GPU = "nvidia.com/gpu"
HOST = "/host"
NETWORKS = "k8s.v1.cni.cncf.io/networks"
"""Multus' annotation: what a network's resource gives the pod is attached by it."""
KERNEL_FOLDERS = ("/proc", "/sys")
SCRATCH = (
    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (a volume of the pod)
    {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
)
"""Where a container of the image writes; its root is read-only."""
ENVIRONMENT = (
    {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108
    {"name": "HOME", "value": "/tmp"},  # noqa: S108 (where libraries keep what they make)
    # Which of the driver's libraries the NVIDIA runtime gives a container: nvidia-container-toolkit's own name.
    {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"},
)
CHECKPOINTS = {"name": "checkpoints", "mountPath": "/checkpoints"}
"""Where a volume of the tenants' storage class is mounted."""
CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
READS_ONLY = PodNeeds(cpus=1, memory_mib=512, shm_mib=64, tmp_mib=64)
"""Of a probe that computes nothing."""
BASE_MEMORY, MEMORY_EACH = 4096, 4096
"""MiB, and MiB more for each GPU: a process of torch with CUDA and NCCL takes 3 to 4 GiB of the host. A proposal."""
BASE_SHM, SHM_EACH = 1024, 512
BASE_TMP, TMP_EACH = 2048, 512
"""MiB; a checkpoint of the smoke model and what torch compiles. Proposals; the profile may say otherwise."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one probe's pod asks for: device plugins' resources by name, sizes, and networks."""

    devices: Mapping[str, int] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()  # ResourceClaimTemplates
    pinned: bool = False  # memory for RDMA
    cpus: int = 1
    memory_mib: int = 0
    shm_mib: int = 0
    tmp_mib: int = 0
    storage: PodStorage | None = None


def asked(needs: PodNeeds, gpus: int) -> Asked:
    """What a probe takes that computes on a node's GPUs; `gpus` 0: one that only reads, whatever `needs` says."""
    if not gpus:
        only = READS_ONLY
        return Asked(cpus=only.cpus, memory_mib=only.memory_mib, shm_mib=only.shm_mib, tmp_mib=only.tmp_mib)
    return Asked(
        devices={**(needs.resources or ({} if needs.claims else {GPU: gpus})), **needs.rdma},
        networks=needs.networks,
        claims=needs.claims,
        pinned=bool(needs.rdma),
        cpus=needs.cpus or gpus,
        memory_mib=needs.memory_mib or BASE_MEMORY + MEMORY_EACH * gpus,
        shm_mib=needs.shm_mib or BASE_SHM + SHM_EACH * gpus,
        tmp_mib=needs.tmp_mib or BASE_TMP + TMP_EACH * gpus,
    )


def only_on(node: str) -> Object:
    """The affinity of a pod that can run on this node only.

    By the node's name, as the DaemonSet controller does it: a host name label can be another's or missing.
    """
    only = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [only]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def spec(node: str, site: PodSite, want: Asked, container: Object) -> Object:
    """The spec of a pod that probes `node`; `container` has name, image and command."""
    own = [
        {"key": key, "operator": "Exists", "effect": "NoSchedule"}
        for key in ("node.kubernetes.io/unschedulable", names.MAINTENANCE_TAINT, names.QUARANTINE_TAINT, GPU)
    ]
    return {
        "restartPolicy": "Never",
        "serviceAccountName": names.PROBE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        **placed(site),
        "affinity": only_on(node),
        "tolerations": [*own, *map(dict, site.tolerations)],
        "securityContext": {
            "runAsUser": 0,  # parts of the host's /sys are root's
            "seLinuxOptions": {"type": "spc_t", "level": "s0"},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_claims(want),
        "containers": [{**container, **_container(site, want)}],
        "volumes": [*scratch(want), *_storage(want), *_host_volumes(site)],
    }


def placed(site: PodSite) -> Object:
    """What this site wants of a pod of ours, whoever it is."""
    found: Object = {
        "schedulerName": site.scheduler,
        "priorityClassName": site.priority_class,
        "runtimeClassName": site.runtime_class,
        "imagePullSecrets": [{"name": name} for name in site.pull_secrets],
    }
    return {key: value for key, value in found.items() if value}


def host_folders(site: PodSite) -> tuple[str, ...]:
    """The host's folders that a probe reads: what the kernel shows, and which libcuda is there."""
    return (*KERNEL_FOLDERS, f"{site.driver_root.rstrip('/')}/usr")


def attached(want: Asked) -> dict[str, str]:
    """The annotations of a pod that asks for networks."""
    return {NETWORKS: ", ".join(want.networks)} if want.networks else {}


def _container(site: PodSite, want: Asked) -> Object:
    node = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    return {
        "env": [node, *ENVIRONMENT],
        "resources": resources(want),
        "securityContext": {
            **CONFINED,
            "capabilities": {"drop": ["ALL"], **({"add": ["IPC_LOCK"]} if want.pinned else {})},
        },
        "volumeMounts": [
            *SCRATCH,
            *([CHECKPOINTS] if want.storage else []),
            *(
                {
                    "name": _volume(folder),
                    "mountPath": f"{HOST}{folder}",
                    "readOnly": True,
                    "recursiveReadOnly": "IfPossible",  # what is mounted below, too; from Kubernetes 1.31
                }
                for folder in host_folders(site)
            ),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def resources(want: Asked) -> Object:
    """Devices and memory, bounded; CPUs asked for and not bounded."""
    bounded = {
        "memory": f"{want.memory_mib}Mi",
        **{n: str(count) for n, count in sorted(want.devices.items())},
    }
    claims = {"claims": [{"name": name} for name in want.claims]} if want.claims else {}
    return {"requests": {"cpu": str(want.cpus), **bounded}, "limits": bounded, **claims}


def _claims(want: Asked) -> Object:
    """A claim of its own for each template, made with the pod and gone with it. Kubernetes 1.34 and newer."""
    claims = [{"name": name, "resourceClaimTemplateName": name} for name in want.claims]
    return {"resourceClaims": claims} if claims else {}


def scratch(want: Asked) -> list[Object]:
    """The volumes of SCRATCH."""
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": f"{want.tmp_mib}Mi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{want.shm_mib}Mi"}},
    ]


def _storage(want: Asked) -> list[Object]:
    """A claim that Kubernetes makes for this pod, and deletes with it."""
    if want.storage is None:
        return []
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": want.storage.storage_class,
        "resources": {"requests": {"storage": f"{want.storage.gib}Gi"}},
    }
    return [{"name": CHECKPOINTS["name"], "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}]


def _host_volumes(site: PodSite) -> list[Object]:
    return [
        {"name": _volume(folder), "hostPath": {"path": folder, "type": "Directory"}}
        for folder in host_folders(site)
    ]


def _volume(folder: str) -> str:
    return {"/proc": "proc", "/sys": "sys"}.get(folder, "driver")
