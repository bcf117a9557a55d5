"""Delivery through Argo CD: it has a commit when its revision contains it and the live objects carry the values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from knowngood.adapters.cluster.reader import live_value
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model.errors import DeadlineExceeded, UsageError
from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.gitops import Application
from knowngood.model.matrix import Cluster
from knowngood.model.values import Values
from knowngood.planner.readiness.applications import (
    APPLICATION_SET,
    ENDED_BADLY,
    against_delivering,
    against_set,
    parents_of,
    set_of,
)
from knowngood.planner.readiness.sync_windows import denied
from knowngood.ports.cancel import Cancel
from knowngood.ports.clock import Clock
from knowngood.ports.delivery import Delivery, SyncFailed

API = "argoproj.io/v1alpha1"
REFRESH = "argocd.argoproj.io/refresh"
REFRESH_EVERY = 20.0
"""Seconds between two refresh requests while waiting; Argo CD by itself polls every 3 minutes."""


class ArgoDelivery(Delivery):
    """The Applications that the cluster file names. `is_ancestor(commit, revision)`: revision contains commit."""

    def __init__(
        self, kube: Kube, cluster: Cluster, is_ancestor: Callable[[str, str], bool], clock: Clock
    ) -> None:
        self._kube = kube
        self._cluster = cluster
        self._is_ancestor = is_ancestor
        self._clock = clock

    def ready(self) -> Sequence[Finding]:
        """See the port."""
        return list(
            dict.fromkeys(f for a in self._cluster.gitops.applications for f in self._each(a, self._unready))
        )

    def windows(self, seconds: float) -> Sequence[Finding]:
        """See the port."""

        def held_back(named: Application) -> Iterator[Finding]:
            return self._held_back(named, seconds)

        return [f for a in self._cluster.gitops.applications for f in self._each(a, held_back)]

    def _each(
        self, named: Application, look: Callable[[Application], Iterable[Finding]]
    ) -> Sequence[Finding]:
        """What a look at an Application finds; that it could not be read is a finding, too."""
        try:
            return list(look(named))
        except (ApiError, UsageError) as error:
            return [unknown(f"Application {named.name}", f"could not be read: {error}", error.hint)]

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

    def look_anew(self, deadline: float, cancel: Cancel) -> None:
        """Ask each Application for a refresh and wait until it compared anew; DeadlineExceeded where one did not.

        No commit of ours shows that Argo CD is at work where only others write the branch; this does.
        """
        waiting = {named: self._reconciled(named) for named in self._cluster.gitops.applications}
        asked = float("-inf")

        def compared() -> bool:
            nonlocal asked, waiting
            if self._clock.monotonic() - asked >= REFRESH_EVERY:
                for named in waiting:
                    self._refresh(named)
                asked = self._clock.monotonic()
            waiting = {n: was for n, was in waiting.items() if self._reconciled(n) in ("", was)}
            return not waiting

        try:
            self._clock.wait_for(
                compared, deadline=deadline, what="a new comparison", cancel=cancel, every=3.0
            )
        except DeadlineExceeded as error:
            late = ", ".join(named.name for named in waiting)
            raise DeadlineExceeded(
                f"Argo CD was asked for a refresh and did not compare {late} anew in {deadline:.0f} s",
                hint="is Argo CD at work, and does it reach the repository?",
            ) from error

    def _reconciled(self, named: Application) -> str:
        """When an Application was compared last, "" where it is not told or a refresh is still asked for."""
        found = self._application(named)
        if REFRESH in ((found.get("metadata") or {}).get("annotations") or {}):
            return ""
        return str((found.get("status") or {}).get("reconciledAt") or "")

    def _affected(self, changes: Sequence[FieldChange]) -> Sequence[Application]:
        """The Applications that read the changed files; all of them where nothing is named (a no-op commit).

        That each file reaches one was proven before the push, by rendering.
        """
        gitops = self._cluster.gitops
        return gitops.reading(c.file for c in changes) if changes else gitops.applications

    def _missing(
        self,
        commit: str,
        affected: Sequence[Application],
        changes: Sequence[FieldChange],
        known: dict[tuple[str, str], bool],
    ) -> str:
        """What is not there yet, "" when all is. Raises SyncFailed when Argo CD tried our commit and failed."""
        for named in affected:
            application = self._application(named)
            status = application.get("status") or {}
            sync = status.get("sync") or {}
            revisions = _revisions(sync)
            name = named.name
            if not self._contains(revisions, commit, known):
                return f"{name} is at {', '.join(r[:10] for r in revisions) or 'no revision'}"
            self._raise_if_failed(name, status, commit, known)
            if changes and sync.get("status") != "Synced":
                return f"{name} is {sync.get('status')}"
        for change in changes:
            value = live_value(self._kube, change)
            if value != change.after:
                return f"{change.object} has {change.path} {value}, not {change.after}"
        return ""

    def _raise_if_failed(
        self, name: str, status: Values, commit: str, known: dict[tuple[str, str], bool]
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

    def _unready(self, named: Application) -> Iterator[Finding]:
        """What an Application, its parents and the set that made it say against delivering."""
        first = self._kube.find(path(API, "applications", named.name, named.namespace))
        if first is None:
            what, hint = (
                f"there is none in {named.namespace}",
                "correct gitops.applications in the cluster file",
            )
            yield refused(f"Application {named.name}", what, hint)
        todo, seen = [first] if first else [], {named.name}
        while todo:
            application = todo.pop()
            yield from against_delivering(application)
            if made_by := set_of(application):
                where = path(API, "applicationsets", made_by, named.namespace)
                found = self._kube.find(where)
                if found is None:
                    what = f"it made Application {named.name} and can't be found in {named.namespace}"
                    yield unknown(f"{APPLICATION_SET} {made_by}", what, "find out what became of it")
                else:
                    yield from against_set(found)
            for parent in (name for name in parents_of(application) if name not in seen):
                seen.add(parent)
                above = self._kube.find(path(API, "applications", parent, named.namespace))
                todo += [above] if above else []

    def _held_back(self, named: Application, seconds: float) -> Iterator[Finding]:
        """The sync windows of an Application's project that deny within that time."""
        application = self._kube.find(path(API, "applications", named.name, named.namespace))
        if application is None:
            return  # `ready` says so
        project = str((application.get("spec") or {}).get("project") or "default")
        home = str((application.get("status") or {}).get("controllerNamespace") or named.namespace)
        where, found = f"AppProject {project}", self._kube.find(path(API, "appprojects", project, home))
        if found is None:
            what = f"there is none in {home}, so the sync windows of Application {named.name} are not known"
            yield unknown(where, what, "name the Application where Argo CD keeps its projects")
            return
        windows = (found.get("spec") or {}).get("syncWindows") or ()
        now = datetime.fromisoformat(self._clock.now())
        try:
            first = denied(windows, application, now, seconds)
        except ValueError as error:
            yield unknown(where, f"for Application {named.name}: {error}", "correct the window")
            return
        if first is not None:
            at = first.at.isoformat(timespec="seconds")
            what = f"{first.by} at {at}: Argo CD would not sync {named.name} then, the way back included"
            yield refused(where, what, "start when the run and its undo fit, or change the window")

    def _application(self, named: Application) -> Object:
        found = self._kube.find(path(API, "applications", named.name, named.namespace))
        if found is None:
            raise UsageError(
                f"there is no Application {named.namespace}/{named.name}",
                where=str(self._cluster.where),
                hint="correct gitops.applications in the cluster file",
            )
        return found

    def _refresh(self, named: Application) -> None:
        where = path(API, "applications", named.name, named.namespace)
        try:
            self._kube.merge(where, {"metadata": {"annotations": {REFRESH: "normal"}}})
        except ApiError as error:
            if not error.missing:
                raise


def _revisions(values: Values) -> list[str]:
    several = [str(r) for r in values.get("revisions") or () if r]
    return several or ([str(values["revision"])] if values.get("revision") else [])
