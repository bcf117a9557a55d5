"""InstallPlans: an approval starts them, however old they are; what they carry is in their own steps."""

from __future__ import annotations

import time
from collections.abc import Mapping

from knowngood.twin.behaviours import olm_crds
from knowngood.twin.behaviours import olm_objects as objects
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import Key, deleting, key_of, name_of, namespace_of, stamp
from knowngood.twin.behaviours.olm_objects import (
    DEFINITION,
    OPERATOR_GROUP,
    PLAN,
    SERVICE_ACCOUNT,
    SERVICE_VERSION,
)
from knowngood.twin.behaviours.olm_steps import in_order
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

PATIENCE_S = 60.0
AGAIN_S = 5.0
STEP_S = 0.5
LOOKS = 50
NO_GROUP = "no operator group found that is managing this namespace"


class Plans(Controller):
    """One plan after the other."""

    name = "olm-install-plans"
    watches = (PLAN, OPERATOR_GROUP, SERVICE_VERSION, SERVICE_ACCOUNT)

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
            await self._condition(plan, "InstallCheckFailed", NO_GROUP)
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
        if manifest["kind"] == SERVICE_ACCOUNT[1]:
            return {**entry, "status": await self._account(manifest, entry["resolving"])}
        return {**entry, "status": await self._create(manifest)}

    async def _create(self, manifest: Object) -> str:
        try:
            await self.api.create(manifest)
        except ClientError as error:
            if error.code != 409:
                raise
            return "Present"
        return "Created"

    async def _account(self, manifest: Object, version: str) -> str:
        """A ServiceAccount belongs to each version that uses it: so a version is always seen to miss it first."""
        space = namespace_of(manifest)
        for _ in range(LOOKS):
            owner = self.cache.get(SERVICE_VERSION, version, space)
            if owner is None or (owner.get("status") or {}).get("reason") not in {
                None,
                "RequirementsUnknown",
            }:
                break
            await self.twin.clock.pause(STEP_S)
        owners = [objects.owned_by_several(owner)] if owner else []
        live = self.cache.get(SERVICE_ACCOUNT, name_of(manifest), space)
        if live is None:
            metadata = {**manifest["metadata"], "ownerReferences": owners}
            return await self._create({**manifest, "metadata": metadata})
        known = [one for one in live["metadata"].get("ownerReferences") or () if one["name"] != version]
        await self.api.patch(live, {"metadata": {"ownerReferences": [*known, *owners]}})
        return "Present"

    async def _refused(self, plan: Object, why: str) -> None:
        began = self._began.setdefault(plan["metadata"]["uid"], time.monotonic())
        if time.monotonic() - began < self.twin.clock.real(PATIENCE_S):
            await self._condition(plan, "InstallComponentFailed", why)
            self.enqueue_later(key_of(plan), max(self.twin.clock.real(AGAIN_S), 0.02))
            return
        failed = {"phase": objects.FAILED, "message": why}
        await self._condition(plan, "InstallComponentFailed", why, failed)
        self._began.pop(plan["metadata"]["uid"], None)

    async def _condition(
        self, plan: Object, reason: str, message: str, more: Mapping[str, str] | None = None
    ) -> None:
        old: Object = next(iter((plan.get("status") or {}).get("conditions") or ()), {})
        if more or (old.get("reason"), old.get("message")) != (reason, message):
            now = {"type": "Installed", "status": "False", "reason": reason, "message": message}
            times = {"lastTransitionTime": stamp(), "lastUpdateTime": stamp()}
            await self.api.status(plan, {"conditions": [{**now, **times}], **(more or {})})
