"""InstallPlans: an approval starts them, however old they are; what they carry is in their own steps."""

from __future__ import annotations

import time

from knowngood.twin.behaviours import olm_crds
from knowngood.twin.behaviours import olm_objects as objects
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import Key, Object, deleting, key_of, name_of, namespace_of, stamp
from knowngood.twin.behaviours.olm_objects import DEFINITION, OPERATOR_GROUP, PLAN, SERVICE_VERSION
from knowngood.twin.behaviours.olm_steps import in_order
from knowngood.twin.client import ClientError

PATIENCE_S = 60.0
AGAIN_S = 5.0
STEP_S = 0.5
NO_GROUP = "no operator group found that is managing this namespace"


class Plans(Controller):
    """One plan after the other."""

    name = "olm-install-plans"
    watches = (PLAN, OPERATOR_GROUP, SERVICE_VERSION)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._began: dict[str, float] = {}

    def listen(self) -> None:
        """A plan changed, or its namespace got an OperatorGroup."""
        self.every(PLAN, key_of)
        self.cache.listen(OPERATOR_GROUP, self._group)

    def _group(self, _event: str, group: Object) -> None:
        for plan in self.cache.all(PLAN, namespace_of(group)):
            self.enqueue(key_of(plan))

    async def reconcile(self, key: Key) -> None:
        """Approved: Installing. Installing: carry it out, again and again until it has failed for a minute."""
        plan = self.cache.get(PLAN, key[1], key[0])
        if plan is None or deleting(plan):
            return
        phase = (plan.get("status") or {}).get("phase")
        if phase == objects.WAITS and self._installed_before(plan):
            await self.api.patch(plan, {"spec": {"approved": True}})
        elif phase == objects.WAITS and plan["spec"].get("approved"):
            self.twin.events.write("plan-approved", plan=name_of(plan), namespace=key[0])
            await self.api.status(plan, {"phase": objects.INSTALLING, "startTime": stamp()})
        elif phase == objects.INSTALLING:
            await self._install(plan)

    def _installed_before(self, plan: Object) -> bool:
        """While the cluster settles, what the seed calls installed needs nobody's approval."""
        rows = self.twin.seed.olm.installed if self.twin.seed.olm else ()
        waits = self.twin.clock.hurry and not plan["spec"].get("approved")
        return waits and {*plan["spec"]["clusterServiceVersionNames"]} <= {row.csv for row in rows}

    async def _install(self, plan: Object) -> None:
        if not self.cache.all(OPERATOR_GROUP, namespace_of(plan)):
            await self._condition(plan, "False", "InstallCheckFailed", NO_GROUP)
            return
        try:
            steps = [await self._carry_out(entry) for entry in in_order(plan["status"].get("plan") or [])]
        except (olm_crds.Refused, ClientError) as error:
            await self._refused(plan, str(error))
            return
        done = {
            "type": "Installed",
            "status": "True",
            "lastTransitionTime": stamp(),
            "lastUpdateTime": stamp(),
        }
        await self.api.status(plan, {"phase": objects.COMPLETE, "plan": steps, "conditions": [done]})
        self._began.pop(plan["metadata"]["uid"], None)

    async def _carry_out(self, entry: Object) -> Object:
        """Make what the step says. What is there already stays, but for definitions: they are replaced."""
        manifest = objects.manifest_of(entry)
        if manifest["kind"] == DEFINITION[1]:
            made = await olm_crds.put(self.twin, manifest, entry["resolving"].split(".")[0])
            return {**entry, "status": made}
        if manifest["kind"] != SERVICE_VERSION[1]:
            await self.twin.clock.sleep(STEP_S)
        try:
            await self.api.create(manifest)
        except ClientError as error:
            if error.code != 409:
                raise
            return {**entry, "status": "Present"}
        return {**entry, "status": "Created"}

    async def _refused(self, plan: Object, why: str) -> None:
        began = self._began.setdefault(plan["metadata"]["uid"], time.monotonic())
        if time.monotonic() - began < self.twin.clock.real(PATIENCE_S):
            await self._condition(plan, "False", "InstallComponentFailed", why)
            self.enqueue_later(key_of(plan), max(self.twin.clock.real(AGAIN_S), 0.02))
            return
        failed = {"phase": objects.FAILED, "message": why}
        await self._condition(plan, "False", "InstallComponentFailed", why, **failed)
        self._began.pop(plan["metadata"]["uid"], None)

    async def _condition(self, plan: Object, status: str, reason: str, message: str, **more: str) -> None:
        old: Object = next(iter((plan.get("status") or {}).get("conditions") or ()), {})
        if more or (old.get("reason"), old.get("message")) != (reason, message):
            now = {"type": "Installed", "status": status, "reason": reason, "message": message}
            times = {"lastTransitionTime": stamp(), "lastUpdateTime": stamp()}
            await self.api.status(plan, {"conditions": [{**now, **times}], **more})
