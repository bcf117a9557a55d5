"""The class chart, read: an Argo CD Application asks for a version of a Helm chart, and what it owns rolls.

The commit itself starts it: Git's Application delivers ours, and that one its chart. `Synced` says that the objects are
as the chart has them; whether their pods are new and ready is each workload's to say, `Healthy` proves neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import chart_ready, rollout
from knowngood.adapters.movers.chart_owned import Owned, image_of_version, without_backend
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.finding import Finding
from knowngood.model.matrix import Cluster
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.model.node import Leftover
from knowngood.planner.moving import APPLICATION, REVISION, shown, version_of
from knowngood.planner.readiness.applications import ENDED_BADLY


@dataclass(frozen=True)
class Chart:
    """The Application that declares one component."""

    kube: Kube
    at: ObjectRef
    moving: Moving

    @classmethod
    def of(cls, kube: Kube, moving: Moving) -> Chart:
        """UsageError where no Application declares it."""
        at = moving.declared_by
        if at is None or at.kind != APPLICATION or REVISION not in moving.spec.fields.get(APPLICATION, {}):
            raise UsageError(
                f"{moving.component} is declared by {at or 'nothing'}, not by the {REVISION} of an Application",
                hint="see the cluster file's declare",
            )
        return cls(kube, at, moving)

    def __str__(self) -> str:
        return f"Application {self.at.namespace}/{self.at.name}"

    def application(self) -> Object | None:
        """It, live."""
        return self.kube.find(path(self.at.api_version, "applications", self.at.name, self.at.namespace))

    def revision(self, version: str) -> str:
        """What the Application asks for where it asks for this version."""
        return shown(self.moving.spec, APPLICATION, version)[REVISION]


class Charts:
    """Components that Argo CD installs from charts."""

    def __init__(self, kube: Kube, cluster: Cluster) -> None:
        self._kube = kube
        self._cluster = cluster

    def state(self, moving: Moving) -> FleetState:
        """What the Application asks for, and that version where all of it runs."""
        chart = Chart.of(self._kube, moving)
        application = chart.application()
        if application is None:
            return FleetState(trouble=f"there is no {chart}")
        asked = source_of(application).get("targetRevision") or ""
        try:
            declared = version_of(moving.spec, APPLICATION, {REVISION: asked})
        except UsageError as error:
            return FleetState(trouble=f"{chart}: {error.message}")
        why = _late(chart, application, declared)
        return FleetState(declared, "" if why else declared, (), why, why)

    def ready(self, moving: Moving, *, undo: bool) -> Sequence[Finding]:
        """See `chart_ready`."""
        chart = Chart.of(self._kube, moving)
        application = chart.application()
        if application is None:
            return [chart_ready.missing(str(chart))]
        asked = chart_ready.Asked(self._kube, str(chart), application, Owned.of(application), moving)
        if undo:
            return list(chart_ready.back(asked))
        at_rest = _late(chart, application, moving.before)
        return list(chart_ready.forth(asked, at_rest))

    def look(self, moving: Moving) -> Look:
        """See `following`."""
        return following(self._kube, moving)

    def residue(self, moving: Moving) -> Sequence[Leftover]:
        """Nothing: what the chart of the other version had beside is pruned by Argo CD, or is the Application's."""
        return ()


def following(kube: Kube, moving: Moving) -> Look:
    """Whether the chart is synced, and all that it owns is new and ready."""
    chart = Chart.of(kube, moving)
    application = chart.application()
    if application is None:
        return Look(waiting=f"there is no {chart}")
    if failed := _failed(application, chart.revision(moving.after)):
        return Look(failed=f"{chart}: {failed}")
    why = _late(chart, application, moving.after)
    return Look(waiting=why) if why else Look(done=f"{chart} has {moving.after}, and all of it is ready")


def source_of(application: Object) -> Object:
    """Its only source; empty where it has none."""
    found: Object = (application.get("spec") or {}).get("source") or {}
    return found


def _failed(application: Object, revision: str) -> str:
    """Why Argo CD gave this revision up: it does not try a failed one again by itself; "" where it did not."""
    operation = (application.get("status") or {}).get("operationState") or {}
    if operation.get("phase") not in ENDED_BADLY:
        return ""
    tried = (operation.get("syncResult") or {}).get("revision") or (
        (operation.get("operation") or {}).get("sync") or {}
    ).get("revision")
    asked = source_of(application).get("targetRevision")
    ours = _same(tried, revision) and _same(asked, revision)
    return f"its sync {operation['phase']}: {operation.get('message', '')}" if ours else ""


def _same(has: Any, wanted: str) -> bool:
    """Whether Argo CD names that version: some releases of it leave a leading v out."""
    return str(has or "").removeprefix("v") == wanted.removeprefix("v")


def _late(chart: Chart, application: Object, version: str) -> str:
    """Why not all of it runs this version; "" where it does."""
    if rollout.ending(application):
        return f"{chart} is being deleted"
    revision, status = chart.revision(version), application.get("status") or {}
    asked = source_of(application).get("targetRevision") or "nothing"
    if asked != revision:
        return f"{chart} asks for {asked}, not {revision}"
    errors = [c for c in status.get("conditions") or () if str(c.get("type", "")).endswith("Error")]
    if errors:
        return f"{chart}: {errors[0]['type']}: {errors[0].get('message', '')}"
    if (status.get("operationState") or {}).get("phase") == "Running":
        return f"{chart} is being synced"
    sync = status.get("sync") or {}
    if sync.get("status") != "Synced" or not _same(sync.get("revision"), revision):
        return f"{chart} is {sync.get('status') or 'not compared'} at {sync.get('revision') or 'no revision'}"
    return "; ".join(_not_there(chart, Owned.of(application), version))


def _not_there(chart: Chart, owned: Owned, version: str) -> Iterator[str]:
    """What of an Application that is synced is not new, ready and answering."""
    if not owned.workloads:
        yield f"{chart} owns no workload, so nothing shows what runs"
        return
    found = []
    idle = True
    for one in owned.workloads:
        live = rollout.find(chart.kube, one.kind, one.namespace, one.name)
        if live is None:
            yield f"{one} is not there"
            continue
        found.append(live)
        idle = idle and rollout.idle(one.kind, live)
        if why := rollout.late(chart.kube, one.kind, live):
            yield why
    if found and idle:
        yield f"no workload of {chart} wants a pod, so nothing shows what runs"
    if len(found) == len(owned.workloads) and (why := image_of_version(found, version)):
        yield f"{chart}: {why}"
    yield from without_backend(chart.kube, owned)
