"""Which resources are served, under which paths and names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from knowngood.twin.values import Object

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One kind in one version. Versions of the same kind share their storage key `group/plural`."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    storage: str = ""
    schema: Object | None = field(default=None, compare=False)  # structural schema of a custom resource
    columns: tuple[Object, ...] = field(default=(), compare=False)
    selectable: tuple[str, ...] = ()
    origin: str = ""  # uid and generation of the definition of a custom resource
    scale: Object | None = field(default=None, compare=False)  # JSON paths of a custom scale subresource

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """The storage key: equal for all versions of the kind."""
        return self.storage or f"{self.group}/{self.plural}"

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition declared it."""
        return self.schema is not None

    @property
    def persisted(self) -> bool:
        """Whether objects are kept; reviews are answered and forgotten."""
        return "get" in self.verbs

    def has(self, subresource: str) -> bool:
        """Whether the resource serves this subresource."""
        return subresource in self.subresources


def _kind(
    api: str,
    plural: str,
    kind: str,
    short: str = "",
    *,
    cluster: bool = False,
    sub: str = "",
    categories: str = "",
) -> ResourceType:
    group, _, version = api.rpartition("/")
    return ResourceType(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=not cluster,
        singular=kind.lower(),
        short_names=tuple(short.split()),
        categories=tuple(categories.split()),
        subresources=tuple(sub.split()),
    )


def _review(api: str, plural: str, kind: str) -> ResourceType:
    """Return a kind that is answered at once and never kept."""
    return replace(_kind(api, plural, kind, cluster=True), verbs=("create",))


_POD_SUBRESOURCES = "status log exec eviction binding ephemeralcontainers"
_RBAC = "rbac.authorization.k8s.io/v1"

BUILT_IN: tuple[ResourceType, ...] = (
    _kind("v1", "namespaces", "Namespace", "ns", cluster=True, sub="status finalize"),
    _kind("v1", "nodes", "Node", "no", cluster=True, sub="status proxy"),
    _kind("v1", "pods", "Pod", "po", sub=_POD_SUBRESOURCES, categories="all"),
    _kind("v1", "configmaps", "ConfigMap", "cm"),
    _kind("v1", "secrets", "Secret"),
    _kind("v1", "serviceaccounts", "ServiceAccount", "sa", sub="token"),
    _kind("v1", "services", "Service", "svc", sub="status proxy", categories="all"),
    _kind("v1", "endpoints", "Endpoints", "ep"),
    _kind("v1", "events", "Event", "ev"),
    _kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", sub="status"),
    _kind("v1", "persistentvolumes", "PersistentVolume", "pv", cluster=True, sub="status"),
    _kind("v1", "resourcequotas", "ResourceQuota", "quota", sub="status"),
    _kind("v1", "limitranges", "LimitRange", "limits"),
    _kind(
        "v1", "replicationcontrollers", "ReplicationController", "rc", sub="status scale", categories="all"
    ),
    _kind("apps/v1", "deployments", "Deployment", "deploy", sub="status scale", categories="all"),
    _kind("apps/v1", "replicasets", "ReplicaSet", "rs", sub="status scale", categories="all"),
    _kind("apps/v1", "daemonsets", "DaemonSet", "ds", sub="status", categories="all"),
    _kind("apps/v1", "statefulsets", "StatefulSet", "sts", sub="status scale", categories="all"),
    _kind("apps/v1", "controllerrevisions", "ControllerRevision"),
    _kind("batch/v1", "jobs", "Job", sub="status", categories="all"),
    _kind("batch/v1", "cronjobs", "CronJob", "cj", sub="status", categories="all"),
    _kind("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", sub="status"),
    _kind("coordination.k8s.io/v1", "leases", "Lease"),
    replace(_kind("events.k8s.io/v1", "events", "Event", "ev"), storage="/events"),
    _kind(f"{_RBAC}", "roles", "Role"),
    _kind(f"{_RBAC}", "rolebindings", "RoleBinding"),
    _kind(f"{_RBAC}", "clusterroles", "ClusterRole", cluster=True),
    _kind(f"{_RBAC}", "clusterrolebindings", "ClusterRoleBinding", cluster=True),
    _kind("storage.k8s.io/v1", "storageclasses", "StorageClass", "sc", cluster=True),
    _kind("storage.k8s.io/v1", "csinodes", "CSINode", cluster=True),
    _kind("storage.k8s.io/v1", "volumeattachments", "VolumeAttachment", cluster=True, sub="status"),
    _kind("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", "pc", cluster=True),
    _kind("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", cluster=True),
    _kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "netpol"),
    _kind("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
    _kind(  # they are kept, and nobody is asked: what the twin's operators refuse is in `ApiServer.ask`
        "admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        cluster=True,
    ),
    _kind(
        "admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        cluster=True,
    ),
    _kind(
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "crd crds",
        cluster=True,
        sub="status",
        categories="api-extensions",
    ),
    _review("authentication.k8s.io/v1", "selfsubjectreviews", "SelfSubjectReview"),
    _review("authentication.k8s.io/v1", "tokenreviews", "TokenReview"),
    _review("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review("authorization.k8s.io/v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _review("authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview"),
)


class Resources:
    """The resources served now; custom ones come and go."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], ResourceType] = {}
        self._by_kind: dict[tuple[str, str], ResourceType] = {}
        for resource in BUILT_IN:
            self.add(resource)

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(self._by_path.values())

    def add(self, resource: ResourceType) -> None:
        """Serve the resource, in place of an earlier one at its path."""
        self._by_path[(resource.group, resource.version, resource.plural)] = resource
        self._by_kind[(resource.api_version, resource.kind)] = resource

    def remove(self, group: str, plural: str) -> None:
        """Serve no version of this resource any longer."""
        for path, resource in list(self._by_path.items()):
            if (resource.group, resource.plural) == (group, plural):
                del self._by_path[path]
                del self._by_kind[(resource.api_version, resource.kind)]

    def at(self, group: str, version: str, plural: str) -> ResourceType | None:
        """Return the resource at /apis/<group>/<version>/<plural> (or /api/<version>/<plural>)."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> ResourceType | None:
        """Return the resource whose objects carry this apiVersion and kind."""
        return self._by_kind.get((api_version, kind))

    def stored(self) -> Iterator[ResourceType]:
        """Yield one resource a storage key: each kept kind once."""
        seen: set[str] = set()
        for resource in self._by_path.values():
            if resource.persisted and resource.key not in seen:
                seen.add(resource.key)
                yield resource

    def groups(self) -> dict[str, list[str]]:
        """Return the named API groups, each with its versions, the preferred one first."""
        groups: dict[str, list[str]] = {}
        for group, version, _ in self._by_path:
            versions = groups.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        groups.pop("")
        for versions in groups.values():
            versions.sort(key=version_priority, reverse=True)
        return groups

    def in_version(self, group: str, version: str) -> list[ResourceType]:
        """Return the resources of one group version."""
        return [one for one in self._by_path.values() if (one.group, one.version) == (group, version)]


def version_priority(version: str) -> tuple[int, int, int]:
    """Order v2 > v1 > v1beta2 > v1beta1 > v1alpha1, as clients expect the preferred version."""
    head, stage, rest = version, 2, ""
    for name, rank in (("beta", 1), ("alpha", 0)):
        if name in version:
            head, _, rest = version.partition(name)
            stage = rank
    major = head.removeprefix("v")
    if not major.isdigit():
        return (-1, 0, 0)
    return (stage, int(major), int(rest) if rest.isdigit() else 0)
