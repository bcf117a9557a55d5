"""Argo CD: Applications from a real Git repository, with automated sync, prune and self-heal.

As upstream: polls every 180 s or at a refresh annotation; a commit is tried once; a failed one is not tried
again; healthy at birth for kinds without a health check; Nodes are never touched.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from knowngood.twin import faults
from knowngood.twin.behaviours import argo_manifest
from knowngood.twin.behaviours.argo_git import Commit, GitError, Mirror
from knowngood.twin.behaviours.chart_objects import is_chart
from knowngood.twin.behaviours.context import Controller, Twin, log
from knowngood.twin.behaviours.kube import (
    APPLICATION,
    Key,
    Kind,
    annotations_of,
    deleting,
    key_of,
    kind_of,
    name_of,
    stamp,
)
from knowngood.twin.client import ClientError
from knowngood.twin.faults import Fault
from knowngood.twin.values import Object

POLL_S = 180.0
SELF_HEAL_S = 5.0
SYNC_S = 5.0
FAULT_MESSAGE = "one or more objects failed to apply, reason: failed calling webhook: connection refused"
REFRESH = "argocd.argoproj.io/refresh"
TRACKING = "argocd.argoproj.io/tracking-id"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass
class _Memory:
    """What the controller remembers of one Application between passes."""

    tried: str = ""  # the last commit that was tried, whatever came of it
    rendered: list[Object] = field(default_factory=list)
    rendered_of: str = ""
    polled: float = 0.0  # monotonic


class ArgoCd(Controller):
    """Works on one Application at a time."""

    name = "argocd"
    watches = (APPLICATION,)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._memory: dict[Key, _Memory] = {}
        self._mirrors: dict[str, Mirror] = {}
        self._watched: set[Kind] = set()

    def listen(self) -> None:
        """Applications, the poll timer, and drift of what is managed."""
        self.every(APPLICATION, key_of)
        self.twin.spawn(self._poll(), "argocd poll")

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(max(POLL_S / self.twin.clock.scale, 0.5))
            for app in self.cache.all(APPLICATION):
                self._memory.setdefault(key_of(app), _Memory()).polled = 0.0
                self.enqueue(key_of(app))

    async def reconcile(self, key: Key) -> None:
        """Refresh where asked or due, compare, sync."""
        app = self.cache.get(APPLICATION, key[1], key[0])
        if app is None or deleting(app) or is_chart(app):
            self._memory.pop(key, None)
            return
        memory = self._memory.setdefault(key, _Memory())
        if REFRESH in annotations_of(app) or memory.polled == 0.0:
            memory.polled = time.monotonic()
            try:
                await self._refresh(app, memory)
            except (GitError, argo_manifest.ManifestError) as error:
                await self._comparison_error(app, str(error))
            if REFRESH in annotations_of(app):
                await self.api.patch(app, {"metadata": {"annotations": {REFRESH: None}}})
        elif memory.rendered_of:
            await self._heal(app, memory)

    async def _refresh(self, app: Object, memory: _Memory) -> None:
        source = app["spec"]["source"]
        mirror = self._mirrors.setdefault(
            source["repoURL"], Mirror(self.twin.pods_dir.parent, source["repoURL"])
        )
        commit = await mirror.fetch(source.get("targetRevision") or "HEAD")
        if commit.sha != memory.rendered_of:
            before = memory.rendered
            files = await mirror.files(commit.sha, app)
            memory.rendered = argo_manifest.parse(files, app)
            memory.rendered_of = commit.sha
            await self._watch_kinds(memory.rendered)
            changed = before != memory.rendered
        else:
            changed = False
        drifted = await self._drifted(memory.rendered, app)
        automated = (app["spec"].get("syncPolicy") or {}).get("automated") is not None
        if drifted and automated and memory.tried != commit.sha:
            memory.tried = commit.sha
            self.twin.fire(faults.COMMIT, "")
            await self._sync(app, memory, commit, changed=changed)
        else:
            await self._write(app, memory, synced=not drifted)
            if drifted and automated:
                await self._heal(app, memory)

    async def _sync(self, app: Object, memory: _Memory, commit: Commit, *, changed: bool) -> None:
        begun = stamp()
        await self.twin.clock.sleep(SYNC_S)
        fault = self._sabotage(commit) if changed else None
        problem = ""
        if fault is None or (fault.param("which") == "revert-too" and not commit.is_revert):
            # Half a sync: what was applied before the failing object stays applied.
            problem = await self._apply_all(app, memory)
        if fault:
            problem = fault.param("message") or FAULT_MESSAGE
        operation: Object = {
            "operation": {
                "initiatedBy": {"automated": True},
                "sync": {"revision": commit.sha, "prune": _prune(app)},
            },
            "phase": "Failed" if problem else "Succeeded",
            "message": problem or "successfully synced (all tasks run)",
            "startedAt": begun,
            "finishedAt": stamp(),
            "syncResult": {
                "revision": commit.sha,
                "source": app["spec"]["source"],
                "resources": [_result(obj, problem) for obj in memory.rendered],
            },
        }
        extra: Object = {"operationState": operation}
        if not problem:
            history = (app.get("status") or {}).get("history") or []
            entry = {
                "id": (history[-1]["id"] + 1) if history else 0,
                "revision": commit.sha,
                "deployStartedAt": begun,
                "deployedAt": stamp(),
                "source": app["spec"]["source"],
            }
            extra["history"] = [*history, entry][-10:]
        await self._write(app, memory, synced=not problem, **extra)

    def _sabotage(self, commit: Commit) -> Fault | None:
        """The fault that makes this commit's sync fail, or None."""
        fault = self.twin.faults.active("argo-sync-fails")
        if fault is None:
            return None
        which = fault.param("which", "ours-only")
        by_kind = {"revert-too": True, "ours-only": not commit.is_revert, "revert-only": commit.is_revert}
        if not by_kind.get(which, which in commit.message):
            return None
        self.twin.faults.hit(fault, commit=commit.sha, subject=commit.subject)
        return fault

    async def _apply_all(self, app: Object, memory: _Memory) -> str:
        """Apply and prune; the message of what failed, or ""."""
        problems = []
        for obj in memory.rendered:
            try:
                await self._apply(app, obj)
            except ClientError as error:
                problems.append(f"{obj['kind']} {name_of(obj)}: {error.body.get('message', error)}")
        if _prune(app) and not problems:
            await self._prune(app, memory.rendered)
        return f"one or more objects failed to apply, reason: {'; '.join(problems)}" if problems else ""

    async def _apply(self, app: Object, wanted: Object) -> None:
        live = await self._live(wanted)
        if live is None:
            metadata = dict(wanted["metadata"])
            annotations = {**(metadata.get("annotations") or {}), **_marks(app, wanted)}
            await self.api.create({**wanted, "metadata": {**metadata, "annotations": annotations}})
            return
        patch = argo_manifest.three_way(annotations_of(live).get(LAST_APPLIED, ""), wanted, live)
        if patch or TRACKING not in annotations_of(live):
            metadata = patch.setdefault("metadata", {})
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **_marks(app, wanted)}
            await self.api.patch(live, patch)

    async def _prune(self, app: Object, rendered: list[Object]) -> None:
        keep = {argo_manifest.identity(obj) for obj in rendered}
        for entry in (app.get("status") or {}).get("resources") or ():
            api_version = f"{entry['group']}/{entry['version']}" if entry.get("group") else entry["version"]
            known = (api_version, entry["kind"], entry.get("namespace", ""), entry["name"])
            if known in keep:
                continue
            live = await self._live(
                {
                    "apiVersion": api_version,
                    "kind": entry["kind"],
                    "metadata": {"name": entry["name"], "namespace": entry.get("namespace", "")},
                }
            )
            if live is not None and annotations_of(live).get(TRACKING, "").startswith(f"{name_of(app)}:"):
                await self.api.delete(live)

    async def _heal(self, app: Object, memory: _Memory) -> None:
        """Undo live edits of what Git holds, a few seconds after they were made."""
        if memory.tried != memory.rendered_of or not await self._drifted(memory.rendered, app):
            return
        operation = (app.get("status") or {}).get("operationState") or {}
        heals = ((app["spec"].get("syncPolicy") or {}).get("automated") or {}).get("selfHeal")
        if not heals or operation.get("phase") != "Succeeded":
            return
        await self.twin.clock.sleep(SELF_HEAL_S)
        problem = await self._apply_all(app, memory)
        if problem:
            log.warning("argocd %s: self-heal: %s", name_of(app), problem)
        await self._write(app, memory, synced=not problem)

    async def _watch_kinds(self, rendered: list[Object]) -> None:
        for kind in {kind_of(obj) for obj in rendered} - self._watched:
            self._watched.add(kind)
            await self.cache.ensure(kind)
            self.cache.listen(kind, self._live_changed)

    def _live_changed(self, _event: str, obj: Object) -> None:
        tracking = annotations_of(obj).get(TRACKING, "")
        for key in self._memory if tracking else ():
            if tracking.startswith(f"{key[1]}:"):
                self.enqueue(key)

    async def _live(self, wanted: Object) -> Object | None:
        kind = kind_of(wanted)
        if kind in self._watched:
            return self.cache.get(kind, name_of(wanted), wanted["metadata"].get("namespace", ""))
        try:
            return await self.twin.client.get(
                kind, name_of(wanted), wanted["metadata"].get("namespace") or None
            )
        except ClientError as error:
            if error.code == 404:
                return None
            raise

    async def _drifted(self, rendered: list[Object], app: Object) -> bool:
        keep = {argo_manifest.identity(obj) for obj in rendered}
        listed = (app.get("status") or {}).get("resources") or ()
        if _prune(app) and any(argo_manifest.listed_identity(entry) not in keep for entry in listed):
            return True
        for wanted in rendered:
            live = await self._live(wanted)
            if live is None or argo_manifest.three_way(
                annotations_of(live).get(LAST_APPLIED, ""), wanted, live
            ):
                return True
        return False

    async def _write(self, app: Object, memory: _Memory, *, synced: bool, **extra: object) -> None:
        source, destination = app["spec"]["source"], app["spec"]["destination"]
        verdict = "Synced" if synced else "OutOfSync"
        status: Object = {
            "sync": {
                "status": verdict,
                "revision": memory.rendered_of,
                "comparedTo": {"source": source, "destination": destination},
            },
            "health": {"status": "Healthy"},
            "sourceType": "Directory",
            "resources": [_listed(obj, verdict) for obj in memory.rendered],
            "conditions": None,
            **extra,
        }
        old = app.get("status") or {}
        refreshed = REFRESH in annotations_of(app)
        same = all(old.get(name) == value for name, value in status.items())
        if refreshed or not same:
            await self.api.status(app, {**status, "reconciledAt": stamp()})

    async def _comparison_error(self, app: Object, message: str) -> None:
        log.warning("argocd %s: %s", name_of(app), message)
        old = (app.get("status") or {}).get("conditions") or [{}]
        if old[0].get("message") == message:
            return
        error = {"type": "ComparisonError", "message": message, "lastTransitionTime": stamp()}
        sync = {**((app.get("status") or {}).get("sync") or {}), "status": "Unknown"}
        await self.api.status(app, {"sync": sync, "conditions": [error], "health": {"status": "Healthy"}})


def _prune(app: Object) -> bool:
    automated = (app["spec"].get("syncPolicy") or {}).get("automated") or {}
    return bool(automated.get("prune"))


def _marks(app: Object, wanted: Object) -> dict[str, str]:
    group = wanted["apiVersion"].rpartition("/")[0]
    metadata = wanted["metadata"]
    place = metadata.get("namespace") or app["spec"]["destination"].get("namespace", "")
    return {
        TRACKING: f"{name_of(app)}:{group}/{wanted['kind']}:{place}/{metadata['name']}",
        LAST_APPLIED: argo_manifest.as_applied(wanted),
    }


def _listed(obj: Object, verdict: str) -> Object:
    group, _, version = obj["apiVersion"].rpartition("/")
    entry = {"version": version, "kind": obj["kind"], "name": name_of(obj), "status": verdict}
    if group:
        entry["group"] = group
    if obj["metadata"].get("namespace"):
        entry["namespace"] = obj["metadata"]["namespace"]
    return entry


def _result(obj: Object, problem: str) -> Object:
    group, _, version = obj["apiVersion"].rpartition("/")
    return {
        "group": group,
        "version": version,
        "kind": obj["kind"],
        "namespace": obj["metadata"].get("namespace", ""),
        "name": name_of(obj),
        "status": "SyncFailed" if problem else "Synced",
        "message": problem or f"{obj['kind'].lower()} {name_of(obj)} configured",
        "hookPhase": "Failed" if problem else "Running",
        "syncPhase": "Sync",
    }
