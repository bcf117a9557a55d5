"""Why an extension could not move, or not come back: asked before its commit, which starts it."""

from __future__ import annotations

from collections.abc import Iterator

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
    found, silent = _offered(extension, obj, catalogs)
    if moving.after not in found:
        why = "there would be no way back" if undo else "nothing would be installed"
        what = f"no ClusterCatalog offers {moving.component} {moving.after}: {why}"
        hint = "mirror a catalog that has both versions"
        if silent:
            yield unknown(where, f"{'; '.join(silent)}: whether {moving.after} is offered is untold", hint)
        else:
            yield refused(where, what, hint)
        return
    yield from _definitions(extension, found[moving.after], undo=undo)


def _offered(
    extension: Extension, obj: Object, catalogs: list[Object]
) -> tuple[dict[str, Bundle], list[str]]:
    """What all of its catalogs offer of the package, and which did not tell."""
    package = str(obj["spec"]["source"]["catalog"]["packageName"])
    found: dict[str, Bundle] = {}
    silent = []
    for catalog in catalogs:
        name = catalog["metadata"]["name"]
        if not olm_v1_catalogs.serving(catalog):
            silent.append(f"ClusterCatalog {name} is not Serving")
            continue
        try:
            found |= olm_v1_catalogs.bundles(extension.kube, catalog, package)
        except Unreachable as error:
            silent.append(error.message)
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
