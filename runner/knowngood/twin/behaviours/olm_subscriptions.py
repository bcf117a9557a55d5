"""OLM's catalog operator: Subscriptions, namespace by namespace, and the one InstallPlan that serves them all.

Each pass writes what it finds first and ends: the write brings the next pass. A Subscription that waits for its
plan asks for nothing, so a catalog that moves makes no new plan while one is pending.
"""

from __future__ import annotations

import time

from knowngood.twin.behaviours import olm_objects as objects
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import Key, deleting, key_of, name_of, namespace_of, stamp
from knowngood.twin.behaviours.olm_catalog import Catalog
from knowngood.twin.behaviours.olm_catalogs import Offered, place_of
from knowngood.twin.behaviours.olm_objects import CATALOG, PENDING, PLAN, SERVICE_VERSION, SUBSCRIPTION
from knowngood.twin.behaviours.olm_resolver import Choice, Unsatisfiable, resolve, source_of
from knowngood.twin.behaviours.olm_steps import steps_of
from knowngood.twin.values import Object

STALE_S = 30.0
UNPACK_AGAIN_S = 300.0
UNPACK_FAILED = (
    "bundle unpacking failed. Reason: DeadlineExceeded, "
    "Message: Job was active longer than specified deadline"
)


class Subscriptions(Controller):
    """One namespace after the other."""

    name = "olm-subscriptions"
    watches = (CATALOG, SUBSCRIPTION, PLAN, SERVICE_VERSION)

    def __init__(self, twin: Twin, offered: Offered) -> None:
        super().__init__(twin)
        self._offered = offered
        self._left: dict[
            Key, tuple[float, Object]
        ] = {}  # status of deleted Subscriptions, and when they went

    def listen(self) -> None:
        """Anything in a namespace that has Subscriptions; a catalog serves several of them."""
        for kind in (SUBSCRIPTION, PLAN, SERVICE_VERSION):
            self.every(kind, namespace_of)
        self.cache.listen(SUBSCRIPTION, self._remember)
        self.cache.listen(CATALOG, lambda _event, source: self.catalog_moved(key_of(source)))

    def catalog_moved(self, source: Key | None = None) -> None:
        """Look again at every namespace that a catalog (any, where none is said) serves."""
        for sub in self.cache.all(SUBSCRIPTION):
            if source in {None, source_of(sub)}:
                self.enqueue(namespace_of(sub))

    def _remember(self, event: str, sub: Object) -> None:
        if event == "DELETED" and sub.get("status"):
            self._left[key_of(sub)] = (time.monotonic(), sub["status"])

    async def reconcile(self, key: str) -> None:
        """Status first; then, if any Subscription could use it, a resolution."""
        subs = [sub for sub in self.cache.all(SUBSCRIPTION, key) if not deleting(sub)]
        if await self._conditions(subs) or await self._states(subs) or all(map(_waits, subs)):
            return
        plans = self.cache.all(PLAN, key)
        if any((plan.get("status") or {}).get("phase") == objects.INSTALLING for plan in plans):
            return
        try:
            choices = resolve(subs, self.cache.all(SERVICE_VERSION, key), self._catalogs())
        except Unsatisfiable as error:
            failed = objects.condition("ResolutionFailed", "True", error.reason, str(error))
            await self._tell(subs, {"ResolutionFailed": failed})
            return
        if any(choice.new for choice in choices) and not await self._unpack_fails(subs, choices):
            await self._plan(key, subs, choices)
        else:
            await self._tell(subs, {"ResolutionFailed": None})

    def _catalogs(self) -> dict[Key, Catalog | str]:
        return {
            key_of(source): self._offered.of(source) or place_of(source) for source in self.cache.all(CATALOG)
        }

    async def _conditions(self, subs: list[Object]) -> bool:
        """Health of the catalogs and what became of the plan; whether anything was written."""
        written = False
        for sub in subs:
            status = sub.get("status") or {}
            if not status and await self._inherit(sub):
                return True
            source = self.cache.get(CATALOG, source_of(sub)[1], source_of(sub)[0])
            new = {"CatalogSourcesUnhealthy": _health(sub, source), **self._plan_conditions(sub)}
            conditions = objects.with_conditions(status.get("conditions") or (), new)
            if conditions != (status.get("conditions") or []):
                health = [_catalog_health(source)] if source and "catalogHealth" not in status else None
                await self._write(
                    sub, {"conditions": conditions, **({"catalogHealth": health} if health else {})}
                )
                written = True
        return written

    def _plan_conditions(self, sub: Object) -> dict[str, Object | None]:
        reference = (sub.get("status") or {}).get("installPlanRef")
        none = dict.fromkeys(("InstallPlanMissing", "InstallPlanPending", "InstallPlanFailed"))
        if not reference:
            return {**none}
        plan = self.cache.get(PLAN, reference["name"], reference["namespace"])
        if plan is None:
            reason = "ReferencedInstallPlanNotFound"
            return {**none, "InstallPlanMissing": objects.condition("InstallPlanMissing", "True", reason)}
        status = plan.get("status") or {}
        match status.get("phase"):
            case (objects.WAITS | objects.INSTALLING) as phase:
                pending = objects.condition("InstallPlanPending", "True", phase)
                return {**none, "InstallPlanPending": pending}
            case objects.FAILED:
                failed = objects.condition(
                    "InstallPlanFailed", "True", "InstallComponentFailed", status.get("message", "")
                )
                return {**none, "InstallPlanFailed": failed}
        return {**none}

    async def _states(self, subs: list[Object]) -> bool:
        """Whether the ClusterServiceVersion of each is there: said before it has succeeded, or even begun."""
        written = False
        for sub in subs:
            status = sub.get("status") or {}
            current = status.get("currentCSV")
            if not current:
                continue
            there = self.cache.get(SERVICE_VERSION, current, namespace_of(sub)) is not None
            state = objects.LATEST if there else PENDING
            if status.get("state") != state:
                await self._write(sub, {"state": state, **({"installedCSV": current} if there else {})})
                written = True
        return written

    async def _inherit(self, sub: Object) -> bool:
        """Fault: a Subscription made anew at once carries the status of the one before, and waits for ever."""
        fault = self.twin.faults.active("olm-stale-subscription")
        when, status = self._left.get(key_of(sub), (0.0, {}))
        if not fault or fault.param("package") not in {"", sub["spec"]["name"]}:
            return False
        if not status or time.monotonic() - when > self.twin.clock.real(STALE_S):
            return False
        self.twin.faults.hit(fault, subscription=name_of(sub))
        await self._write(sub, status)
        return True

    async def _unpack_fails(self, subs: list[Object], choices: list[Choice]) -> bool:
        """Fault: the bundle's image is not in the mirror; there is no plan until a later try succeeds."""
        fault = self.twin.faults.active("bundle-unpack-fails")
        package = fault.param("package") if fault else ""
        if not fault or not any(choice.new and package in {"", choice.bundle.package} for choice in choices):
            await self._tell(subs, {"BundleUnpackFailed": None})
            return False
        self.twin.faults.hit(fault, package=package)
        failed = objects.condition("BundleUnpackFailed", "True", "BundleUnpackFailed", UNPACK_FAILED)
        await self._tell(subs, {"BundleUnpackFailed": failed})
        self.enqueue_later(namespace_of(subs[0]), max(self.twin.clock.real(UNPACK_AGAIN_S), 0.05))
        return True

    async def _plan(self, space: str, subs: list[Object], choices: list[Choice]) -> None:
        """One plan for all that is wanted; only who learns of something new is pointed at it."""
        known = [plan["spec"].get("generation", 0) for plan in self.cache.all(PLAN, space)]
        known += [(sub.get("status") or {}).get("installPlanGeneration", 0) for sub in subs]
        manual = any(sub["spec"].get("installPlanApproval") == "Manual" for sub in subs)
        names = [choice.bundle.name for choice in choices]
        plan = await self.api.create(
            objects.install_plan(space, max(known, default=0) + 1, names, subs, approved=not manual)
        )
        status = {
            "phase": objects.WAITS if manual else objects.INSTALLING,
            "catalogSources": sorted({choice.source[1] for choice in choices}),
            "plan": [entry for choice in choices for entry in steps_of(choice, space)],
        }
        plan = await self.api.status(plan, status) or plan
        self.twin.events.write("install-plan", plan=name_of(plan), namespace=space, versions=names)
        for choice in choices:
            if choice.new:
                found = {**objects.refers_to(plan), "currentCSV": choice.bundle.name, "state": PENDING}
                await self._write(choice.subscription, found)

    async def _tell(self, subs: list[Object], new: dict[str, Object | None]) -> None:
        for sub in subs:
            latest = self.cache.get(SUBSCRIPTION, name_of(sub), namespace_of(sub)) or sub
            old = (latest.get("status") or {}).get("conditions") or []
            conditions = objects.with_conditions(old, new)
            if conditions != old:
                await self._write(latest, {"conditions": conditions})

    async def _write(self, sub: Object, status: Object) -> None:
        await self.api.status(sub, {**status, "lastUpdated": stamp()})


def _waits(sub: Object) -> bool:
    """Whether its plan was made already: such a Subscription asks for no resolution."""
    status = sub.get("status") or {}
    return bool(status.get("installPlanRef")) and status.get("state") == PENDING


def _health(sub: Object, source: Object | None) -> Object:
    kind = "CatalogSourcesUnhealthy"
    if source is None:
        space, name = source_of(sub)
        why = f"targeted catalogsource {space}/{name} missing"
        return objects.condition(kind, "True", "UnhealthyCatalogSourceFound", why)
    if "catalogHealth" not in (sub.get("status") or {}):
        return objects.condition(
            kind, "False", "CatalogSourcesAdded", "all available catalogsources are healthy"
        )
    return objects.condition(
        kind, "False", "AllCatalogSourcesHealthy", "all available catalogsources are healthy"
    )


def _catalog_health(source: Object) -> Object:
    reference = {
        "apiVersion": source["apiVersion"],
        "kind": source["kind"],
        "name": name_of(source),
        "namespace": namespace_of(source),
        "uid": source["metadata"]["uid"],
        "resourceVersion": source["metadata"]["resourceVersion"],
    }
    return {"catalogSourceRef": reference, "healthy": True, "lastUpdated": stamp()}
