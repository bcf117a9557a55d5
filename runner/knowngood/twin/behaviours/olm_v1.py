"""OLM v1: a ClusterExtension is resolved, checked and applied as soon as it changes; what is refused is tried again.

A version that is no successor of what is installed is refused, unless the extension certifies itself; a definition that
loses a field or a stored version is refused, unless that check is off; an object of somebody else is never taken over.
"""

from __future__ import annotations

from knowngood.twin.behaviours import olm_v1_objects as objects
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import DEPLOYMENT, Kind, deleting, labels_of, matches, name_of, uid_of
from knowngood.twin.behaviours.olm_catalog import Bundle, Catalog
from knowngood.twin.behaviours.olm_objects import DEFINITION
from knowngood.twin.behaviours.olm_v1_objects import CATALOG, EXTENSION
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

RETRY_S, APPLY_S = 10.0, 5.0
SUCCEEDED, RETRYING = "Succeeded", "Retrying"


class Refused(Exception):
    """It is not installed; the message is what OLM writes."""


class OlmV1(Controller):
    """One extension at a time."""

    name = "operator-controller"
    watches = (EXTENSION, CATALOG, DEPLOYMENT)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        rows = twin.seed.olm_v1.catalogs if twin.seed.olm_v1 else {}
        self._catalogs = {name: Catalog(documents) for name, documents in rows.items()}

    def listen(self) -> None:
        """An extension asks for something; what it waits for is tried again by itself."""
        self.every(EXTENSION, name_of)

    async def reconcile(self, key: str) -> None:
        """Bring one extension to its version, or say why not."""
        extension = self.cache.get(EXTENSION, key)
        if extension is None or deleting(extension):
            return
        has = ((extension.get("status") or {}).get("install") or {}).get("bundle")
        if has and self._is_done(extension, has):
            return
        try:
            bundle = self._resolve(extension, has)
            await self._apply(extension, bundle)
        except Refused as why:
            await self._say(extension, RETRYING, str(why), has)
            self.enqueue_later(key, max(self.twin.clock.real(RETRY_S), 0.05))
            return
        await self._say(extension, SUCCEEDED, "", {"name": bundle.name, "version": bundle.version})
        self.twin.events.write("extension-installed", extension=key, version=bundle.version)

    def _is_done(self, extension: Object, has: Object) -> bool:
        said = (extension.get("status") or {}).get("conditions") or ()
        seen = {c["observedGeneration"] for c in said} == {extension["metadata"]["generation"]}
        return seen and has["version"] == extension["spec"]["source"]["catalog"].get("version")

    def _resolve(self, extension: Object, has: Object | None) -> Bundle:
        """The bundle of the pinned version, if what is installed may go there."""
        wanted = extension["spec"]["source"]["catalog"]
        package, version = wanted["packageName"], wanted.get("version", "")
        lost = self.twin.faults.active("catalog-lost-it", version=version)
        catalogs = self._offering(wanted.get("selector") or {})
        offered = [
            (priority, bundle)
            for priority, catalog in catalogs
            for bundle in catalog.bundles.values()
            if bundle.package == package and bundle.version == version and not lost
            if objects.in_channels(catalog, bundle, wanted.get("channels") or ())
        ]
        if not offered:
            raise Refused(f'no bundles found for package "{package}" matching version "{version}"')
        highest = max(priority for priority, _ in offered)
        found, *others = [bundle for priority, bundle in offered if priority == highest]
        if others:
            raise Refused(
                f'found bundles for package "{package}" in multiple catalogs with the same priority'
            )
        free = has is None or wanted.get("upgradeConstraintPolicy") == "SelfCertified"
        if has and has["name"] != found.name and not free:
            edge = objects.follows([c for _, c in catalogs], package, has["name"], found)
            what = f'error upgrading from currently installed version "{has["version"]}"'
            if not edge:
                raise Refused(
                    f'{what}: no bundles found for package "{package}" matching version "{version}"'
                )
        return found

    def _offering(self, selector: Object) -> list[tuple[int, Catalog]]:
        """Each selected catalog with its priority. One that is not served stops all."""
        selected = [c for c in self.cache.all(CATALOG) if matches(selector, labels_of(c))]
        for one in selected:
            if not objects.serving(one):
                raise Refused(f'catalog "{name_of(one)}" is not being served')
        return [
            (int(c["spec"].get("priority") or 0), self._catalogs[name_of(c)])
            for c in selected
            if name_of(c) in self._catalogs
        ]

    async def _apply(self, extension: Object, bundle: Bundle) -> None:
        """Check all of it, then make all of it."""
        name, active = name_of(extension), self.twin.faults.active
        if fault := active("extension-not-adopted", version=bundle.version):
            self.twin.faults.hit(fault)
            raise Refused(f'Deployment "{bundle.package}" already exists and cannot be managed by {name}')
        made = [*objects.manifests(extension, bundle)]
        for obj in made:
            live = await self._live(obj)
            if live is not None and objects.owner(live) not in {"", name}:
                raise Refused(f'{obj["kind"]} "{name_of(obj)}" is already managed by {objects.owner(live)}')
            if live is not None and obj["kind"] == DEFINITION[1]:
                self._safe(extension, bundle, live, obj)
        await self.twin.clock.sleep(APPLY_S)
        for obj in made:
            await self._put(obj)
        if fault := active("extension-says-too-early", version=bundle.version):
            self.twin.faults.hit(fault)
            for one in (o for o in made if o["kind"] == DEPLOYMENT[1]):
                await self._starve(one)

    def _safe(self, extension: Object, bundle: Bundle, live: Object, wanted: Object) -> None:
        """What no setting passes, then what one does."""
        offered = {v["name"] for v in wanted["spec"]["versions"]}
        if lost := [v for v in (live.get("status") or {}).get("storedVersions") or () if v not in offered]:
            raise Refused(f"status.storedVersions[0]: Invalid value: {lost[0]!r}: missing from spec.versions")
        safety = ((extension["spec"].get("install") or {}).get("preflight") or {}).get(
            "crdUpgradeSafety"
        ) or {}
        fault = self.twin.faults.active("crd-safety-blocks", version=bundle.version)
        if safety.get("enforcement") == "None" and not fault:
            return
        why = objects.unsafe(live, wanted) or ("a field's type changed" if fault else "")
        if fault:
            self.twin.faults.hit(fault)
        if why:
            raise Refused(f'validating upgrade for CRD "{name_of(wanted)}" failed: {why}')

    async def _live(self, obj: Object) -> Object | None:
        kind: Kind = (obj["apiVersion"], obj["kind"])
        return await self.api.get(kind, name_of(obj), obj["metadata"].get("namespace", ""))

    async def _put(self, obj: Object) -> None:
        live = await self._live(obj)
        try:
            if live is None:
                await self.api.create(obj)
            elif live.get("spec") != obj.get("spec"):
                metadata = {**live["metadata"], "labels": obj["metadata"]["labels"]}
                await self.twin.client.replace({**live, "metadata": metadata, "spec": obj["spec"]})
        except ClientError as error:
            raise Refused(str(error)) from error

    async def _starve(self, deployment: Object) -> None:
        """Its new pods never come: they name an account that nobody made."""
        if live := await self._live(deployment):
            pod = {"spec": {"serviceAccountName": "nobody"}}
            await self.api.patch(live, {"spec": {"template": pod}})

    async def _say(self, extension: Object, reason: str, message: str, bundle: Object | None) -> None:
        status = objects.conditions(extension, reason, message, bundle)
        await self.api.status(
            {**extension, "metadata": {**extension["metadata"], "uid": uid_of(extension)}}, status
        )
