"""Why an extension could not move, or not come back: asked before its commit, which starts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knowngood.adapters.kubernetes.client import Object
from knowngood.adapters.movers import olm_v1_catalogs
from knowngood.adapters.movers.olm_extension import Extension, unrest
from knowngood.adapters.movers.olm_v1_catalogs import Bundle
from knowngood.model.errors import Unreachable
from knowngood.model.finding import Finding, refused, unknown

STAY = "stay with the older one, or move it by hand: docs/runbooks/operators.md"


def ready(extension: Extension, *, undo: bool) -> Iterator[Finding]:
    """Of the version that it moves to, or with `undo` of the one that its way back leads to."""
    where, moving = str(extension.at), extension.moving
    obj = extension.live()
    if obj is None:
        yield refused(where, "there is none on this cluster", "see the cluster file's declare")
        return
    if not undo:
        why = extension.asks_otherwise(obj, moving.before) or unrest(obj)
        if why := why or "; ".join(extension.late(obj)):
            what = f"{moving.component} {moving.before} does not run whole: {why}"
            yield refused(where, what, "mend it, or wait until it is done; then plan again", passes=True)
    catalogs = olm_v1_catalogs.chosen(extension.kube, obj)
    if not catalogs:
        yield refused(where, "no ClusterCatalog is there in which it looks", "see its selector")
        return
    offers, silent = _offered(extension, obj, catalogs)
    if silent:  # also where another one offers it: OLM resolves nothing while one of them is not served
        what = f"{'; '.join(silent)}: whether {moving.after} is offered is untold"
        yield unknown(
            where, what, "it resolves nothing before all of its catalogs are served; see its selector"
        )
        return
    in_vain = "there would be no way back" if undo else "nothing would be installed"
    asked = frozenset(map(str, obj["spec"]["source"]["catalog"].get("channels") or ()))
    taken = [one for one in offers if not asked or one.bundle.channels & asked]
    if not taken:
        what = (
            f"no ClusterCatalog offers {moving.component} {moving.after}{_outside(asked, offers)}: {in_vain}"
        )
        yield refused(where, what, "mirror a catalog that has both versions, or see its channels")
        return
    best = _best(taken)
    if len(best) > 1:
        what = f"ClusterCatalogs {' and '.join(one.catalog for one in best)} offer {moving.component} "
        what += f"{moving.after} with the same priority: {in_vain}"
        yield refused(where, what, "give one of them a higher spec.priority, or narrow its selector")
        return
    yield from _definitions(extension, best[0].bundle, undo=undo)


@dataclass(frozen=True, slots=True)
class _Offer:
    """One catalog's bundle of the wanted version."""

    catalog: str
    priority: int
    bundle: Bundle


def _outside(asked: frozenset[str], offers: Sequence[_Offer]) -> str:
    """Which of its channels were looked at, and where the version is instead."""
    if not asked:
        return ""
    others = sorted({name for one in offers for name in one.bundle.channels})
    there = f" (it is in {', '.join(others)})" if others else ""
    return f" in channel {' or '.join(sorted(asked))}{there}"


def _best(taken: Sequence[_Offer]) -> list[_Offer]:
    """Those among which it can't choose: what is deprecated counts only where all is, then the priority does."""
    sound = [one for one in taken if not one.bundle.deprecated] or taken
    highest = max(one.priority for one in sound)
    return sorted((one for one in sound if one.priority == highest), key=lambda one: one.catalog)


def _offered(extension: Extension, obj: Object, catalogs: list[Object]) -> tuple[list[_Offer], list[str]]:
    """Which of its catalogs offer the version, and which did not tell."""
    package = str(obj["spec"]["source"]["catalog"]["packageName"])
    found: list[_Offer] = []
    silent = []
    for catalog in catalogs:
        name = catalog["metadata"]["name"]
        if not olm_v1_catalogs.serving(catalog):
            silent.append(f"ClusterCatalog {name} is not Serving")
            continue
        try:
            bundles = olm_v1_catalogs.bundles(extension.kube, catalog, package)
        except Unreachable as error:
            silent.append(error.message)
            continue
        if bundle := bundles.get(extension.moving.after):
            found.append(_Offer(name, int(catalog["spec"].get("priority") or 0), bundle))
    return found, silent


def _definitions(extension: Extension, bundle: Bundle, *, undo: bool) -> Iterator[Finding]:
    """Stored versions: the API server never takes a definition that lacks one, whoever forces it."""
    for live in extension.definitions():
        name = str(live["metadata"]["name"])
        brings = bundle.owned.get(name)
        where = f"CustomResourceDefinition {name}"
        if brings is None:
            what = (
                f"which versions of it {bundle.version} brings is not told by its catalog, or it brings none"
            )
            yield unknown(where, what, "compare its storedVersions with the bundle by hand")
            continue
        stored = {*((live.get("status") or {}).get("storedVersions") or ())}
        if lost := sorted(stored - brings):
            what = f"objects are stored as {', '.join(lost)}, which {bundle.version} does not know"
            yield refused(where, f"{what}: the API server refuses it for ever", STAY)
        known = {str(v["name"]) for v in live["spec"]["versions"]}
        if not undo and (newer := sorted(brings - known)):
            what = f"{bundle.version} brings {', '.join(newer)}, which the version of before does not know"
            yield refused(where, f"{what}: once an object is stored so there is no way back", STAY)
