"""One component's way from a version to a version: fewest hops, then the highest versions on the way.

On OpenShift a hop of channel stable, fast or candidate needs both ends in `<channel>-<minor of the hop's target>`;
`eus` keeps the whole way inside `eus-<minor of the goal>`. Hops with a risk that holds for every cluster are left out
unless that risk is accepted by name. No hop goes past the goal.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise

from knowngood.model.graph import Catalog, Edges
from knowngood.planner.edges.following import ARCHITECTURE, by_reinstall, edge, moves, place, risks
from knowngood.planner.expression import compiled

CHANNELS = ("stable", "fast", "candidate", "eus")

Next = Callable[[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class PathHop:
    """One hop; `risks` are all that are declared for it. `kind`: real, derived, reinstall or ""."""

    start: str
    to: str
    kind: str
    risks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """The hops, and how often each worker reboots for them."""

    hops: tuple[PathHop, ...]
    worker_reboots: int


def path(
    edges: Edges,
    scheme: str,
    a: str,
    b: str,
    channel: str = "",
    accepted: Collection[str] = (),
    *,
    openshift: str = "",
    catalog: Catalog | None = None,
) -> Path | None:
    """The best path from `a` to `b`; None where there is none, no hops where they are the same.

    `channel` counts for a component with a graph only; `openshift` and `catalog` for one with catalogs.
    """
    following = _following(edges, scheme, b, channel, accepted, openshift, catalog)
    found = shortest(following, scheme, a, b)
    if found is None:
        return None
    hops = tuple(
        PathHop(
            x,
            y,
            "reinstall"
            if by_reinstall(edges, x, y, openshift=openshift, catalog=catalog)
            else edge(edges, x, y).kind,
            tuple(r.name for r in risks(edges, x, y)),
        )
        for x, y in pairwise(found)
    )
    return Path(hops, worker_reboots(found, channel) if edges.graph else 0)


def furthest(
    edges: Edges, scheme: str, a: str, b: str, channel: str = "", accepted: Collection[str] = ()
) -> str:
    """The highest version on any way from `a` towards `b`; `a` itself where nothing follows it."""
    following = _following(edges, scheme, b, channel, accepted, "", None)
    seen, todo = {a}, [a]
    while todo:
        new = following(todo.pop()) - seen
        seen |= new
        todo += new
    return max(seen, key=lambda v: (place(scheme, v), v))


def rebooting(found: Path) -> Path:
    """The same path of a component whose every move reboots its nodes."""
    return replace(found, worker_reboots=len(found.hops))


def in_channel(edges: Edges, a: str, b: str, goal: str, channel: str) -> bool:
    """Whether a hop may be made by a cluster in that channel, on its way to `goal`."""
    name = f"{channel}-{minor(goal if channel == 'eus' else b)}"
    versions = _members(edges.channels.get(name, ()))
    return a in versions and b in versions


@lru_cache(maxsize=256)
def _members(channel: tuple[str, ...]) -> frozenset[str]:
    return frozenset(channel)


def worker_reboots(versions: tuple[str, ...], channel: str) -> int:
    """One a hop; but in eus the workers stay paused from an even minor over the odd one to the next even one."""
    count, paused = 0, False
    for start, to in pairwise(versions):
        if channel == "eus" and minor(start) != minor(to):
            paused = not _even(to)
        count += not paused
    return count


def shortest(following: Next, scheme: str, a: str, b: str) -> tuple[str, ...] | None:
    """The shortest way; among equals the one whose first, then second, ... version is the highest."""
    layers = [frozenset({a})]
    seen = {a}
    while b not in seen:
        layer = frozenset(v for u in layers[-1] for v in following(u) if v not in seen)
        if not layer:
            return None
        seen |= layer
        layers.append(layer)
    on_a_way = [frozenset({b})]
    for layer in reversed(layers[:-1]):
        on_a_way.append(frozenset(v for v in layer if not on_a_way[-1].isdisjoint(following(v))))
    way = [a]
    for layer in reversed(on_a_way[:-1]):
        way.append(max(layer & following(way[-1]), key=lambda v: (place(scheme, v), v)))
    return tuple(way)


def minor(version: str) -> str:
    """`4.18` of `4.18.52`."""
    return ".".join(version.split(".")[:2])


def _even(version: str) -> bool:
    return int(version.split(".")[1]) % 2 == 0


def _following(
    edges: Edges,
    scheme: str,
    goal: str,
    channel: str,
    accepted: Collection[str],
    openshift: str,
    catalog: Catalog | None,
) -> Next:
    """What may follow a version on the way to `goal`; each version is asked for once."""
    closed = defaultdict[str, list[re.Pattern[str]]](list)  # target -> who comes from where is refused
    for risk in edges.risks.values():
        if risk.always and risk.name not in accepted:
            for target, expression in risk.targets.items():
                closed[target].append(compiled(expression))

    @cache
    def following(a: str) -> frozenset[str]:
        end = place(scheme, goal)
        back = place(scheme, a) > end  # going back, where that is possible, is not going past the goal
        return frozenset(
            b
            for b in moves(edges, scheme, a, openshift=openshift, catalog=catalog)
            if (back or place(scheme, b) <= end)
            and (not edges.graph or in_channel(edges, a, b, goal, channel))
            and not any(expression.search(a + ARCHITECTURE) for expression in closed[b])
        )

    return following
