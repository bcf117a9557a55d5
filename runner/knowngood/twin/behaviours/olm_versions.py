"""OLM's operator: each ClusterServiceVersion through its phases, its Deployments, what replaces it, its end."""

from __future__ import annotations

from knowngood.twin.behaviours import olm_objects as objects
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    DEPLOYMENT,
    Key,
    annotations_of,
    deleting,
    is_true,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    stamp,
    uid_of,
)
from knowngood.twin.behaviours.olm_objects import (
    DEFINITION,
    OPERATOR_GROUP,
    OWNER_LABEL,
    SERVICE_ACCOUNT,
    SERVICE_VERSION,
)
from knowngood.twin.behaviours.olm_relapse import NO_LONGER_MET, Phase, Relapses
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

STEP_S = 0.5
AGAIN_S = 1.0
UNKNOWN: Phase = ("Pending", "RequirementsUnknown", "requirements not yet checked")
NOT_MET: Phase = ("Pending", "RequirementsNotMet", "one or more requirements couldn't be found")
MET: Phase = ("InstallReady", "AllRequirementsMet", "all requirements found, attempting install")
STARTED: Phase = ("Installing", "InstallSucceeded", "waiting for install components to report healthy")
SUCCEEDED: Phase = ("Succeeded", "InstallSucceeded", "install strategy completed with no errors")
UNHEALTHY: Phase = ("Failed", "ComponentUnhealthy", "installing: deployment changed old hash")
REINSTALL: Phase = ("Pending", "NeedsReinstall", "installing: deployment changed old hash")
AGAIN: Phase = ("Pending", "RequirementsNotMet", "requirements not met")
REPLACED: Phase = (
    "Deleting",
    "Replaced",
    "has been replaced by a newer ClusterServiceVersion that has successfully installed.",
)


class ServiceVersions(Controller):
    """One step of one ClusterServiceVersion a pass; the write brings the next."""

    name = "olm-service-versions"
    watches = (SERVICE_VERSION, OPERATOR_GROUP, DEPLOYMENT, DEFINITION, SERVICE_ACCOUNT)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._relapses = Relapses(twin)

    def listen(self) -> None:
        """A ClusterServiceVersion, what it owns, or what it waits for."""
        self.every(SERVICE_VERSION, key_of)
        self.cache.listen(SERVICE_VERSION, self._neighbours)
        self.cache.listen(SERVICE_ACCOUNT, self._neighbours)
        self.cache.listen(DEPLOYMENT, self._owner)

    def _neighbours(self, _event: str, obj: Object) -> None:
        for csv in self.cache.all(SERVICE_VERSION, namespace_of(obj)):
            self.enqueue(key_of(csv))

    def _owner(self, _event: str, deployment: Object) -> None:
        if owner := labels_of(deployment).get(OWNER_LABEL):
            self.enqueue((namespace_of(deployment), owner))

    async def reconcile(self, key: Key) -> None:
        """Go one phase further, or back."""
        csv = self.cache.get(SERVICE_VERSION, key[1], key[0])
        if csv is None:
            return
        if deleting(csv):
            await self._clean_up(csv)
            return
        if not annotations_of(csv).get("olm.operatorGroup"):
            await self._join_group(csv)
            return
        phase = (csv.get("status") or {}).get("phase")
        wanted = self._successor_says(csv) or await self._next(csv)
        if wanted and wanted != _phase(csv):
            await self._enter(csv, wanted)
        elif phase == "Deleting":
            await self.api.delete(csv)
        elif phase in {"Pending", "Installing"}:
            self.enqueue_later(key, max(self.twin.clock.real(AGAIN_S), 0.02))

    async def _next(self, csv: Object) -> Phase | None:
        phase = (csv.get("status") or {}).get("phase")
        if not phase:
            return UNKNOWN
        if phase == "Pending":
            return MET if self._requirements(csv) else NOT_MET
        if phase == "InstallReady":
            await self._install(csv)
            await self.twin.clock.pause(STEP_S)
            return STARTED
        if phase == "Installing":
            return self._relapses.while_installing(csv) or self._health(csv, phase)
        if phase == "Succeeded":
            return self._relapses.after_success(csv) or self._health(csv, phase)
        if phase == "Failed":
            return AGAIN if _phase(csv) == NO_LONGER_MET else REINSTALL
        return None

    def _successor_says(self, csv: Object) -> Phase | None:
        """Whether a newer one is there that replaces this one, and how far that is."""
        if (csv.get("status") or {}).get("phase") not in {"Succeeded", "Replacing"}:
            return None
        for other in self.cache.all(SERVICE_VERSION, namespace_of(csv)):
            if other["spec"].get("replaces") == name_of(csv) and not deleting(other):
                if _phase(csv)[0] == "Replacing" and _phase(other)[0] == "Succeeded":
                    return REPLACED
                return "Replacing", "BeingReplaced", f"being replaced by csv: {name_of(other)}"
        return None

    def _requirements(self, csv: Object) -> bool:
        """Its definitions and ServiceAccounts are there, and what it replaces lets it."""
        space = namespace_of(csv)
        owned = (csv["spec"].get("customresourcedefinitions") or {}).get("owned") or ()
        before = self.cache.get(SERVICE_VERSION, str(csv["spec"].get("replaces", "")), space)
        return (
            all(self.cache.get(DEFINITION, entry["name"]) for entry in owned)
            and all(self._owns_account(csv, one) for one in objects.service_accounts_of(csv))
            and (before is None or deleting(before) or _phase(before)[0] in {"Replacing", "Deleting"})
        )

    def _owns_account(self, csv: Object, name: str) -> bool:
        account = self.cache.get(SERVICE_ACCOUNT, name, namespace_of(csv))
        owners = account["metadata"].get("ownerReferences") or () if account else ()
        return any(one["uid"] == uid_of(csv) for one in owners)

    async def _install(self, csv: Object) -> None:
        for wanted in objects.deployments_of(csv):
            live = self.cache.get(DEPLOYMENT, name_of(wanted), namespace_of(wanted))
            if live is None:
                await self.api.create(wanted)
            else:
                metadata = {name: wanted["metadata"][name] for name in ("labels", "ownerReferences")}
                await self.api.patch(live, {"metadata": metadata, "spec": wanted["spec"]})

    def _health(self, csv: Object, phase: str) -> Phase:
        for wanted in objects.deployments_of(csv):
            name = name_of(wanted)
            live = self.cache.get(DEPLOYMENT, name, namespace_of(csv))
            if live is None or deleting(live) or not _same(live, wanted):
                return UNHEALTHY
            if phase == "Installing" and (why := _not_ready(live)):
                waits = f"installing: waiting for deployment {name} to become ready: {why}"
                return "Installing", "InstallWaiting", waits
        return SUCCEEDED

    async def _join_group(self, csv: Object) -> None:
        groups = self.cache.all(OPERATOR_GROUP, namespace_of(csv))
        if len(groups) == 1:
            targets = groups[0]["spec"].get("targetNamespaces") or [""]
            marks = {
                "olm.operatorGroup": name_of(groups[0]),
                "olm.operatorNamespace": namespace_of(csv),
                "olm.targetNamespaces": ",".join(targets),
            }
            await self.api.patch(csv, {"metadata": {"annotations": marks}})
            return
        reason = "TooManyOperatorGroups" if groups else "NoOperatorGroup"
        word = "multiple" if groups else "no"
        wanted = "Failed", reason, f"csv in namespace with {word} operatorgroups"
        if _phase(csv) != wanted:
            await self._enter(csv, wanted)

    async def _enter(self, csv: Object, phase: Phase) -> None:
        """Write the phase and tell of it; the transition is kept in the list of conditions."""
        now = stamp()
        status = dict(zip(("phase", "reason", "message"), phase, strict=True))
        times = {"lastUpdateTime": now, "lastTransitionTime": now}
        old = (csv.get("status") or {}).get("conditions") or []
        written = await self.api.status(
            csv, {**status, **times, "conditions": [*old, {**status, **times}][-20:]}
        )
        if written is None:
            return
        await self.api.create(objects.event(csv, phase[1], phase[2]))
        if phase == SUCCEEDED:
            self.twin.operators[objects.package_of(csv)] = csv["spec"].get("version", "")
            values = {"namespace": namespace_of(csv), "version": csv["spec"].get("version", "")}
            self.twin.events.write("operator-installed", operator=name_of(csv), **values)

    async def _clean_up(self, csv: Object) -> None:
        """What its finalizer is for: webhooks go, and where it says so, the objects of its kinds."""
        finalizers = csv["metadata"].get("finalizers") or []
        if objects.CLEANUP not in finalizers:
            return
        if (csv["spec"].get("cleanup") or {}).get("enabled"):
            await self._delete_objects(csv)
        left = [one for one in finalizers if one != objects.CLEANUP]
        try:
            await self.api.patch(csv, {"metadata": {"finalizers": left or None}})
        except ClientError as error:
            if error.code != 404:
                raise
        if self.twin.operators.get(objects.package_of(csv)) == csv["spec"].get("version"):
            self.twin.operators[objects.package_of(csv)] = ""
        self.twin.events.write("operator-removed", operator=name_of(csv), namespace=namespace_of(csv))

    async def _delete_objects(self, csv: Object) -> None:
        for entry in (csv["spec"].get("customresourcedefinitions") or {}).get("owned") or ():
            group = entry["name"].partition(".")[2]
            listing = await self.twin.client.list((f"{group}/{entry['version']}", entry["kind"]))
            for obj in listing.items:
                await self.api.delete(obj)


def _phase(csv: Object) -> Phase:
    status = csv.get("status") or {}
    return status.get("phase", ""), status.get("reason", ""), status.get("message", "")


def _same(live: Object, wanted: Object) -> bool:
    """Whether nobody changed what a ClusterServiceVersion asked for."""
    hashes = {labels_of(one).get("olm.deployment-spec-hash") for one in (live, wanted)}
    images = [[c["image"] for c in one["spec"]["template"]["spec"]["containers"]] for one in (live, wanted)]
    return len(hashes) == 1 and images[0] == images[1]


def _not_ready(deployment: Object) -> str:
    """Why a Deployment does not count as ready yet; "" when it does."""
    status, name = deployment.get("status") or {}, name_of(deployment)
    updated = status.get("updatedReplicas", 0)
    if status.get("observedGeneration") != deployment["metadata"].get("generation"):
        return f'waiting for spec update of deployment "{name}" to be observed...'
    if outdated := status.get("replicas", 0) - updated:
        return f'deployment "{name}" waiting for {outdated} outdated replica(s) to be terminated'
    if updated < deployment["spec"].get("replicas", 1) or not is_true(deployment, "Available"):
        return f'deployment "{name}" not available: Deployment does not have minimum availability.'
    return ""
