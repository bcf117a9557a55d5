"""The controllers that a twin plays, by name: any of them can be left to a real one."""

from __future__ import annotations

from collections.abc import Iterable

from knowngood.twin.behaviours.argocd import ArgoCd
from knowngood.twin.behaviours.bmcs import Bmcs
from knowngood.twin.behaviours.chart_apps import ChartApplications
from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.cvo import ClusterVersionOperator
from knowngood.twin.behaviours.cvo_operators import ClusterOperators
from knowngood.twin.behaviours.daemonsets import DaemonSets
from knowngood.twin.behaviours.doca_upgrade import DocaUpgrades
from knowngood.twin.behaviours.driver_upgrade import DriverUpgrades
from knowngood.twin.behaviours.gpu_drivers import NvidiaDrivers
from knowngood.twin.behaviours.gpu_operator import GpuOperator
from knowngood.twin.behaviours.health_checks import HealthChecks
from knowngood.twin.behaviours.jobs import Jobs
from knowngood.twin.behaviours.maintenance import Maintenances
from knowngood.twin.behaviours.mco import MachineConfigOperator
from knowngood.twin.behaviours.mco_daemon import MachineConfigDaemons
from knowngood.twin.behaviours.mig_manager import MigManager
from knowngood.twin.behaviours.network_operator import NetworkOperator
from knowngood.twin.behaviours.nic_firmware import NicFirmware
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.behaviours.olm import Olm
from knowngood.twin.behaviours.olm_v1 import OlmV1
from knowngood.twin.behaviours.plugin_config import PluginConfigs
from knowngood.twin.behaviours.scheduler import GangScheduler, Scheduler
from knowngood.twin.behaviours.section_operands import SectionOperands
from knowngood.twin.behaviours.sriov import SriovDaemons
from knowngood.twin.behaviours.sriov_drains import SriovDrains
from knowngood.twin.behaviours.talos import TalosMachines
from knowngood.twin.behaviours.workloads import Deployments, ReplicaSets, StatefulSets
from knowngood.twin.seed import Seed

MANAGER = "kube-controller-manager"
MANAGED: tuple[type[Controller], ...] = (
    DaemonSets,
    Jobs,
    Deployments,
    ReplicaSets,
    StatefulSets,
    NodeLifecycle,
)
"""What a Kubernetes cluster brings along in its controller manager."""
GPU_OPERATOR: tuple[type[Controller], ...] = (GpuOperator, NvidiaDrivers, DriverUpgrades)
"""What the GPU Operator is in one process."""
_ALL: tuple[type[Controller], ...] = (
    Scheduler,
    GangScheduler,
    *MANAGED,
    ArgoCd,
    ChartApplications,
    NetworkOperator,
    SectionOperands,
    DocaUpgrades,
    Olm,
    OlmV1,
    ClusterVersionOperator,
    ClusterOperators,
    MachineConfigOperator,
    MachineConfigDaemons,
    HealthChecks,
    MigManager,
    PluginConfigs,
    Maintenances,
    NicFirmware,
    SriovDrains,
    SriovDaemons,
    Bmcs,
    TalosMachines,
    *GPU_OPERATOR,
)
NAMES = tuple(sorted([MANAGER, *(one.name for one in _ALL)]))
"""What `--without` understands."""


def spelled_out(names: Iterable[str]) -> frozenset[str]:
    """The controllers that these names mean: the controller manager's name means all of its own, gpu-operator's too."""
    found = set(names)
    if MANAGER in found:
        found |= {one.name for one in MANAGED}
    if GpuOperator.name in found:
        found |= {one.name for one in GPU_OPERATOR}
    return frozenset(found - {MANAGER})


def played(seed: Seed, without: frozenset[str]) -> list[type[Controller]]:
    """What this cluster has, but for those left out; in the order in which they start."""
    absent = {
        ArgoCd: seed.gitops is None,
        ChartApplications: seed.gitops is None,
        NetworkOperator: seed.network_operator is None,
        SectionOperands: seed.network_operator is None,
        DocaUpgrades: seed.network_operator is None or NetworkOperator.name in without,
        Olm: seed.olm is None,
        OlmV1: seed.olm_v1 is None,
        ClusterVersionOperator: seed.cluster_version is None,
        ClusterOperators: seed.cluster_version is None,
        MachineConfigOperator: not seed.machine_config,
        MachineConfigDaemons: not seed.machine_config,
        HealthChecks: not seed.health_checks,
        MigManager: not seed.mig_manager,
        PluginConfigs: not seed.plugin_config,
        Maintenances: seed.nic_configuration is None,
        NicFirmware: seed.nic_configuration is None,
        SriovDrains: seed.sriov is None,
        SriovDaemons: seed.sriov is None,
        Bmcs: seed.bmcs is None,
        TalosMachines: seed.talos is None,
        GangScheduler: Scheduler.name not in without,
    }
    return [one for one in _ALL if not absent.get(one) and one.name not in without]
