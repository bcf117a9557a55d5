"""The cluster-version operator: takes a release image or refuses it, and follows its operators to it."""

from __future__ import annotations

from knowngood.twin import release_objects
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.cvo_payloads import (
    CLUSTER_OPERATOR,
    CLUSTER_VERSION,
    Said,
    accepted,
    minor,
    upgradeable,
)
from knowngood.twin.behaviours.cvo_status import status_of
from knowngood.twin.behaviours.kube import CONFIG_MAP, condition, merge_conditions, name_of
from knowngood.twin.seed import PayloadSeed
from knowngood.twin.values import Object

NAME = "version"
DELAY_S = 5.0
LOOK, SYNC = "look", "sync"


class ClusterVersionOperator(Controller):
    """Looks at once at what is asked for; follows what it took some seconds later."""

    name = "cluster-version-operator"
    watches = (CLUSTER_VERSION, CLUSTER_OPERATOR, CONFIG_MAP)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._plan = twin.seed.cluster_version
        self._waits = False
        self._target: PayloadSeed | None = None
        self.own = ""
        """The image of the operator's own Deployment: what it applies while nobody asks for an update."""

    def listen(self) -> None:
        """Anything that it goes by has changed."""
        version = self.cache.get(CLUSTER_VERSION, NAME)
        if version is not None:
            self.own = version["status"]["desired"]["image"]
            self._target = self._payload(self.own)
        self.cache.listen(CLUSTER_VERSION, lambda _event, _obj: self._changed())
        self.cache.listen(CLUSTER_OPERATOR, lambda _event, _obj: self._in_a_moment())
        self.cache.listen(CONFIG_MAP, self._config)
        self._changed()

    def _config(self, _event: str, obj: Object) -> None:
        if name_of(obj) in (release_objects.GATES, release_objects.ACKS):
            self._in_a_moment()

    def _changed(self) -> None:
        self.enqueue(LOOK)
        self._in_a_moment()

    def _in_a_moment(self) -> None:
        if not self._waits:
            self._waits = True
            self.twin.spawn(self._wait(), self.name)

    async def _wait(self) -> None:
        await self.twin.clock.pause(DELAY_S)
        self._waits = False
        self.enqueue(LOOK)
        self.enqueue(SYNC)

    async def reconcile(self, key: str) -> None:
        """Look at what is asked for, or write where the update stands."""
        version = self.cache.get(CLUSTER_VERSION, NAME)
        if version is None or self._plan is None:
            return
        await (self._look(version) if key == LOOK else self._sync(version))

    async def _look(self, version: Object) -> None:
        asked = version["spec"].get("desiredUpdate")
        wanted = asked or {"image": self.own}
        payload = self._wanted(wanted)
        # What runs already, or is the operator's own, is not asked for again.
        known = not asked or (payload is not None and payload == self._target)
        taken, said = accepted(wanted, payload, version, self._upgradeable(version), known=known)
        if taken:
            self._target = payload
        old = version["status"].get("conditions") or ()
        new = merge_conditions(old, [condition("ReleaseAccepted", said.status, said.reason, said.message)])
        if _said(old) != _said(new):
            await self.api.status(version, {"conditions": new})

    async def _sync(self, version: Object) -> None:
        target = self._target
        if target is None or self._plan is None:
            return
        self._deployed(target)
        operators = [o for name in self._plan.operators if (o := self.cache.get(CLUSTER_OPERATOR, name))]
        standing = self._upgradeable(version)
        status = status_of(version, target, operators, self._plan.otherManifests, standing)
        if any(version["status"].get(key) != value for key, value in status.items()):
            await self.api.status(version, status)
            self._tell(version["status"]["history"][0], status["history"][0])

    def _tell(self, before: Object, now: Object) -> None:
        """Note that an update has begun, or ended."""
        release = str(now["version"])
        if before["version"] != release:
            self.twin.releases.add(release)
            self.twin.events.write("release-begun", "", version=release, before=before["version"])
        if now["state"] == "Completed" and (before["state"], before["version"]) != ("Completed", release):
            self.twin.openshift = release
            self.twin.events.write("release-completed", "", version=release)

    def _deployed(self, target: PayloadSeed) -> None:
        """Its own Deployment is the first of a payload's manifests."""
        self.own = target.image

    def _upgradeable(self, version: Object) -> Said | None:
        return upgradeable(version, list(self.cache.all(CLUSTER_OPERATOR)), self._unacknowledged(version))

    def _unacknowledged(self, version: Object) -> dict[str, str]:
        """The gates of this minor that nobody has acknowledged: ack-4.18-<what>."""
        gates = self.cache.get(CONFIG_MAP, release_objects.GATES, release_objects.MANAGED) or {}
        acks = self.cache.get(CONFIG_MAP, release_objects.ACKS, release_objects.CONFIG) or {}
        mine = ".".join(map(str, minor(version["status"]["desired"]["version"])))
        return {
            ack: why
            for ack, why in (gates.get("data") or {}).items()
            if ack.startswith(f"ack-{mine}-") and (acks.get("data") or {}).get(ack) != "true"
        }

    def _payload(self, image: str) -> PayloadSeed | None:
        payloads = self._plan.payloads if self._plan else ()
        return next((p for p in payloads if p.image == image), None)

    def _wanted(self, wanted: Object) -> PayloadSeed | None:
        """By its image; a version alone is looked up in the available updates, of which there are none here."""
        found = self._payload(str(wanted.get("image") or ""))
        return found if found and wanted.get("version") in (None, "", found.version) else None


def _said(conditions: object) -> list[tuple[str, str, str, str]]:
    return [
        (c["type"], c["status"], c.get("reason", ""), c.get("message", ""))
        for c in conditions  # type: ignore[attr-defined]
    ]
