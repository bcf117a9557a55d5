"""What kustomizations do to the objects of files: other names, values copied from elsewhere, values set later. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from knowngood.model.gitops import Affix
from knowngood.model.mover import MoverSpec
from knowngood.model.values import Object
from knowngood.planner.discover.seen import File, Place, Replacement, Seen, Told
from knowngood.planner.moving import VERSION

PLAIN = frozenset((Affix(),))
CONFIG_MAP = "ConfigMap"
Managed = Mapping[tuple[str, str], Object]
"""Kind and name -> an Application's entry for it."""


def as_live(seen: Seen, folder: str, file: File, managed: Managed) -> Iterator[tuple[File, Object]]:
    """A file's object by each name that an Application of this folder has it by, and its entry there."""
    around = seen.kustomized.affixes.get(folder, {}).get(file.path, PLAIN)
    for name in sorted({affix.of(file.name) for affix in around}):
        if resource := managed.get((file.kind, name)):
            yield replace(file, name=name, called=file.called or file.name), resource


def copied(seen: Seen, folder: str, managed: Managed) -> Iterator[tuple[File, Object]]:
    """The files from which a kustomization copies a field, as a patch of each object that it copies it to."""
    for one in _of(seen, folder):
        source = _source(seen, folder, one)
        if source is not None and one.whole:
            texts = {one.path: source.texts[one.source[2]]}
            written = {one.path: one.source[2]}
            patch = File(source.path, one.kind, one.name, "", texts, patch=True, written=written)
            around = seen.kustomized.affixes.get(folder, {}).get(one.file, PLAIN)
            for name in sorted({affix.of(one.name) for affix in around}):
                if resource := managed.get((one.kind, name)):
                    yield replace(patch, name=name), resource


def _of(seen: Seen, folder: str) -> Iterator[Replacement]:
    reads = seen.reads.get(folder, frozenset())
    yield from (r for r in seen.kustomized.replacements if r.file in reads)


def _source(seen: Seen, folder: str, one: Replacement) -> File | None:
    kind, name, path = one.source
    reads = seen.reads.get(folder, frozenset())
    files = seen.files or ()
    named = [f for f in files if f.kind == kind and name in ("", f.name)]
    found = [f for f in named if f.path in reads and path in f.texts]
    return found[0] if len(found) == 1 else None


def overruled(seen: Seen, folder: str, place: Place) -> str:
    """Why a place is not what counts: kustomize makes another value of it. "" where it counts, or nobody knows."""
    made = seen.kustomized.made.get(folder)
    if made is None:
        return ""
    kind, name = place.file.kind, place.file.name
    says = place.file.texts[place.path]
    fields = made.get((kind, name))
    if fields is None:
        return f"{place.file.path} says {says}, and kustomize makes no {kind} {name} in {folder}"
    if fields.get(place.path) == says:
        return ""
    rendered = fields.get(place.path, "nothing")
    whom = _by_whom(seen, folder, kind, place.path)
    return f"{place.file.path} says {says}, and kustomize makes {rendered} of it: {whom}"


def set_later(seen: Seen, folder: str, file: File, path: str) -> str:
    """What kustomize writes into a field that a file leaves out, and by whom; "" for nothing."""
    around = seen.kustomized.affixes.get(folder, {}).get(file.path, PLAIN)
    made = seen.kustomized.made.get(folder, {})
    texts = (made.get((file.kind, affix.of(file.name)), {}).get(path) for affix in sorted(around))
    if text := next(filter(None, texts), ""):
        what = f"{file.path} does not say {path}, and kustomize makes it {text}"
        return f"{what}: {_by_whom(seen, folder, file.kind, path)}"
    return ""


def _by_whom(seen: Seen, folder: str, of_kind: str, of_path: str) -> str:
    for one in _of(seen, folder):
        if (one.kind, one.path) == (of_kind, of_path):
            kind, name, path = one.source
            if not one.whole:
                then = f"it is a part of {kind} {name} {path}: give it a field of its own there"
            else:
                then = f"{kind} {name} is in no file here once: write {path} into one"
            return f"the replacement at {one.at} sets it, and {then}"
    return (
        "a patch, a transformer or a replacement sets it later; write it in one patch of this overlay alone"
    )


def unshown(seen: Seen, told: Told, folders: Iterable[str]) -> None:
    """Ask where the places that were found could not be shown to be those that count."""
    for folder in sorted(set(folders)):
        if why := seen.kustomized.unmade.get(folder):
            what = (
                f"what kustomize makes of {folder} could not be seen, so that these places count is not shown"
            )
            told.ask("declare", f"{what}: {why}")


def generated(seen: Seen, told: Told, component: str, mover: MoverSpec) -> None:
    """Ask where a generator writes what runs: its object has another name after each change, which no file says."""
    running = told.versions.get(component)
    paths = [p for p, text in mover.fields.get(CONFIG_MAP, {}).items() if text == VERSION]
    for at, written in seen.kustomized.generated.items():
        for key in (path.removeprefix("data.") for path in paths):
            if running and written.get(key) == running.text:
                what = f"{component}: the configMapGenerator at {at} writes {key}, under a name that changes with it"
                told.ask("declare", f"{what}; write that ConfigMap as a file of its own, without a generator")
