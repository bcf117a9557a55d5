"""The one place where the engine's ports meet their adapters."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.cluster.bmcs import RedfishReader
from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.cluster.readiness import KubeReadiness
from knowngood.adapters.gitops.argocd import ArgoDelivery
from knowngood.adapters.gitops.git import GitOpsRepository
from knowngood.adapters.gitops.matrix_record import promotion_for
from knowngood.adapters.gitops.pull_requests import MergedDelivery, PullRequestRepository
from knowngood.adapters.journal import FileJournal
from knowngood.adapters.judging.kube_registry import KubeRegistry
from knowngood.adapters.judging.pytest_gates import PytestGates
from knowngood.adapters.judging.smoke_load import KubeLoad
from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.kubernetes.lease import KubeLock
from knowngood.adapters.nodes.holding import KubeHolds
from knowngood.adapters.processes.ansible import AnsibleNodeWork, Playbooks
from knowngood.adapters.processes.ansible_fleet import AnsibleFleet
from knowngood.adapters.processes.machine import LocalMachine
from knowngood.adapters.upstream.registry import UnaskedRegistry
from knowngood.cli.who import runner
from knowngood.engine.ports import Ports
from knowngood.matrix.locate import gates_dir, own_gates, own_roles, playbooks_dir
from knowngood.model.declared import Scope
from knowngood.model.destination import HERE, Destination
from knowngood.model.finding import Finding
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster, Matrix, Release
from knowngood.model.plan import Plan
from knowngood.model.progress import Progress
from knowngood.model.record import Record
from knowngood.planner.plan.case import Declared
from knowngood.planner.readiness.required import unmet_in_git, wanted
from knowngood.ports.cancel import Cancel
from knowngood.ports.clock import Clock
from knowngood.ports.delivery import Delivery
from knowngood.ports.observer import Observer

PATIENCE = 4.0
"""Seconds that a command which only tells waits for the cluster; then it goes on with what is here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run happens: which cluster, reached how, judged by what, recorded where."""

    matrix_folder: Path
    matrix: Matrix
    cluster: Cluster
    hardware: Hardware
    release: Release | None  # the target; None: judged as it is
    kubeconfig: Path
    folder: Path  # the run's
    run_id: str
    record: Destination = HERE  # where its record goes


@dataclass
class Audience(Observer):
    """Passes everything on to whoever watches by then: the run's own board comes when its plan is known.

    Whoever fails (a terminal that is gone) is left out from then on: watching must never disturb a run.
    """

    watching: list[Observer] = field(default_factory=list)

    def record(self, record: Record) -> None:
        """A record was written."""
        self._tell(lambda observer: observer.record(record))

    def progress(self, progress: Progress) -> None:
        """Something happened inside a step."""
        self._tell(lambda observer: observer.progress(progress))

    def _tell(self, news: Callable[[Observer], None]) -> None:
        for observer in tuple(self.watching):
            try:
                news(observer)
            except Exception:  # noqa: BLE001 (see above)
                self.watching.remove(observer)


@contextmanager
def ports(place: Place, audience: Audience, cancel: Cancel) -> Iterator[Ports]:
    """All ports of one run, open; the journal is locked as long as the block lasts."""
    cluster, limits, clock = place.cluster, place.cluster.limits, SystemClock()
    kube = Kube(place.kubeconfig, patience=limits.lease, cancel=cancel)
    repository = gitops(cluster, place.folder / "gitops", place.matrix)
    played = (
        cluster,
        place.kubeconfig,
        place.folder,
        limits,
        audience,
        playbooks_dir(),
        place.run_id,
        own_roles(place.matrix_folder)[0],
    )

    def waits(words: str) -> None:
        audience.progress(Progress("", "lease", "the Lease", words))

    with FileJournal(place.folder) as journal:
        yield Ports(
            clock=clock,
            cluster=KubeCluster(kube, cluster, folder=place.folder),
            lock=KubeLock(kube, limits.lease, runner(), waits),
            checkpoint=ConfigMapCheckpoint(kube),
            gitops=repository,
            delivery=delivery(kube, cluster, repository, clock),
            nodes=AnsibleNodeWork(*played),
            fleet=AnsibleFleet(kube, cluster, Playbooks(*played)),
            gates=judge_of(place, audience),
            journal=journal,
            promotion=promotion_for(
                place.matrix_folder, place.record, place.folder, cluster.gitops.pull_requests, cancel
            ),
            readiness=KubeReadiness(kube, cluster, place.matrix.movers),
            registry=UnaskedRegistry()
            if cluster.registry is None
            else KubeRegistry(kube, cluster, place.matrix.movers),
            load=KubeLoad(kube, cluster.probe_image, cluster.probe),
            holds=KubeHolds(kube, cluster.alertmanager),
            machine=LocalMachine(place.folder),
            bmcs=RedfishReader(cluster.bmcs),
            observers=(audience,),
        )


def judge_of(place: Place, observer: Observer) -> PytestGates:
    """The gates, for a run and for `knowngood gate`."""
    own = own_gates(place.matrix_folder)
    return PytestGates(
        place.cluster,
        place.hardware,
        place.release,
        place.kubeconfig,
        place.folder,
        gates_dir(),
        observer,
        own,
    )


def reader(kubeconfig: Path, cluster: Cluster) -> KubeCluster:
    """What can be read of a cluster, for commands that change nothing."""
    return KubeCluster(Kube(kubeconfig), cluster)


def quick(kubeconfig: Path) -> Kube:
    """The cluster, for a command that only tells and must answer also where the cluster does not."""
    return Kube(kubeconfig, timeout=PATIENCE, patience=PATIENCE, first_patience=PATIENCE)


def checkpoint(kubeconfig: Path, *, patient: bool = True) -> ConfigMapCheckpoint:
    """The checkpoints kept in a cluster; not `patient`: for a command that only tells."""
    return ConfigMapCheckpoint(Kube(kubeconfig) if patient else quick(kubeconfig))


def gitops(cluster: Cluster, folder: Path, matrix: Matrix | None = None) -> GitOpsRepository:
    """A clone of the cluster's GitOps repository; other clusters' Applications on it must never change."""
    others = [
        application
        for other in (matrix.clusters.values() if matrix else ())
        if other.name != cluster.name and other.gitops.repo == cluster.gitops.repo
        for application in other.gitops.applications
    ]
    if how := cluster.gitops.pull_requests:
        return PullRequestRepository(cluster.gitops, folder, how, others=others)
    return GitOpsRepository(cluster.gitops, folder, others=others)


def delivery(kube: Kube, cluster: Cluster, repository: GitOpsRepository, clock: Clock) -> Delivery:
    """How a commit reaches the cluster: by Argo CD, once somebody merged it where nothing else is taken."""
    argo = ArgoDelivery(kube, cluster, repository.is_ancestor, clock)
    how = cluster.gitops.pull_requests
    if how and isinstance(repository, PullRequestRepository):
        return MergedDelivery(argo, repository, clock, how.wait)
    return argo


def required_in_git(cluster: Cluster, plan: Plan) -> tuple[Finding, ...]:
    """What Git says otherwise than the movers of a plan require, read in a clone that is thrown away."""
    required = wanted(plan)
    if not required:
        return ()
    with tempfile.TemporaryDirectory(prefix="knowngood-") as folder:
        said = gitops(cluster, Path(folder) / "gitops").texts(required)
    return tuple(unmet_in_git(required, said))


def declared_versions(cluster: Cluster) -> Declared:
    """What Git declares now, component by component and ring by ring, read in a clone that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="knowngood-") as folder:
        repository = gitops(cluster, Path(folder) / "gitops")
        found = {}
        for declaration in cluster.declarations:
            rings = [r.name for r in cluster.rings] if declaration.scope is Scope.NODE else [""]
            for ring in rings:
                found[declaration.component, ring] = repository.value(declaration.of_ring(ring))
        return found
