"""Argo CD with charts: an Application whose source is a chart is synced at the version that it asks for.

As upstream: a version that failed is not tried again by itself; `Synced` is said once the objects are applied, whatever
becomes of their pods. Which versions there are nobody checks: every one is.
"""

from __future__ import annotations

from knowngood.twin.behaviours import argo_manifest, chart_objects
from knowngood.twin.behaviours.chart_objects import NEW_VERSION, OLD_VERSION, SLICE, is_chart, place_of
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    APPLICATION,
    DEPLOYMENT,
    Key,
    deleting,
    key_of,
    kind_of,
    labels_of,
    name_of,
    namespace_of,
    stamp,
)
from knowngood.twin.behaviours.programs import Program, PullError, Ready
from knowngood.twin.client import ClientError
from knowngood.twin.faults import Fault
from knowngood.twin.values import Object

SYNC_S = 10.0
STORED, NO_BACKEND, NO_IMAGE, STUCK = (
    "stored-version-refuses",
    "webhook-has-no-backend",
    "chart-image-is-missing",
    "application-stuck",
)
HOOK = "waiting for completion of hook batch/Job/crd-upgrader"
LOOK_S = 5.0


class ChartApplications(Controller):
    """Works on one such Application at a time."""

    name = "argocd-charts"
    watches = (APPLICATION, DEPLOYMENT, SLICE)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._told: set[tuple[str, str]] = set()  # fault and revision that were an event already

    def listen(self) -> None:
        """An Application, or the workload behind its webhook."""
        self.every(APPLICATION, lambda app: key_of(app) if is_chart(app) else None)
        self.cache.listen(DEPLOYMENT, self._workload)

    def _workload(self, _event: str, obj: Object) -> None:
        for app in self.cache.all(APPLICATION) if chart_objects.LABEL in labels_of(obj) else ():
            if is_chart(app) and place_of(app) == namespace_of(obj):
                self.enqueue(key_of(app))

    async def reconcile(self, key: Key) -> None:
        """Sync where another version is asked for; keep the webhook's endpoints."""
        app = self.cache.get(APPLICATION, key[1], key[0])
        if app is None or deleting(app) or not is_chart(app):
            return
        revision, status = str(app["spec"]["source"]["targetRevision"]), app.get("status") or {}
        operation = status.get("operationState") or {}
        tried = (operation.get("syncResult") or {}).get("revision")
        if tried != revision or operation.get("phase") == "Running":
            await self._sync(app, revision)
        await self._endpoints(app, revision)

    async def _sync(self, app: Object, revision: str) -> None:
        begun = stamp()
        operation: Object = {
            "operation": {"initiatedBy": {"automated": True}, "sync": {"revision": revision}},
            "startedAt": begun,
        }
        if fault := self.twin.faults.active(STUCK, "", revision.removeprefix("v")):
            self._hit(fault, revision)
            stuck = {**operation, "phase": "Running", "message": HOOK}
            await self._write(app, [], revision, "OutOfSync", stuck)
            self.enqueue_later(key_of(app), max(self.twin.clock.real(LOOK_S), 0.02))
            return
        await self.twin.clock.sleep(SYNC_S)
        objects = chart_objects.objects(app, revision, self._versions(revision))
        await self.api.ensure({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place_of(app)}})
        problem = await self._apply(objects)
        operation |= {
            "phase": "Failed" if problem else "Succeeded",
            "message": problem or "successfully synced (all tasks run)",
            "finishedAt": stamp(),
            "syncResult": {"revision": revision, "source": app["spec"]["source"]},
        }
        await self._write(app, objects, revision, "OutOfSync" if problem else "Synced", operation)

    def _versions(self, revision: str) -> tuple[str, ...]:
        """The versions of the chart's definition: it has one under the fault only, and a new one in that revision."""
        fault = self.twin.faults.active(STORED)
        if fault is None:
            return ()
        if fault.param("version") != revision.removeprefix("v"):
            return (OLD_VERSION,)
        self._hit(fault, revision)
        return (OLD_VERSION, NEW_VERSION)

    async def _apply(self, objects: list[Object]) -> str:
        """As Argo CD: what was applied before the object that is refused stays applied."""
        for obj in objects:
            live = await self.api.get(kind_of(obj), name_of(obj), namespace_of(obj))
            try:
                if live is None:
                    await self.api.create(obj)
                elif patch := argo_manifest.three_way("", obj, live):
                    await self.api.patch(live, patch)
            except ClientError as error:
                words = error.body.get("message", error)
                return f"one or more objects failed to apply, reason: {words}"
        return ""

    async def _endpoints(self, app: Object, revision: str) -> None:
        """What the controller manager does for the webhook's Service."""
        name, space = name_of(app), place_of(app)
        deployment = self.cache.get(DEPLOYMENT, f"{name}-controller", space)
        if deployment is None:
            return
        ready = bool((deployment.get("status") or {}).get("readyReplicas"))
        if fault := self.twin.faults.active(NO_BACKEND, "", revision.removeprefix("v")):
            self._hit(fault, revision)
            ready = False
            self.enqueue_later(key_of(app), max(self.twin.clock.real(LOOK_S), 0.02))
        wanted = chart_objects.endpoints(name, space, ready=ready)
        live = self.cache.get(SLICE, name, space)
        if live is None:
            await self.api.ensure(wanted)
        elif live["endpoints"] != wanted["endpoints"]:
            await self.api.patch(live, {"endpoints": wanted["endpoints"]})

    async def _write(
        self, app: Object, objects: list[Object], revision: str, verdict: str, operation: Object
    ) -> None:
        source, destination = app["spec"]["source"], app["spec"]["destination"]
        old = app.get("status") or {}
        synced = verdict == "Synced"
        compared = {"source": source, "destination": destination}
        status = {
            "sync": {"status": verdict, "revision": revision, "comparedTo": compared},
            "health": {"status": "Healthy"},
            "sourceType": "Helm",
            "resources": [_listed(obj) for obj in objects] if synced else old.get("resources"),
            "operationState": operation,
            "reconciledAt": stamp(),
        }
        await self.api.status(app, status)

    def _hit(self, fault: Fault, revision: str) -> None:
        """Once a revision: it is looked at again and again."""
        if (fault.uid, revision) not in self._told:
            self._told.add((fault.uid, revision))
            self.twin.faults.hit(fault, revision=revision)


def _listed(obj: Object) -> Object:
    group, _, version = obj["apiVersion"].rpartition("/")
    entry = {
        "group": group,
        "version": version,
        "kind": obj["kind"],
        "name": name_of(obj),
        "namespace": namespace_of(obj),
        "status": "Synced",
    }
    return {key: value for key, value in entry.items() if value}


class ChartPod(Program):
    """A pod of a chart: it runs, unless its image is missing."""

    async def run(self, ready: Ready) -> int:
        """Pull, start, run."""
        image = str(self.pod["spec"]["containers"][0]["image"])
        version = image.rpartition(":v")[2]
        if fault := self.twin.faults.active(NO_IMAGE, "", version):
            self.twin.faults.hit(fault, image=image)
            raise PullError(f"Failed to pull image {image}: manifest unknown")
        return await super().run(ready)


def chart_program(twin: Twin, pod: Object) -> Program | None:
    """The program of a chart's pod; None for all others."""
    return ChartPod(twin, pod) if chart_objects.LABEL in labels_of(pod) else None
