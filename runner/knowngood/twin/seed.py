"""The seed: which cluster the twin plays. `load` reads the JSON file that `knowngood rehearse` writes.

{"schema": 1, "cluster": "ams-prod", "kubernetes": "v1.31.9", "openshift": "4.18.52" or "",
 "nodes": [{"name", "role": control-plane|cpu|gpu|virtual, "labels": {}, and for GPU nodes "product", "gpus",
            "gpuModel", "gpuPciId", "nvswitch", "nics", "nicModel", "nicFirmware", "docaOfed", "kernel", "rdmaMode",
            "modules": what else the host loads at boot, of which rpcrdma is known,
            "migConfig": all-1g.18gb and its like, "replicas": of each GPU or MIG device}],
 "gpuOperator": {"version", "namespace", "drivers": version -> the driver it brings by itself (may be absent)},
 "networkOperator": {"version", "namespace"} (may be absent),
 "tenants": [{"name", "namespace", "workloads": [{"name", "kind": Deployment|StatefulSet|gang, "replicas",
              "gpusPerPod", "minAvailable"}]}],
 "gitops": {"repo", "branch", "applications": [{"name", "namespace", "path"}]} (may be absent),
 "olm": {"catalogs": {"<image or address>": [documents as `opm render` prints them]},
         "sources": [{"name", "namespace", "place"}], "installed": [{"package", "namespace", "channel", "csv",
         "source", "sourceNamespace"}]} (may be absent),
 "machineConfig": {"pools": [{"name", "nodeSelector": {}, "maxUnavailable", "paused"}]} (may be absent: then pools
         rest and nobody acts on them; those of master and worker are there by themselves),
 "clusterVersion": {"payloads": [{"version", "image", "kernel", "kubernetes", "signed"}], "operators": [names in the
         order of their updates], "gates": {admin gate: what it asks}, "otherManifests", "backupAnnotation": the one
         that says since when etcd has a backup} (may be absent: then the ClusterVersion rests and nobody acts on it),
 "healthChecks": [{"kind": MachineHealthCheck|NodeHealthCheck, "name", "timeout", "maxUnhealthy"}] (may be absent),
 "migManager": true (may be absent): the MIG manager parts GPUs as each node's label says; migConfig is what is there
         before, and goes with the module,
 "nicConfiguration": {"namespace", "maxUnavailable"}, "bmcs" (both may be absent): see nic_seed.py, bmc_seed.py,
 "talos": {"version", "images": image -> version} (may be absent): what the machines run, and can be asked to take,
 "olmV1": {"catalogs": {"<name>": [documents as `opm render` prints them]}, "namespace"} (may be absent): OLM v1,
 "sriov": {"namespace", "prefix", "totalVfs"} (may be absent): who makes virtual functions as policies say,
 "pluginConfig": true (may be absent): the device plugin takes the configuration that each node's label names,
 "helm": [{"name", "namespace", "objects": []}]: releases, and what they own (may be absent)}
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from knowngood.twin.bmc_seed import BmcsSeed
from knowngood.twin.nic_seed import NicConfigurationSeed, SriovSeed
from knowngood.twin.olm_seed import InstalledSeed, OlmSeed, OlmV1Seed, SourceSeed
from knowngood.twin.talos_seed import TalosSeed
from knowngood.twin.values import Values

SCHEMA = 1
ROLES = ("control-plane", "cpu", "gpu", "virtual")
MODULES = ("rpcrdma",)
MIG_CONFIG = re.compile(r"all-([123467])g\.\d{1,3}gb")
MIG_DEVICES = {"1": 7, "2": 3, "3": 2, "4": 1, "6": 1, "7": 1}
CHECKS = ("MachineHealthCheck", "NodeHealthCheck")
WORKLOADS = ("Deployment", "StatefulSet", "gang")

T = TypeVar("T")


class SeedError(Exception):
    """The seed file can't be used; the message says which field of which entry."""


@dataclass(frozen=True, slots=True)
class NodeSeed:
    """One node. Hardware fields count for GPU nodes only; sizes are numbers of devices."""

    name: str
    role: str
    labels: Mapping[str, str] = field(default_factory=dict)
    product: str = ""
    gpus: int = 0
    gpuModel: str = ""  # noqa: N815 (the file's own spelling)
    gpuPciId: str = ""  # noqa: N815
    nvswitch: bool = False
    nics: int = 0
    nicModel: str = ""  # noqa: N815
    nicFirmware: str = ""  # noqa: N815
    docaOfed: str = ""  # noqa: N815
    kernel: str = "5.14.0-427.92.1.el9_4.x86_64"
    rdmaMode: str = "dma-buf"  # noqa: N815
    modules: Sequence[str] = ()  # more that the host loads at boot: rpcrdma
    migConfig: str = ""  # noqa: N815 (all GPUs in equal instances: all-1g.18gb)
    replicas: int = 1  # how often time-slicing offers each GPU or MIG device

    @property
    def instances(self) -> int:
        """MIG devices of one GPU, 0 without MIG: what fits by compute slices, of which there are seven."""
        match = MIG_CONFIG.fullmatch(self.migConfig)
        return MIG_DEVICES[match.group(1)] if match else 0

    @property
    def machine(self) -> bool:
        """Whether it has a host at all: a Liqo virtual node has none."""
        return self.role != "virtual"


@dataclass(frozen=True, slots=True)
class WorkloadSeed:
    """One tenant workload; a gang starts and stops as a whole. minAvailable 0: no PodDisruptionBudget."""

    name: str
    kind: str
    replicas: int
    gpusPerPod: int = 1  # noqa: N815
    minAvailable: int = 0  # noqa: N815


@dataclass(frozen=True, slots=True)
class TenantSeed:
    """One namespace of a tenant and what runs in it."""

    name: str
    namespace: str
    workloads: tuple[WorkloadSeed, ...] = ()


@dataclass(frozen=True, slots=True)
class OperatorSeed:
    """An installed operator. drivers: its version -> the driver that it brings where its policy names none."""

    version: str
    namespace: str
    drivers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApplicationSeed:
    """One Argo CD Application on the seed's repository."""

    name: str
    namespace: str
    path: str


@dataclass(frozen=True, slots=True)
class GitOpsSeed:
    """The repository that Argo CD follows."""

    repo: str
    branch: str = "main"
    applications: tuple[ApplicationSeed, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolSeed:
    """A MachineConfigPool beside master and worker. maxUnavailable: a number or a percentage."""

    name: str
    nodeSelector: Mapping[str, str]  # noqa: N815
    maxUnavailable: int | str = 1  # noqa: N815
    paused: bool = False


@dataclass(frozen=True, slots=True)
class MachineConfigSeed:
    """The machine-config operator at work."""

    pools: tuple[PoolSeed, ...] = ()


@dataclass(frozen=True, slots=True)
class PayloadSeed:
    """A release image that the mirror holds. kernel, kubernetes: what its nodes run, "" as before.

    signed: whether its signature is where the cluster-version operator looks.
    """

    version: str
    image: str
    kernel: str = ""
    kubernetes: str = ""
    signed: bool = True


@dataclass(frozen=True, slots=True)
class ClusterVersionSeed:
    """The cluster-version operator at work.

    operators: in the order in which they are updated. gates: acks that a minor asks for, ack -> why.
    otherManifests: what a payload has beside operators; they count in its progress. backupAnnotation: on the
    ClusterVersion, when etcd was backed up: at the twin's start; "" nobody says so.
    """

    payloads: tuple[PayloadSeed, ...]
    operators: Sequence[str] = ("etcd", "kube-apiserver", "network", "machine-config")
    gates: Mapping[str, str] = field(default_factory=dict)
    otherManifests: int = 2  # noqa: N815
    backupAnnotation: str = ""  # noqa: N815


@dataclass(frozen=True, slots=True)
class CheckSeed:
    """A check that power-cycles workers which are not ready. timeout: a Go duration; maxUnhealthy: of them."""

    kind: str
    name: str
    timeout: str = "300s"
    maxUnhealthy: str = "40%"  # noqa: N815


@dataclass(frozen=True, slots=True)
class HelmSeed:
    """A Helm release: its objects are there from the start, and say whose they are."""

    name: str
    namespace: str
    objects: Sequence[Values] = ()


@dataclass(frozen=True)
class Seed:
    """A whole cluster."""

    cluster: str
    kubernetes: str
    openshift: str
    nodes: tuple[NodeSeed, ...]
    gpu_operator: OperatorSeed
    network_operator: OperatorSeed | None
    tenants: tuple[TenantSeed, ...]
    gitops: GitOpsSeed | None
    olm: OlmSeed | None = None
    machine_config: MachineConfigSeed | None = None
    cluster_version: ClusterVersionSeed | None = None
    health_checks: tuple[CheckSeed, ...] = ()
    helm: tuple[HelmSeed, ...] = ()
    mig_manager: bool = False
    plugin_config: bool = False
    nic_configuration: NicConfigurationSeed | None = None
    sriov: SriovSeed | None = None
    bmcs: BmcsSeed | None = None
    talos: TalosSeed | None = None
    olm_v1: OlmV1Seed | None = None

    def node(self, name: str) -> NodeSeed | None:
        """The node of that name, or None."""
        return self.by_name.get(name)

    @cached_property
    def by_name(self) -> Mapping[str, NodeSeed]:
        """All nodes by name."""
        return {node.name: node for node in self.nodes}


def load(path: Path) -> Seed:
    """Read and check a seed file; SeedError says what is wrong and where."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror}; write one with `knowngood rehearse`") from error
    except ValueError as error:
        raise SeedError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise SeedError(f"{path}: a JSON object is expected")
    try:
        return parse(data)
    except SeedError as error:
        raise SeedError(f"{path}: {error}") from error


def parse(data: Values) -> Seed:
    """Turn the document into a Seed; SeedError names the field."""
    if data.get("schema") != SCHEMA:
        raise SeedError(f"schema {data.get('schema')!r} is not known; this twin reads {SCHEMA}")
    gitops = data.get("gitops")
    network, nics = data.get("networkOperator"), data.get("nicConfiguration")
    seed = Seed(
        cluster=str(data.get("cluster", "twin")),
        kubernetes=str(data.get("kubernetes", "v1.31.9")),
        openshift=str(data.get("openshift", "")),
        nodes=tuple(_fill(NodeSeed, row, f"nodes[{i}]") for i, row in enumerate(data.get("nodes", ()))),
        gpu_operator=_fill(OperatorSeed, data.get("gpuOperator", {}), "gpuOperator"),
        network_operator=_fill(OperatorSeed, network, "networkOperator") if network else None,
        tenants=tuple(_tenant(row, f"tenants[{i}]") for i, row in enumerate(data.get("tenants", ()))),
        gitops=_gitops(gitops) if gitops else None,
        olm=_olm(data["olm"]) if data.get("olm") else None,
        machine_config=_machine_config(data["machineConfig"]) if "machineConfig" in data else None,
        cluster_version=_cluster_version(data["clusterVersion"]) if "clusterVersion" in data else None,
        health_checks=tuple(
            _fill(CheckSeed, row, f"healthChecks[{i}]") for i, row in enumerate(data.get("healthChecks", ()))
        ),
        helm=tuple(_fill(HelmSeed, row, f"helm[{i}]") for i, row in enumerate(data.get("helm", ()))),
        mig_manager=bool(data.get("migManager")),
        plugin_config=bool(data.get("pluginConfig")),
        nic_configuration=_fill(NicConfigurationSeed, nics, "nicConfiguration") if nics else None,
        sriov=_fill(SriovSeed, data["sriov"], "sriov") if data.get("sriov") else None,
        bmcs=_fill(BmcsSeed, data["bmcs"], "bmcs") if data.get("bmcs") else None,
        talos=_fill(TalosSeed, data["talos"], "talos") if data.get("talos") else None,
        olm_v1=_fill(OlmV1Seed, data["olmV1"], "olmV1") if data.get("olmV1") else None,
    )
    _check(seed)
    return seed


def _tenant(row: Values, where: str) -> TenantSeed:
    rows = row.get("workloads", ())
    loads = tuple(_fill(WorkloadSeed, load, f"{where}.workloads[{i}]") for i, load in enumerate(rows))
    return _fill(TenantSeed, {**row, "workloads": loads}, where)


def _gitops(row: Values) -> GitOpsSeed:
    rows = row.get("applications", ())
    apps = tuple(_fill(ApplicationSeed, app, f"gitops.applications[{i}]") for i, app in enumerate(rows))
    return _fill(GitOpsSeed, {**row, "applications": apps}, "gitops")


def _olm(row: Values) -> OlmSeed:
    sources = tuple(
        _fill(SourceSeed, one, f"olm.sources[{i}]") for i, one in enumerate(row.get("sources", ()))
    )
    rows = row.get("installed", ())
    installed = tuple(_fill(InstalledSeed, one, f"olm.installed[{i}]") for i, one in enumerate(rows))
    found = _fill(OlmSeed, {**row, "sources": sources, "installed": installed}, "olm")
    offered = set()
    for place, documents in found.catalogs.items():
        for i, document in enumerate(documents):
            if not isinstance(document, Mapping) or not {"schema", "name"} <= set(document):
                raise SeedError(f"olm.catalogs[{place}][{i}]: schema and name are expected")
            offered.add(document["name"])
    for i, one in enumerate(installed):
        if one.csv not in offered:
            raise SeedError(f"olm.installed[{i}]: no catalog of the seed holds {one.csv}")
    return found


def _machine_config(row: Values) -> MachineConfigSeed:
    rows = enumerate(row.get("pools", ()))
    pools = tuple(_fill(PoolSeed, one, f"machineConfig.pools[{i}]") for i, one in rows)
    return _fill(MachineConfigSeed, {**row, "pools": pools}, "machineConfig")


def _cluster_version(row: Values) -> ClusterVersionSeed:
    rows = enumerate(row.get("payloads", ()))
    payloads = tuple(_fill(PayloadSeed, one, f"clusterVersion.payloads[{i}]") for i, one in rows)
    return _fill(ClusterVersionSeed, {**row, "payloads": payloads}, "clusterVersion")


def _fill(kind: type[T], row: Any, where: str) -> T:
    """Build a value of `kind`; every key must be a field, every field without default must be there."""
    if not isinstance(row, Mapping):
        raise SeedError(f"{where}: an object is expected")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(row) - set(known)):
        raise SeedError(f"{where}: unknown keys {', '.join(unknown)}; known are {', '.join(known)}")
    needed = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [n for n in needed if n not in row]:
        raise SeedError(f"{where}: {', '.join(missing)} missing")
    return kind(**row)


def _check(seed: Seed) -> None:
    names = [node.name for node in seed.nodes]
    if doubled := sorted(name for name, count in Counter(names).items() if count > 1):
        raise SeedError(f"nodes: {', '.join(doubled)} named twice")
    for node in seed.nodes:
        if node.role not in ROLES:
            raise SeedError(f"node {node.name}: role {node.role!r} is not one of {', '.join(ROLES)}")
        if not 0 <= node.gpus <= 16 or not 0 <= node.nics <= 16:
            raise SeedError(f"node {node.name}: gpus and nics are 0 to 16")
        _check_node(node)
    if seed.cluster_version and seed.openshift not in {p.version for p in seed.cluster_version.payloads}:
        raise SeedError(f"clusterVersion: no payload is {seed.openshift or 'of the missing openshift'}")
    for check in seed.health_checks:
        if check.kind not in CHECKS:
            raise SeedError(
                f"health check {check.name}: kind {check.kind!r} is not one of {', '.join(CHECKS)}"
            )
    for tenant in seed.tenants:
        for load in tenant.workloads:
            if load.kind not in WORKLOADS:
                raise SeedError(
                    f"tenant {tenant.name}, workload {load.name}: kind {load.kind!r} is not known"
                )


def _check_node(node: NodeSeed) -> None:
    if node.migConfig and not MIG_CONFIG.fullmatch(node.migConfig):
        raise SeedError(f"node {node.name}: migConfig {node.migConfig!r} is none like all-1g.18gb")
    if not 1 <= node.replicas <= 64:
        raise SeedError(f"node {node.name}: replicas are 1 to 64")
    if unknown := sorted(set(node.modules) - set(MODULES)):
        raise SeedError(f"node {node.name}: module {unknown[0]!r} is not one of {', '.join(MODULES)}")
