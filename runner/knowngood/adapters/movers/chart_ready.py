"""Why a chart could not move now, or could not come back later: asked before anything is committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import chart_render
from knowngood.adapters.movers.chart_owned import Owned
from knowngood.model.errors import CouldNot
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.mover import Moving
from knowngood.planner.moving import APPLICATION, REVISION, shown
from knowngood.planner.readiness.applications import against_delivering

OPTIONS, KEPT = "argocd.argoproj.io/sync-options", "Prune=false"
"""Annotation of an object, and what it says where Argo CD must not delete it (its documentation, sync options)."""


@dataclass(frozen=True)
class Asked:
    """What is asked of: the Application as it is live, and what it owns."""

    kube: Kube
    where: str
    application: Object
    owned: Owned
    moving: Moving

    def definitions(self) -> Mapping[str, Object]:
        """Those that it owns and that are there, by name."""
        at = "apiextensions.k8s.io/v1"
        found = {
            one.name: self.kube.find(path(at, "customresourcedefinitions", one.name))
            for one in self.owned.definitions
        }
        return {name: live for name, live in found.items() if live is not None}

    def brought(self, version: str) -> tuple[Mapping[str, chart_render.Versions], tuple[Finding, ...]]:
        """The definitions that the chart of a version has, or why that can't be told."""
        revision = shown(self.moving.spec, APPLICATION, version)[REVISION]
        try:
            return chart_render.definitions(self.application, revision), ()
        except CouldNot as error:
            what = f"which versions of its definitions {version} has can't be told: {error.message}"
            return {}, (unknown(self.where, what, error.hint),)


def missing(where: str) -> Finding:
    """There is none."""
    return refused(where, "there is none on this cluster", "see the cluster file's declare")


def forth(asked: Asked, not_at_rest: str) -> Iterator[Finding]:
    """What stands in the way of the version that is asked for. `not_at_rest`: why the one before does not run whole."""
    yield from _source(asked)
    found = [*against_delivering(asked.application)]
    yield from (Finding(f.verdict, asked.where, f.what, f.hint, f.passes) for f in found)
    if not_at_rest and not found:
        hint = "mend it, or wait until it is done; then plan again"
        yield refused(
            asked.where, f"{asked.moving.before} does not run whole: {not_at_rest}", hint, passes=True
        )
    yield from _stored(asked)


def _source(asked: Asked) -> Iterator[Finding]:
    """It must be one chart of a registry: a chart in Git is synced at a commit, and tells of no version."""
    spec = asked.application.get("spec") or {}
    if spec.get("sources"):
        what = "it has several sources; only one that has the chart alone can be moved"
        yield refused(asked.where, what, "give the values in spec.source.helm, or move it by hand")
    elif not (spec.get("source") or {}).get("chart"):
        what = "its source names no chart of a registry"
        yield refused(asked.where, what, "name repoURL and chart, or move it by hand")


def _stored(asked: Asked) -> Iterator[Finding]:
    """The next chart must have each version in which objects are stored: else its definitions are refused."""
    there = asked.definitions()
    if not there:
        return
    live = {
        name: [str(v) for v in (one.get("status") or {}).get("storedVersions") or ()]
        for name, one in there.items()
    }
    brought, unread = asked.brought(asked.moving.after)
    yield from unread
    for name, versions in brought.items():
        lacking = [v for v in live.get(name, ()) if v not in versions.known]
        if lacking:
            what = f"objects of {name} are stored as {', '.join(lacking)}, which {asked.moving.after} lacks"
            hint = "migrate what is stored, then take the version out of status.storedVersions"
            yield refused(asked.where, what, hint)
    if not unread:
        yield from _gone(asked, there, asked.moving.after, brought)


def _gone(
    asked: Asked,
    live: Mapping[str, Object],
    version: str,
    brought: Mapping[str, chart_render.Versions],
    way: str = "",
) -> Iterator[Finding]:
    """Definitions that a version lacks: where Argo CD prunes, it deletes them, and with each every object of it."""
    spec = asked.application.get("spec") or {}
    if not ((spec.get("syncPolicy") or {}).get("automated") or {}).get("prune"):
        return
    gone = ", ".join(sorted(n for n, one in live.items() if n not in brought and not _is_kept(one)))
    if not gone:
        return
    if ((spec.get("source") or {}).get("helm") or {}).get("skipCrds"):
        what = f"skipCrds leaves definitions out, so whether {version} would delete {gone} can't be told"
        yield unknown(asked.where, way + what, f"annotate each with {OPTIONS}: {KEPT}, or take skipCrds out")
        return
    what = f"{version} lacks {gone}, so that Argo CD would delete it, and with it every object of it"
    yield refused(asked.where, way + what, f"annotate each with {OPTIONS}: {KEPT}, or switch prune off")


def _is_kept(definition: Object) -> bool:
    options = str((definition["metadata"].get("annotations") or {}).get(OPTIONS) or "")
    return KEPT in (option.strip() for option in options.split(","))


def back(asked: Asked) -> Iterator[Finding]:
    """What would stand in the way of the version before, which `moving` leads to: what the newer one will have stored.

    The cluster has the definitions of the version before still, so these are the ones to come back to.
    """
    live = asked.definitions()
    if not live:
        return
    brought, unread = asked.brought(asked.moving.before)
    yield from unread
    for name, versions in brought.items():
        if name not in live:
            continue
        known = {str(v["name"]) for v in live[name]["spec"].get("versions") or ()}
        if versions.stored and versions.stored not in known:
            what = (
                f"from {asked.moving.before} no revert leads back: it stores {name} as {versions.stored}, which"
                f" {asked.moving.after} lacks, so that the API server would refuse it"
            )
            yield refused(asked.where, what, "go by a version that has both, or move it by hand")
    if not unread:
        # What a version on the way lacks is gone with its objects; the revert brings the definition back, empty.
        yield from _gone(asked, live, asked.moving.before, brought, "no revert brings objects back: ")
