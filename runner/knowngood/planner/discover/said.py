"""What a place that was found says, and what it leaves open: it is switched off, or names no one version. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Component
from knowngood.planner.discover.seen import Place, Seen, Told, name_of
from knowngood.planner.moving import version_of
from knowngood.planner.version import is_whole

_WAY = "docs/runbooks/gitops.md shows how"


def switched_off(seen: Seen, place: Place) -> str:
    """That the part of the live object that a place is of brings nothing, in words; "" where it does."""
    kind, name = place.file.kind, place.file.name
    part = place.path.rpartition(".")[0]
    at: object = next((o for o in seen.of(kind) if name_of(o) == name), None)
    for key in part.split("."):
        at = at.get(key) if isinstance(at, Mapping) else None
    if not isinstance(at, Mapping) or at.get("enabled") is not False:
        return ""
    what = f"{kind} {name} has {part}.enabled false, so its operator brings none"
    return f"{what}; what the nodes run came with them, and no change of {place.file.path} moves it"


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
