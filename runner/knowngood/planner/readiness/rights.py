"""The rights of a run and of its undo: the one list, which preflight asks for and deploy/ grants. Pure.

A row is here because the runner, its playbooks or its gates make that call. Tests compare it with the calls of a run
and with the roles in deploy/: a call that comes or goes must be added or taken out here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from knowngood.model.matrix import Cluster
from knowngood.model.mover import Specs
from knowngood.model.names import LEASE, NAMESPACE, PROBE_ACCOUNT
from knowngood.planner.moving import APPLICATION, SUBSCRIPTION


class Place(StrEnum):
    """Where a right must hold."""

    EVERYWHERE = "everywhere"  # all namespaces, or an object of the cluster
    OURS = "ours"
    OPERATOR = "operator"  # the namespaces of the operators whose pods move
    GPUS = "gpus"  # the GPU operator's own namespace
    TENANTS = "tenants"  # everywhere, or in each namespace that a tenant of the cluster file has
    APPLICATIONS = "applications"  # each Application of the cluster file, by name
    PROJECTS = "projects"  # the namespaces of the Applications


@dataclass(frozen=True, slots=True)
class Row:
    """Verbs on a resource (`pods/eviction` is a subresource), where, and the part of a run that needs them.

    `name`: of the one object that is meant, "" for any.
    """

    verbs: tuple[str, ...]
    group: str
    resource: str
    place: Place
    why: str
    name: str = ""


TABLE = (
    Row(("get",), "", "namespaces", Place.EVERYWHERE, "tells which cluster this is", "kube-system"),
    Row(("get",), "", "namespaces", Place.EVERYWHERE, "sees whether probes have a place", NAMESPACE),
    Row(("get",), "", "serviceaccounts", Place.OURS, "sees whether probes have a place", PROBE_ACCOUNT),
    Row(
        ("get",),
        "security.openshift.io",
        "securitycontextconstraints",
        Place.EVERYWHERE,
        "sees whether probes are admitted",
        PROBE_ACCOUNT,
    ),
    Row(("get", "list"), "", "nodes", Place.EVERYWHERE, "looks at every node"),
    Row(("patch",), "", "nodes", Place.EVERYWHERE, "claims, cordons, taints and gives back"),
    Row(("get",), "", "nodes/proxy", Place.EVERYWHERE, "reads the kernel's lines through the kubelet"),
    Row(("list",), "", "pods", Place.EVERYWHERE, "finds who uses a node"),
    Row(("create",), "", "pods/eviction", Place.TENANTS, "drains"),
    Row(("delete",), "", "pods", Place.OPERATOR, "restarts a driver"),
    Row(("create", "get"), "", "pods/exec", Place.OPERATOR, "reads facts in the driver pod"),
    Row(("get",), "", "configmaps", Place.GPUS, "reads how GPUs are to be parted and shared"),
    Row(("get",), "", "pods/log", Place.OURS, "takes a probe's answer"),
    Row(
        ("create", "delete", "get", "list", "patch"),
        "",
        "configmaps",
        Place.OURS,
        "keeps the checkpoint and forgets old runs",
    ),
    Row(("create",), "coordination.k8s.io", "leases", Place.OURS, "takes the Lease"),
    Row(("get", "update"), "coordination.k8s.io", "leases", Place.OURS, "keeps the Lease", LEASE),
    Row(("create", "deletecollection", "get", "list"), "batch", "jobs", Place.OURS, "probes nodes"),
    Row(("create", "delete", "list"), "", "services", Place.OURS, "lets probes of two nodes meet"),
    Row(
        ("create", "delete", "list"),
        "networking.k8s.io",
        "networkpolicies",
        Place.OURS,
        "lets probes of two nodes meet",
    ),
    Row(("list",), "batch", "jobs", Place.TENANTS, "counts the tenants' work"),
    Row(("list",), "apps", "deployments", Place.TENANTS, "counts the tenants' work"),
    Row(("list",), "apps", "statefulsets", Place.TENANTS, "counts the tenants' work"),
    Row(("list",), "apps", "daemonsets", Place.OPERATOR, "waits for drivers and operands"),
    Row(("list",), "apps", "controllerrevisions", Place.OPERATOR, "tells a driver pod of older settings"),
    Row(("list",), "nvidia.com", "nvidiadrivers", Place.EVERYWHERE, "sees who declares drivers"),
    Row(("list",), "nvidia.com", "clusterpolicies", Place.EVERYWHERE, "sees who declares operands"),
    Row(("list",), "mellanox.com", "nicclusterpolicies", Place.EVERYWHERE, "sees who declares DOCA-OFED"),
    Row(("list",), "mellanox.com", "nicnodepolicies", Place.EVERYWHERE, "sees who declares DOCA-OFED"),
    Row(("get", "patch"), "argoproj.io", "applications", Place.APPLICATIONS, "has a commit delivered"),
    Row(("get",), "argoproj.io", "applications", Place.PROJECTS, "looks at an Application's parents"),
    Row(("get",), "argoproj.io", "applicationsets", Place.PROJECTS, "looks at an Application's parents"),
    Row(("get",), "argoproj.io", "appprojects", Place.PROJECTS, "reads the sync windows"),
    Row(("list",), "maintenance.nvidia.com", "nodemaintenances", Place.EVERYWHERE, "sees who works on nodes"),
    Row(
        ("list",),
        "nodemaintenance.medik8s.io",
        "nodemaintenances",
        Place.EVERYWHERE,
        "sees who works on nodes",
    ),
    Row(
        ("list",),
        "sriovnetwork.openshift.io",
        "sriovnetworknodestates",
        Place.EVERYWHERE,
        "sees who works on nodes",
    ),
    Row(
        ("get", "list", "patch"),
        "machineconfiguration.openshift.io",
        "machineconfigpools",
        Place.EVERYWHERE,
        "holds pools, and sees who does",
    ),
    Row(
        ("get",),
        "machineconfiguration.openshift.io",
        "controllerconfigs",
        Place.EVERYWHERE,
        "sees how long a pool can be held",
        "machine-config-controller",
    ),
    Row(
        ("get", "list", "patch"),
        "machine.openshift.io",
        "machinehealthchecks",
        Place.EVERYWHERE,
        "holds health checks, and sees who does",
    ),
    Row(("list",), "machine.openshift.io", "machines", Place.EVERYWHERE, "sees whom a check watches"),
    Row(
        ("get", "list", "patch"),
        "remediation.medik8s.io",
        "nodehealthchecks",
        Place.EVERYWHERE,
        "holds health checks, and sees who does",
    ),
    Row(
        ("list",),
        "autoscaling.openshift.io",
        "clusterautoscalers",
        Place.EVERYWHERE,
        "sees whether nodes are taken away",
    ),
)
"""Rights on kinds that a cluster does not serve are needed too: who lacks them is told 403 there, not 404."""


RELEASE, SIGNATURES = "ClusterVersion", "openshift-config-managed"
"""The kind that declares a release, and the namespace in which its operator looks for signatures."""
FLASHED = "NicFirmwareTemplate"
"""The kind that declares NIC firmware for a ring."""
CONFIGURATION = "configuration.net.nvidia.com"
NICS = (
    (CONFIGURATION, "nicdevices", "sees what of NICs is flashed"),
    (CONFIGURATION, "nicfirmwaretemplates", "sees who declares NIC firmware"),
    ("maintenance.nvidia.com", "maintenanceoperatorconfigs", "sees how many nodes may be out"),
)
"""What is listed where NIC firmware is declared: group, resource, why."""
PARTED = "SriovNetworkNodePolicy"
"""The kind that declares a ring's virtual functions."""
FUNCTIONS = (
    ("sriovnetworknodepolicies", "sees who asks for virtual functions"),
    ("sriovnetworkpoolconfigs", "sees how many nodes are drained at once for virtual functions"),
)
OLM = "operators.coreos.com"
OPERATORS = (
    (OLM, "subscriptions", ("get", "list", "delete"), "sees what operators ask for, and has one made anew"),
    (
        OLM,
        "clusterserviceversions",
        ("list", "delete"),
        "sees which operators run, and takes a newer one away",
    ),
    (OLM, "installplans", ("get", "list", "patch"), "approves an operator's version"),
    ("apps", "deployments", ("list",), "waits for operators"),
)
"""In the namespace of each Subscription that declares something: group, resource, verbs, why."""


@dataclass(frozen=True, slots=True)
class Right:
    """One right to ask for. `namespace` "" is all of them, or an object of the cluster.

    `instead`: the namespaces in which it must hold each, where it does not hold in all.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""
    why: str = ""
    instead: tuple[str, ...] = ()

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {resource}{named}" + (f" in {self.namespace}" if self.namespace else "")


def needed(cluster: Cluster, specs: Specs | None = None) -> tuple[Right, ...]:
    """All rights that a run on this cluster needs, each once, but those on the objects that it moves.

    `specs`: how components move; those that the cluster declares name further operators whose pods are restarted.
    """
    named = [d.component for d in cluster.declarations if specs and d.component in specs]
    anew = [name for one in named for name in specs[one].settles if name in specs] if specs else []
    declared = [specs[name] for name in dict.fromkeys((*named, *anew))] if specs else []
    operators = (cluster.namespace_of(spec.pods.operator) for spec in declared if spec.pods)
    places = tuple(dict.fromkeys((cluster.operator_namespace, *operators)))
    found = (right for row in TABLE for verb in row.verbs for right in _rights(row, verb, cluster, places))
    kinds = (
        _of_operators,
        _of_a_release,
        _of_charts,
        _of_nics,
        _of_functions,
        _of_extensions,
        _of_alerts,
        _of_images,
    )
    of_specs = (_of_operands, _of_firmware)
    more = (
        *(right for of in kinds for right in of(cluster)),
        *(right for of in of_specs for right in of(cluster, specs or {})),
    )
    if any(spec.delivers for spec in declared):
        more = (*more, *_of_what_delivers(cluster))
    return tuple(dict.fromkeys((*found, *more)))


def _of_alerts(cluster: Cluster) -> Iterator[Right]:
    """What silences need, where they are asked for through the API server."""
    namespace, name = cluster.alertmanager.service
    if name:
        for verb in ("get", "create", "delete"):
            yield Right(verb, "", "services/proxy", namespace, name, "silences alerts of nodes that are out")


MIRRORS = (
    ("config.openshift.io", "imagedigestmirrorsets"),
    ("config.openshift.io", "imagetagmirrorsets"),
    ("operator.openshift.io", "imagecontentsourcepolicies"),
)


def _of_images(cluster: Cluster) -> Iterator[Right]:
    """What it takes to ask the registry as a node would, where the cluster file has one."""
    if cluster.registry is None:
        return
    why = "sees whether images can be pulled"
    space, _, name = cluster.registry.secret.partition("/")
    yield Right("get", "", "secrets", space, name, why)
    yield Right("get", "config.openshift.io", "images", "", "cluster", why)
    yield Right("get", "image.openshift.io", "imagestreams", "openshift", "driver-toolkit", why)
    yield from (Right("list", group, resource, "", why=why) for group, resource in MIRRORS)


def _of_operators(cluster: Cluster) -> Iterator[Right]:
    """What operators need that OLM installs, where the cluster declares any."""
    spaces = {d.object.namespace for d in cluster.declarations if d.kind == SUBSCRIPTION}
    for space in sorted(spaces):
        for group, resource, verbs, why in OPERATORS:
            yield from (Right(verb, group, resource, space, why=why) for verb in verbs)
    if spaces:
        yield Right("list", f"packages.{OLM}", "packagemanifests", "", why="sees what catalogs offer")
        kinds = "customresourcedefinitions"
        yield Right("get", "apiextensions.k8s.io", kinds, "", why="sees which kinds operators serve")


def _of_what_delivers(cluster: Cluster) -> Iterator[Right]:
    """What it takes to see Argo CD follow its operator, where that is declared."""
    for space in dict.fromkeys(application.namespace for application in cluster.gitops.applications):
        for kind in ("deployments", "statefulsets"):
            yield Right("list", "apps", kind, space, why="waits for Argo CD's own workloads")


def _of_a_release(cluster: Cluster) -> Iterator[Right]:
    """What a release of the platform needs, where the cluster declares one."""
    if not any(d.kind == RELEASE for d in cluster.declarations):
        return
    group = "config.openshift.io"
    yield Right("get", group, "clusterversions", "", "version", "sees which release is wanted and complete")
    yield Right("list", group, "clusteroperators", "", why="sees how far a release is")
    yield Right("list", "", "configmaps", SIGNATURES, why="sees whose release images are signed")


def _of_charts(cluster: Cluster) -> Iterator[Right]:
    """What charts need, where the cluster declares any by an Application of theirs."""
    declared = [d.object for d in cluster.declarations if d.kind == APPLICATION]
    for one in declared:
        yield Right("get", "argoproj.io", "applications", one.namespace, one.name, "sees how far a chart is")
    if not declared:
        return
    for kind in ("daemonsets", "deployments", "statefulsets"):
        yield Right("get", "apps", kind, "", why="sees how far a chart is")
    yield Right(
        "get",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "",
        why="sees how objects of a chart are stored",
    )
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        yield Right("get", "admissionregistration.k8s.io", kind, "", why="sees whom a chart's webhooks ask")
    yield Right(
        "list", "discovery.k8s.io", "endpointslices", "", why="sees whether a chart's webhooks answer"
    )


def _of_nics(cluster: Cluster) -> Iterator[Right]:
    """What NIC firmware needs, where the cluster declares any."""
    spaces = {d.object.namespace for d in cluster.declarations if d.kind == FLASHED}
    for space in sorted(spaces):
        yield Right("get", CONFIGURATION, "nicfirmwaresources", space, why="sees which images are fetched")
    for group, resource, why in NICS if spaces else ():
        yield Right("list", group, resource, "", why=why)


def _of_firmware(cluster: Cluster, specs: Specs) -> Iterator[Right]:
    """What flashing by BMCs needs, where the cluster declares any: Leases that outlive it, named by failure domains."""
    if any(specs[d.component].firmware for d in cluster.declarations if d.component in specs):
        for verb in ("create", "get", "update"):
            why = "keeps others away while a BMC is flashed"
            yield Right(verb, "coordination.k8s.io", "leases", NAMESPACE, why=why)


EXTENSION, CATALOGD = "ClusterExtension", ("openshift-catalogd", "https:catalogd-service:443")
"""The kind that declares an operator of OLM v1; where its catalogs' content is had, on OpenShift."""


def _of_extensions(cluster: Cluster) -> Iterator[Right]:
    """What operators of OLM v1 need, where the cluster declares any."""
    if not any(d.kind == EXTENSION for d in cluster.declarations):
        return
    group, why = "olm.operatorframework.io", "sees what an extension has made"
    yield Right("get", group, "clusterextensions", "", why="sees how far an extension is")
    yield Right("list", group, "clustercatalogs", "", why="sees who offers an extension's versions")
    yield Right("get", "", "services/proxy", *CATALOGD, why="sees which versions a catalog offers")
    yield Right("list", "apps", "deployments", "", why=why)
    yield Right("list", "apiextensions.k8s.io", "customresourcedefinitions", "", why=why)


def _of_functions(cluster: Cluster) -> Iterator[Right]:
    """What virtual functions need, where the cluster declares any."""
    if any(d.kind == PARTED for d in cluster.declarations):
        for resource, why in FUNCTIONS:
            yield Right("list", "sriovnetwork.openshift.io", resource, "", why=why)


def _of_operands(cluster: Cluster, specs: Specs) -> Iterator[Right]:
    """What components need that an operator makes of a field, each where its workloads are."""
    for one in cluster.declarations:
        for made in specs[one.component].workloads if one.component in specs else ():
            space = one.object.namespace or cluster.namespace_of(made.operator)
            plural, why = f"{made.kind.lower()}s", f"sees how far {one.component} is"
            yield Right("get", "apps", plural, space, why=why)
            if one.object.namespace:
                group = one.object.api_version.rpartition("/")[0]
                kinds = f"{one.kind.lower()}s"
                yield Right("get", group, kinds, space, one.object.name, why)


def _rights(row: Row, verb: str, cluster: Cluster, operators: Sequence[str]) -> Iterator[Right]:
    def of(namespace: str, name: str = row.name, instead: tuple[str, ...] = ()) -> Right:
        return Right(verb, row.group, row.resource, namespace, name, row.why, instead)

    tenants = tuple(sorted({n for tenant in cluster.tenants for n in tenant.namespaces}))
    applications = cluster.gitops.applications
    match row.place:
        case Place.EVERYWHERE:
            yield of("")
        case Place.OURS:
            yield of(NAMESPACE)
        case Place.OPERATOR:
            yield from map(of, operators)
        case Place.GPUS:
            yield of(operators[0])
        case Place.TENANTS:
            yield of("", instead=tenants)
        case Place.APPLICATIONS:
            yield from (of(a.namespace, a.name) for a in applications)
        case Place.PROJECTS:
            yield from (of(namespace) for namespace in dict.fromkeys(a.namespace for a in applications))
