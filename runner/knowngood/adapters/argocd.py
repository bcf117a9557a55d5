"""Delivery through Argo CD: it has a commit when its revision contains it and the live objects carry the values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from knowngood.adapters.cluster import live_value
from knowngood.adapters.kube import ApiError, Kube, Object, path
from knowngood.model.errors import DeadlineExceeded, UsageError
from knowngood.model.matrix import Cluster
from knowngood.model.plan import FieldChange
from knowngood.ports.clock import Cancel, Clock
from knowngood.ports.delivery import Delivery, SyncFailed

API = "argoproj.io/v1alpha1"
REFRESH = "argocd.argoproj.io/refresh"
REFRESH_EVERY = 20.0
"""Seconds between two refresh requests while waiting; Argo CD by itself polls every 3 minutes."""
ENDED_BADLY = frozenset({"Failed", "Error"})


class ArgoDelivery(Delivery):
    """The Applications that the cluster file names. `is_ancestor(commit, revision)`: revision contains commit."""

    def __init__(
        self, kube: Kube, cluster: Cluster, is_ancestor: Callable[[str, str], bool], clock: Clock
    ) -> None:
        self._kube = kube
        self._cluster = cluster
        self._is_ancestor = is_ancestor
        self._clock = clock

    def ready(self) -> Sequence[str]:
        """See the port."""
        return [why for named in self._cluster.gitops.applications for why in self._unready(named)]

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        """See the port."""
        began = self._clock.monotonic()
        affected = self._affected(changes)
        known: dict[tuple[str, str], bool] = {}
        asked = float("-inf")
        state = ""

        def arrived() -> bool:
            nonlocal asked, state
            if self._clock.monotonic() - asked >= REFRESH_EVERY:
                for named in affected:
                    self._refresh(named)
                asked = self._clock.monotonic()
            state = self._missing(commit, affected, changes, known)
            return not state

        try:
            self._clock.wait_for(
                arrived, deadline=deadline, what=f"commit {commit[:10]}", cancel=cancel, every=3.0
            )
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"Argo CD did not bring commit {commit[:10]} in {deadline:.0f} s: {state}",
                hint="is Argo CD at work, and does it reach the repository?",
            ) from error
        return self._clock.monotonic() - began

    def _affected(self, changes: Sequence[FieldChange]) -> Sequence[Mapping[str, str]]:
        """The Applications that read the changed files; all of them where nothing is named (a no-op commit)."""
        every = self._cluster.gitops.applications
        if not changes:
            return every
        found = [a for a in every if any(_holds(a, change.file) for change in changes)]
        orphans = [c.file for c in changes if not any(_holds(a, c.file) for a in every)]
        if orphans:
            raise UsageError(
                f"{orphans[0]} is read by no Application of {self._cluster.name}",
                where=str(self._cluster.where),
                hint="name it under gitops.applications",
            )
        return found

    def _missing(
        self,
        commit: str,
        affected: Sequence[Mapping[str, str]],
        changes: Sequence[FieldChange],
        known: dict[tuple[str, str], bool],
    ) -> str:
        """What is not there yet, "" when all is. Raises SyncFailed when Argo CD tried our commit and failed."""
        for named in affected:
            application = self._application(named)
            status = application.get("status") or {}
            sync = status.get("sync") or {}
            revisions = _revisions(sync)
            name = named["name"]
            if not self._contains(revisions, commit, known):
                return f"{name} is at {', '.join(r[:10] for r in revisions) or 'no revision'}"
            self._raise_if_failed(name, status, commit, known)
            if changes and sync.get("status") != "Synced":
                return f"{name} is {sync.get('status')}"
        for change in changes:
            value = live_value(self._kube, change)
            if value != change.after:
                return f"{change.object['kind']} {change.object['name']} has {change.path} {value}, not {change.after}"
        return ""

    def _raise_if_failed(
        self, name: str, status: Mapping[str, Any], commit: str, known: dict[tuple[str, str], bool]
    ) -> None:
        operation = status.get("operationState") or {}
        if operation.get("phase") not in ENDED_BADLY:
            return
        tried = _revisions(operation.get("syncResult") or {}) or _revisions(
            (operation.get("operation") or {}).get("sync") or {}
        )
        if self._contains(tried, commit, known):
            raise SyncFailed(f"Application {name}: sync {operation['phase']}: {operation.get('message', '')}")

    def _contains(self, revisions: Sequence[str], commit: str, known: dict[tuple[str, str], bool]) -> bool:
        for revision in revisions:
            if (commit, revision) not in known:
                known[(commit, revision)] = revision == commit or self._is_ancestor(commit, revision)
            if known[(commit, revision)]:
                return True
        return False

    def _unready(self, named: Mapping[str, str]) -> list[str]:
        try:
            application = self._application(named)
        except UsageError as error:
            return [str(error)]
        name, spec, status = named["name"], application.get("spec") or {}, application.get("status") or {}
        why = []
        automated = (spec.get("syncPolicy") or {}).get("automated")
        if automated is None or automated.get("enabled") is False:
            why.append(f"{name}: automatic sync is off")
        operation = status.get("operationState") or {}
        if operation.get("phase") in ENDED_BADLY:
            why.append(f"{name}: the last sync {operation['phase']}: {operation.get('message', '')}")
        why += [
            f"{name}: {c['type']}: {c.get('message', '')}"
            for c in status.get("conditions") or ()
            if str(c.get("type", "")).endswith("Error")
        ]
        if any(r.get("kind") == "Node" and not r.get("group") for r in status.get("resources") or ()):
            why.append(f"{name}: it manages Nodes and would take our cordon and taint off again")
        return why + self._windows(named, spec)

    def _windows(self, named: Mapping[str, str], spec: Mapping[str, Any]) -> list[str]:
        """Sync windows can also hold back the undo; they are not evaluated, so any that may apply stops us."""
        project = str(spec.get("project") or "default")
        found = self._kube.find(path(API, "appprojects", project, named["namespace"]))
        windows = ((found or {}).get("spec") or {}).get("syncWindows") or ()
        return [
            f"{named['name']}: AppProject {project} has a {w.get('kind')} sync window ({w.get('schedule')})"
            for w in windows
        ]

    def _application(self, named: Mapping[str, str]) -> Object:
        found = self._kube.find(path(API, "applications", named["name"], named["namespace"]))
        if found is None:
            raise UsageError(
                f"there is no Application {named['namespace']}/{named['name']}",
                where=str(self._cluster.where),
                hint="correct gitops.applications in the cluster file",
            )
        return found

    def _refresh(self, named: Mapping[str, str]) -> None:
        where = path(API, "applications", named["name"], named["namespace"])
        try:
            self._kube.merge(where, {"metadata": {"annotations": {REFRESH: "normal"}}})
        except ApiError as error:
            if not error.missing:
                raise


def _holds(application: Mapping[str, str], file: str) -> bool:
    folder = application["path"].strip("/")
    return folder in {"", "."} or file.strip("/").startswith(f"{folder}/")


def _revisions(values: Mapping[str, Any]) -> list[str]:
    several = [str(r) for r in values.get("revisions") or () if r]
    return several or ([str(values["revision"])] if values.get("revision") else [])
