"""Paths and edges as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable

from knowngood.model.graph import Edges, Risk
from knowngood.model.text import Page, page
from knowngood.planner.edges.following import Edge, allowed, published
from knowngood.planner.edges.olm import skipped_for
from knowngood.planner.edges.path import Path
from knowngood.report.text import columns

KINDS = {
    "real": "published",
    "derived": "by the vendor's build rule",
    "reinstall": "by removing and installing the operator",
    "": "",
}


def path_text(edges: Edges, ends: tuple[str, str], channel: str, found: Path) -> Page:
    """The hops, and what is declared for each."""
    a, b = ends
    if not found.hops:
        return page([f"{edges.component} {a}: there already"])
    where = f", channel {channel}" if channel else ""
    hops = f"{len(found.hops)} hop{'s' * (len(found.hops) != 1)}"
    reboots = f"{found.worker_reboots} reboot{'s' * (found.worker_reboots != 1)} of each worker"
    lines = [f"{edges.component} {a} → {b}{where}: {hops}, {reboots}"]
    rows = [
        (str(n), f"{hop.start} → {hop.to}", KINDS[hop.kind], ", ".join(hop.risks) or "no declared risk")
        for n, hop in enumerate(found.hops, start=1)
    ]
    lines += columns(rows, "  ")
    met = sorted({name for hop in found.hops for name in hop.risks})
    lines += ["", "risks", *_risks(edges.risks[name] for name in met)] if met else []
    return page(lines)


def edge_text(edges: Edges, a: str, b: str, found: Edge) -> Page:
    """Whether the edge is there, why not, and the risks of this start and this target."""
    lines = [f"{edges.component} {a} → {b}: {_verdict(edges, a, b, found)}"]
    for title, names in (("always", found.always), ("on some clusters", found.conditional)):
        lines += [f"risks {title}", *_risks(edges.risks[name] for name in names)] if names else []
    return page(lines)


def _verdict(edges: Edges, a: str, b: str, found: Edge) -> str:
    if found.exists:
        kind = KINDS[found.kind]
        return f"an update, {kind}" if kind else "a move like any other: no graph says more"
    if edges.steps is not None and published(edges, a, b) and not allowed(edges.steps, a, b):
        return f"offered, but not supported: {edges.steps.message}"
    if instead := skipped_for(edges.catalogs.values(), b):
        return f"no update: {instead} skips {b}, so that OLM never goes there"
    return "no update"


def _risks(risks: Iterable[Risk]) -> list[str]:
    rows = [(r.name, "always" if r.always else "", f"gpu {r.gpu}", r.gist, r.url) for r in risks]
    return columns(rows, "  ")
