"""Where Git declares each component: Applications, files and fields, from the live objects and a checkout."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from knowngood.model.errors import UsageError
from knowngood.model.gitops import folder_of as folder_of_source
from knowngood.model.matrix import Component, Matrix
from knowngood.model.mover import MoverSpec
from knowngood.model.values import Object
from knowngood.planner.discover.given import given
from knowngood.planner.discover.kustomized import as_live, copied, generated, overruled, set_later, unshown
from knowngood.planner.discover.nodes import natural
from knowngood.planner.discover.said import brought, switched_off, unclear
from knowngood.planner.discover.seen import VALUES, File, Place, Seen, Told, name_of, space_of
from knowngood.planner.discover.unfound import unfound, unrendered
from knowngood.planner.moving import APPLICATION, CHART, VERSION, version_of

CONFIG_MAP = "ConfigMap"
RING_FIRST = ("NVIDIADriver", "NicNodePolicy")
"""Kinds of which a ring has its own object; where one declares a component, an object for all nodes does not."""


def gitops(seen: Seen, told: Told, matrix: Matrix) -> None:
    """Applications whose resources declare components, and the repository that they read."""
    found = _of_git(seen, [a for a in seen.of("Application") if _declares(seen, a, matrix)])
    if not seen.read("Application") or not found:
        why = seen.unread.get(
            "Application", "no Argo CD Application manages an object that declares a component"
        )
        told.ask("gitops", f"which repository Argo CD reads, and which Applications: {why}")
        return
    sources = {  # of each the first spelling: Argo CD takes them for one, too
        (_plain(s), s.get("targetRevision", "HEAD")): (s.get("repoURL", ""), s.get("targetRevision", "HEAD"))
        for s in map(_source, reversed(found))
    }
    rows = [row_of(seen, a) for a in sorted(found, key=lambda a: natural(name_of(a)))]
    if len(sources) > 1:
        words = ", ".join(sorted(f"{repo} at {branch}" for repo, branch in sources.values()))
        told.ask("gitops", f"one repository and branch: the Applications read {words}")
        return
    ((repo, branch),) = sources.values()
    how = "spec.source of " + ", ".join(r["name"] for r in rows)
    told.tell("gitops", {"repo": repo, "branch": branch, "applications": rows}, how)
    if branch == "HEAD":
        told.ask("gitops", "branch: the Applications follow HEAD; name the branch that it is")
    for application in found:
        if why := unrendered(application):
            told.ask("gitops", f"Application {name_of(application)} {why}")
    told.ask("gitops", "credentials: where those for a push are (env:NAME or file:PATH), if it needs any")


def _of_git(seen: Seen, declaring: Sequence[Object]) -> list[Object]:
    """Those that read a folder, and in place of one whose chart is elsewhere the one that manages its manifest."""
    charts = {name_of(a) for a in declaring if not folder_of(a)}
    above = [
        a
        for a in seen.of("Application")
        if folder_of(a)
        and any(r.get("kind") == "Application" and r.get("name") in charts for r in _managed(a))
    ]
    return list({name_of(a): a for a in (*(d for d in declaring if folder_of(d)), *above)}.values())


def _managed(application: Object) -> Sequence[Object]:
    found: Sequence[Object] = (application.get("status") or {}).get("resources") or ()
    return found


def _source(application: Object) -> Object:
    """Its source; of several the first one that is a folder."""
    spec = application.get("spec") or {}
    several: Sequence[Object] = spec.get("sources") or ()
    folder = next((s for s in several if s.get("path")), None)
    found: Object = spec.get("source") or folder or next(iter(several), {})
    return found


def row_of(seen: Seen, application: Object) -> Object:
    """Its entry in the cluster file. What it gives a chart is there only where no manifest in the checkout says it."""
    source = _source(application)
    row: Object = {"name": name_of(application), "namespace": space_of(application)}
    row["path"] = folder_of_source(source) or "."
    if (source.get("directory") or {}).get("recurse"):
        row["recurse"] = True
    manifests = {f.name for f in seen.files or () if f.kind == APPLICATION}
    files = (source.get("helm") or {}).get("valueFiles")
    if files and name_of(application) not in manifests:
        row["valueFiles"] = [_from_root(application, source, str(name)) for name in files]
    return row


def _plain(source: Object) -> str:
    """A repository's address without what makes no other one of it."""
    return str(source.get("repoURL") or "").rstrip("/").removesuffix(".git").lower()


def _from_root(application: Object, source: Object, name: str) -> str:
    """A values file as the cluster file names it: what another source names of the same repository is from its root."""
    ref, slash, rest = name.removeprefix("$").partition("/")
    several: Sequence[Object] = (application.get("spec") or {}).get("sources") or ()
    same = any(s.get("ref") == ref and _plain(s) == _plain(source) for s in several)
    return f"/{rest}" if name.startswith("$") and slash and same else name


def _declares(seen: Seen, application: Object, matrix: Matrix) -> bool:
    """Whether it manages an object that some mover writes into.

    Of Applications only those of its chart count, and of ConfigMaps, which everybody has, those with its field.
    """
    movers = [c.mover for c in matrix.components.values() if c.mover]
    kinds = {kind for mover in movers for kind in mover.fields} - {APPLICATION, CONFIG_MAP}
    paths = {p for mover in movers for p in mover.fields.get(CONFIG_MAP, ())}
    ours_by_field = {
        f.name for f in seen.files or () if f.kind == CONFIG_MAP and not paths.isdisjoint(f.texts)
    }
    charts = {mover.require.get(APPLICATION, {}).get(CHART) for mover in movers} - {None}
    ours = {name_of(a) for a in seen.of(APPLICATION) if _source(a).get("chart") in charts}
    resources = (application.get("status") or {}).get("resources") or ()
    named = {APPLICATION: ours, CONFIG_MAP: ours_by_field}
    return any(
        r.get("kind") in kinds or r.get("name") in named.get(str(r.get("kind")), ()) for r in resources
    )


def declare(seen: Seen, told: Told, matrix: Matrix) -> None:
    """File and path of each component that has a mover, where exactly one place says it."""
    if seen.files is None:
        told.ask("declare", "where Git declares each component: no checkout was given (--gitops DIR)")
        return
    found: dict[str, Object] = {}
    rings = [str(r["name"]) for r in told.values.get("rings", ())]
    rendered: set[str] = set()
    for component in matrix.components.values():
        if component.movable and component.mover is not None:
            found_in = list(_places(seen, matrix, component, component.mover))
            every = [p for p in found_in if not switched_off(seen, p)]
            if found_in and not every:
                told.ask("declare", f"{component.name}: {switched_off(seen, found_in[0])}")
                continue
            overruling = {id(p): why for p in every if (why := overruled(seen, folder_of(p.application), p))}
            places = [p for p in every if id(p) not in overruling]
            generated(seen, told, component.name, component.mover)
            for ask in (_unsaid, unfound, brought) if not every else ():
                if ask(seen, told, component.name, component.mover):
                    break
            if every and not places:
                told.ask("declare", f"{component.name}: {overruling[id(_outermost(every)[0])]}")
            if places:
                counting = _narrowed(_outermost(places))
                rendered.update(folder_of(p.application) for p in counting)
                _settled(told, component.name, counting, rings, found)
                _shared(seen, told, component.name, counting)
                unclear(told, component, counting)
    unshown(seen, told, rendered)
    if found:
        objects = [file for file in seen.files if file.kind != VALUES]
        told.tell("declare", found, f"{len(objects)} objects in the checkout")
    else:
        told.ask(
            "declare", "where Git declares each component: no file of the checkout has an object that does"
        )


def _places(seen: Seen, matrix: Matrix, component: Component, mover: MoverSpec) -> Iterator[Place]:
    """Each file in an Application's folder with an object that is live, managed by it, and says a version."""
    for application in (a for a in seen.of("Application") if _declares(seen, a, matrix)):
        folder = folder_of(application)
        managed = {(str(r.get("kind")), str(r.get("name"))): r for r in _managed(application)}
        read = [f for f in seen.files or () if _reads(seen, folder, f.path)]
        live = (pair for file in read for pair in as_live(seen, folder, file, managed))
        values = given(seen, application, _source(application), mover)
        for file, resource in (*live, *copied(seen, folder, managed), *values):
            if path := _path(mover, file):
                group = f"{resource['group']}/" if resource.get("group") else ""
                yield Place(component.name, file, path, f"{group}{resource.get('version')}", application)


def folder_of(application: Object) -> str:
    """The folder that an Application reads, "" for none."""
    return folder_of_source(_source(application))


def folders(seen: Seen) -> tuple[str, ...]:
    """The folders that Applications read."""
    return tuple(sorted({f for a in seen.of("Application") if (f := folder_of(a))}))


def declaring(seen: Seen, matrix: Matrix) -> frozenset[str]:
    """Those of them whose Applications manage objects that declare components, ConfigMaps not among them."""
    found = (a for a in seen.of("Application") if _declares(seen, a, matrix))
    return frozenset(f for a in found if (f := folder_of(a)))


def _reads(seen: Seen, folder: str, file: str) -> bool:
    """Whether an Application of this folder reads a file: what its kustomization does not name, it does not apply."""
    followed = seen.reads.get(folder)
    return file in followed if followed else _below(file, folder)


def _outermost(places: Sequence[Place]) -> Sequence[Place]:
    """Of each object the places that count: a patch before what it patches, an overlay before its base."""
    found: list[Place] = []
    for place in places:
        same = [p for p in places if _whose(p) == _whose(place)]
        own = [p for p in same if _below(p.file.path, folder_of(p.application))] or same
        # A patch that several overlays name is one place.
        if place in ([p for p in own if p.file.patch] or own) and place not in found:
            found.append(place)
    return found


def _whose(place: Place) -> tuple[str, str, str]:
    return name_of(place.application), place.file.kind, place.file.name


def _below(path: str, folder: str) -> bool:
    return folder in ("", ".") or path.startswith(f"{folder}/")


def _path(mover: MoverSpec, file: File) -> str:
    """The field of a file's object that says the version, "" for none; an Application must have the mover's chart."""
    if file.kind == APPLICATION and file.texts.get(CHART) != mover.require.get(APPLICATION, {}).get(CHART):
        return ""
    for path, template in mover.fields.get(file.kind, {}).items():
        text = file.texts.get(path, "")
        if VERSION in template and text:
            try:
                if version_of(mover, file.kind, {path: text}):
                    return path
            except UsageError:
                continue
    return ""


def _narrowed(places: Sequence[Place]) -> Sequence[Place]:
    """Those of rings where there are any."""
    of_rings = [p for p in places if p.file.kind in RING_FIRST]
    return of_rings or places


def _settled(
    told: Told, component: str, places: Sequence[Place], rings: Sequence[str], found: dict[str, Object]
) -> None:
    """One declaration of these places, or a question."""
    if len(places) == 1 and places[0].file.name not in rings:
        found[component] = _one(places[0], places[0].file.path, places[0].file.name, _written(places[0]))
        return
    texts = {(p.file.path, p.file.written.get(p.path) or (p.file.called, p.path)) for p in places}
    if len(texts) < len(places):
        names = ", ".join(sorted({p.file.name for p in places}))
        what = f"{component}: one value in {places[0].file.path} is that of {names}"
        told.ask("declare", f"{what}; a patch or an object of its own for each would let one ring move alone")
        return
    if shape := _by_ring(places, rings):
        found[component] = _one(places[0], *shape)
        return
    where = ", ".join(sorted({p.file.path for p in places})[:4])
    told.ask(
        "declare",
        f"{component}: {len(places)} places say it ({where}); it takes one, or one a ring by its name",
    )


def _by_ring(places: Sequence[Place], rings: Sequence[str]) -> tuple[str, str, str] | None:
    """File, object's name and where it is written, with `{ring}` for the ring's name; None where not one is a ring's.

    A ConfigMap that nothing acts on may be for anything: it must have the ring's own name.
    """
    shapes, meant = set(), set()
    for place in places:
        ring = max((r for r in rings if r in place.file.name), key=len, default="")
        shapes.add((*_ringless(place, ring or "{ring}"), place.path, place.file.kind, place.api_version))
        meant.add(ring if place.file.kind != CONFIG_MAP or ring == place.file.name else "")
    if len(shapes) > 1 or meant != set(rings) or len(places) != len(rings):
        return None
    ((file, name, written, *_),) = shapes
    return file, name, written


def _ringless(place: Place, ring: str) -> tuple[str, str, str]:
    """A ring's name may be a folder's, and a key's or an item's among values, too."""
    *above, last = place.file.path.split("/")
    folders = ["{ring}" if folder == ring else folder for folder in above]
    file = "/".join((*folders, last.replace(ring, "{ring}")))
    key = rf"(?<![^.=\[]){re.escape(ring)}(?![^.\]])"
    return file, place.file.name.replace(ring, "{ring}"), re.sub(key, "{ring}", _written(place))


def _written(place: Place) -> str:
    return place.file.written.get(place.path, place.path)


def _unsaid(seen: Seen, told: Told, component: str, mover: MoverSpec) -> bool:
    """Git has the object that would declare it, and leaves it to what brings the object: an operator's default."""
    for application in seen.of("Application"):
        managed = {(r.get("kind"), r.get("name")) for r in _managed(application)}
        for file in seen.files or ():
            fields = {} if file.kind in (APPLICATION, CONFIG_MAP) else mover.fields.get(file.kind, {})
            versions = [
                p for p, text in fields.items() if text == VERSION and not mover.values and _used(file, p)
            ]
            if not versions or (file.kind, file.name) not in managed or file.patch:
                continue
            folder = folder_of(application)
            if _reads(seen, folder, file.path):
                if later := set_later(seen, folder, file, versions[0]):
                    told.ask("declare", f"{component}: {later}")
                    return True
                what = f"{component}: {file.path} has {file.kind} {file.name} without {versions[0]}"
                told.ask(
                    "declare",
                    f"{what}, so its operator chooses: write out what runs, with its repository and image",
                )
                return True
    return False


def _used(file: File, path: str) -> bool:
    """Whether an object says anything of the part that a field is of, and does not switch it off."""
    part = path.rpartition(".")[0]
    return any(p.startswith(f"{part}.") for p in file.texts) and file.texts.get(f"{part}.enabled") != "false"


def _shared(seen: Seen, told: Told, component: str, places: Sequence[Place]) -> None:
    """A base that others read moves them, too: a run would refuse it."""
    for file in sorted({p.file.path for p in places}):
        if others := seen.others.get(file):
            what = f"{component}: {file} is read by {', '.join(others)}, too; a patch of it in this cluster's overlay"
            told.ask("declare", f"{what} would move this cluster alone")
        folders_read = (folder_of(a) for a in seen.of(APPLICATION))
        by_hand = not any(folder and _reads(seen, folder, file) for folder in folders_read)
        if by_hand and any(f.path == file and f.kind == APPLICATION for f in seen.files or ()):
            told.ask(
                "declare", f"{component}: no Application reads {file}, so nothing delivers a change of it"
            )


def _one(place: Place, file: str, name: str, written: str) -> Object:
    obj = {"apiVersion": place.api_version, "kind": place.file.kind, "name": name}
    if place.file.namespace:
        obj["namespace"] = place.file.namespace
    return {
        "file": file,
        "path": place.path,
        "object": obj,
        **({"written": written} if written != place.path else {}),
    }


def namespaces(seen: Seen, told: Told, default: Mapping[str, str]) -> dict[str, str]:
    """The operators' namespaces, by the DaemonSets and Deployments that they make; those that are not the default."""
    found: dict[str, str] = {}
    for policy in seen.of("ClusterPolicy"):
        if space := str((policy.get("status") or {}).get("namespace") or ""):
            found["gpu-operator"] = space
    for obj in (*seen.of("Deployment"), *seen.of("DaemonSet")):
        name = name_of(obj)
        if name == "gpu-operator":
            found.setdefault("gpu-operator", space_of(obj))
        if name in {"nvidia-network-operator", "network-operator"} or name.startswith("mofed-"):
            found.setdefault("network-operator", space_of(obj))
    other = {name: space for name, space in sorted(found.items()) if default.get(name) != space}
    if other:
        told.tell("namespaces", other, "where the operators' objects are")
    return {**default, **found}
