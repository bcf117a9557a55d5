"""What a place that was found says, and what it leaves open: it is switched off, or names no one version. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Component
from knowngood.model.mover import MoverSpec
from knowngood.model.values import Object
from knowngood.planner.discover.seen import Place, Seen, Told, name_of
from knowngood.planner.moving import version_of
from knowngood.planner.version import is_whole

_WAY = "docs/runbooks/gitops.md shows how"


def switched_off(seen: Seen, place: Place) -> str:
    """That the part of the live object that a place is of brings nothing, in words; "" where it does."""
    kind, name = place.file.kind, place.file.name
    part = place.path.rpartition(".")[0]
    at, last = _part(next((o for o in seen.of(kind) if name_of(o) == name), None), place.path)
    if last == "enabled" or not isinstance(at, Mapping) or at.get("enabled") is not False:
        return ""
    what = f"{kind} {name} has {part}.enabled false, so its operator brings none"
    return f"{what}; what the nodes run came with them, and no change of {place.file.path} moves it"


def brought(seen: Seen, told: Told, component: str, mover: MoverSpec) -> bool:
    """Ask where a driver runs on the nodes that no Application declares: it came with them, or by an object by hand."""
    running = told.versions.get(component)
    kinds = [kind for kind in mover.fields if seen.read(kind)]
    if running is None or mover.proof is None or mover.values or len(kinds) < len(mover.fields):
        return False
    by_hand = [
        f"{kind} {name_of(o)}" for kind in kinds for o in seen.of(kind) if _says(o, mover.fields[kind])
    ]
    if by_hand:
        what = f"{by_hand[0]} says what runs of it, and no Application brings that object"
        then = "keep it in Git, or nothing delivers a change of it"
    else:
        what = f"{running.text} runs, and no {' or '.join(kinds)} of the cluster declares it"
        then = "it came with the nodes' system, and no hop moves it"
    told.ask("declare", f"{component}: {what}: {then}")
    return True


def _says(obj: Object, paths: Iterable[str]) -> bool:
    return any(isinstance(part, Mapping) and part.get(last) for part, last in (_part(obj, p) for p in paths))


def _part(obj: Object | None, path: str) -> tuple[object, str]:
    """What holds the last key of a path."""
    *parts, last = path.split(".")
    at: object = obj
    for key in parts:
        at = at.get(key) if isinstance(at, Mapping) else None
    return at, last


def unclear(told: Told, component: Component, places: Sequence[Place]) -> None:
    """Ask where a place names no one version: a digest, or a branch whose newest build is taken."""
    mover = component.mover
    for place in places:
        text = place.file.texts[place.path]
        try:
            version = version_of(mover, place.file.kind, {place.path: text}) if mover else ""
            if is_whole(component.scheme, version):
                continue
        except (UsageError, ValueError):
            pass
        running = told.versions.get(component.name)
        runs = f" ({running.text} runs)" if running else ""
        what = (
            f"{component.name}: {place.path} in {place.file.path} is {text}, which names no one version{runs}"
        )
        told.ask("declare", f"{what}: say under texts what each version is written as; {_WAY}")
        return
