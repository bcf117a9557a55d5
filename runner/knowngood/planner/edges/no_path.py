"""Why there is no path: which risk, channel, catalog or vendor's rule closes it, and what would open it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from knowngood.model.graph import Edges
from knowngood.planner.edges.following import catalogs, place
from knowngood.planner.edges.olm import skipped_for, unresolved
from knowngood.planner.edges.path import CHANNELS, Path, furthest, minor, path


@dataclass(frozen=True, slots=True)
class NoPath:
    """What closes the way, and what to type or read next."""

    reason: str
    hint: str


def why_not(
    edges: Edges,
    scheme: str,
    a: str,
    b: str,
    channel: str = "",
    accepted: Collection[str] = (),
    *,
    openshift: str = "",
) -> NoPath:
    """The first thing that, taken away, opens a way from `a` to `b`; for a question that `path` answered with None."""
    if (edges.graph or edges.catalogs) and place(scheme, b) < place(scheme, a):
        return NoPath(f"{b} is older than {a}, and no published update goes back", "see how it is undone")
    reasons = (
        _graph_reasons(edges, scheme, a, b, channel, accepted)
        if edges.graph
        else _catalog_reasons(edges, scheme, a, b, openshift)
    )
    return next(reasons, NoPath("no sequence of published updates leads there", "go to a version between"))


def _graph_reasons(
    edges: Edges, scheme: str, a: str, b: str, channel: str, accepted: Collection[str]
) -> Iterator[NoPath]:
    if unknown := [v for v in (a, b) if v not in edges.versions]:
        are = (
            "is in no update graph that is known"
            if len(unknown) == 1
            else "are in no update graph that is known"
        )
        yield NoPath(
            f"{' and '.join(unknown)} {are}", f"import it: knowngood refresh --component {edges.component}"
        )
        return
    if not edges.versions[b].previous:
        yield NoPath(f"no update to {b} is known", "choose a version whose edges are published")
    risky = path(edges, scheme, a, b, channel, tuple(edges.risks))
    if risky is not None:
        names = _always(edges, risky, accepted)
        alone = [n for n in names if path(edges, scheme, a, b, channel, (*accepted, n)) is not None]
        names = alone[:1] or names
        listed = ", ".join(names)
        yield NoPath(
            f"every way in channel {channel} meets a risk that holds for every cluster: {listed}",
            f"read it, then {' '.join(f'--accept-risk {n}' for n in names)}; or choose another goal",
        )
    others = [c for c in CHANNELS if c != channel and path(edges, scheme, a, b, c, accepted) is not None]
    if others:
        yield NoPath(
            f"channel {channel} has no way" + _outside(edges, a, b, channel),
            f"--channel {others[0]} has one" + (f", {', '.join(others[1:])} too" if others[1:] else ""),
        )
    if outside := _outside(edges, a, b, channel):
        yield NoPath(
            f"no channel holds a sequence of published updates that leads there{outside}",
            "choose another goal",
        )
    far = furthest(edges, scheme, a, b, channel, accepted)
    if far != a:
        yield NoPath(
            f"no sequence of published updates leads there; from {a} they go as far as {far}",
            f"choose a goal up to {far}, or wait: updates from the newest versions are published last",
        )
    yield NoPath(
        f"no update from {a} towards {b} is published in channel {channel}",
        "wait, or choose another --channel: updates from the newest versions are published last",
    )


def _outside(edges: Edges, a: str, b: str, channel: str) -> str:
    """Which end the goal's channel does not hold."""
    name = f"{channel}-{minor(b)}"
    if name not in edges.channels:
        return f": there is no {name}"
    missing = [v for v in ((a, b) if channel == "eus" else (b,)) if v not in edges.channels[name]]
    return f": {name} does not hold {' and '.join(missing)}" if missing else ""


def _always(edges: Edges, found: Path, accepted: Collection[str]) -> list[str]:
    names = {name for hop in found.hops for name in hop.risks}
    return sorted(n for n in names if edges.risks[n].always and n not in accepted)


def _catalog_reasons(edges: Edges, scheme: str, a: str, b: str, openshift: str) -> Iterator[NoPath]:
    free = replace(edges, steps=None)
    if edges.steps and path(free, scheme, a, b, openshift=openshift) is not None:
        source = edges.steps.sources[0].ref if edges.steps.sources else "no source"
        yield NoPath(
            f"the vendor supports no such step: {edges.steps.message} (source: {source})",
            f"the steps in order: {', '.join(edges.steps.order)}",
        )
    if openshift:
        good = [m for m in edges.catalogs if path(edges, scheme, a, b, openshift=m) is not None]
        if good:
            yield NoPath(
                f"the catalog of OpenShift {openshift} offers no way", f"those of {', '.join(good)} do"
            )
        if path(edges, scheme, a, b) is not None:
            yield NoPath(
                f"the catalog of OpenShift {openshift} offers no way, nor does any other alone",
                "leave --openshift out to see the way through several minors",
            )
    if instead := skipped_for(catalogs(edges, openshift, None), b):
        yield NoPath(f"OLM never updates to {b}: {instead} skips it", f"go to {instead}")
    if refused := list(unresolved(catalogs(edges, openshift, None))):
        yield NoPath(
            f"no catalog offers a way; OLM resolves nothing in {'; '.join(refused)}",
            "choose another channel, or ask who makes the catalog: a channel must have one head",
        )
    if edges.catalogs:
        yield NoPath("no catalog offers a way", "install the operator anew, as its vendor describes")
