"""What upstream says now, as new text of our files. What people wrote by hand is kept: gists, judgements, notes.

Nothing is deleted: a risk that upstream no longer has stays as it is, and is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from knowngood.matrix.documents import Document
from knowngood.matrix.edge_text import channels_text, olm_text, releases_text, risk_text
from knowngood.model.errors import Location, UsageError
from knowngood.model.graph import Bundle, Catalog, Edges, Risk, Version
from knowngood.model.source import Source
from knowngood.planner.edges.following import SEMVER
from knowngood.planner.edges.path import minor
from knowngood.planner.spans import Known
from knowngood.planner.version import is_whole

GRAPH_DATA = "openshift/cincinnati-graph-data"
NOT_YET = "not described yet: read its url"
_READ = re.compile(rf"({GRAPH_DATA})(@\w+)? (channels/|blocked-edges/)")

Make = Callable[[Iterable[Source]], str]
"""Makes a file's text, given its sources."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One file of upstream's blocked-edges/: a risk on the edges to one version."""

    name: str
    to: str
    expression: str
    url: str
    always: bool
    fixed_in: str
    where: Location
    day: str = ""  # on which it was published; "" where the checkout does not tell


@dataclass(frozen=True, slots=True)
class GraphData:
    """A checkout of the graph-data repository. `commit` and `date` are "" where it is no Git checkout."""

    channels: Mapping[str, tuple[str, ...]]
    declared: tuple[Declared, ...]
    commit: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """New text by path below edges/<component>/, and what a person should know or do."""

    files: Mapping[str, str]
    notes: tuple[str, ...] = field(default=())


def openshift(
    files: Mapping[str, Document], edges: Edges, upstream: GraphData, current: Mapping[str, str]
) -> Refreshed:
    """The files of edges/openshift/ as the checkout has them; who may update to a version is kept as it is.

    `current` is the text of the files as they are: only one that changes takes the checkout's commit as its source.
    """
    channels, declared = upstream.channels, upstream.declared
    named = {v for versions in channels.values() for v in versions} | {d.to for d in declared}
    fresh = sorted(named - set(edges.versions))
    known = Known.of(SEMVER, {*edges.versions, *named})
    risks = _risks(edges.risks, declared)
    makers: dict[str, Make] = {
        **_releases(edges, known),
        "channels.yaml": partial(channels_text, {**edges.channels, **channels}, known),
        **{
            f"risks/{name}.yaml": partial(_risk_text, risk, known)
            for name, risk in {**edges.risks, **risks}.items()
        },
    }
    texts: dict[str, str] = {}
    for path, make in makers.items():
        document = files.get(path.removesuffix(".yaml"))
        sources = _sources(document.value["sources"]) if document else _new_sources(path, upstream)
        text = make(sources)
        texts[path] = text if text == current.get(path) else make(_as_of(sources, upstream))
    return Refreshed(texts, tuple(_notes(edges, risks, fresh)))


def operator(
    files: Mapping[str, Document], edges: Edges, scheme: str, fresh: Mapping[str, Catalog]
) -> Refreshed:
    """olm.yaml with those minors' catalogs as given; the other minors' stay."""
    document = files["olm"]
    odd = {b.version for b in _entries(fresh) if not _fits(scheme, b.version)}
    catalogs = {**edges.catalogs, **{minor: _without(catalog, odd) for minor, catalog in fresh.items()}}
    versions = {b.version for b in _entries(catalogs)} | {v for b in _entries(catalogs) for v in b.skips}
    known = Known.of(scheme, {*edges.versions, *versions})
    value = document.value
    bundles = [*(Bundle(v) for v in versions - set(edges.versions)), *_written(value["bundles"], known)]
    text = olm_text(value["package"], bundles, catalogs, known, _sources(value["sources"]))
    new = sorted(versions - set(edges.versions))
    notes = [f"new bundles: {', '.join(new)}"] if new else []
    notes += [f"left out, because the scheme is {scheme}: {', '.join(sorted(odd))}"] if odd else []
    return Refreshed({"olm.yaml": text}, tuple(notes))


def _entries(catalogs: Mapping[str, Catalog]) -> Iterable[Bundle]:
    return (b for c in catalogs.values() for channel in c.channels.values() for b in channel)


def _fits(scheme: str, version: str) -> bool:
    try:
        return is_whole(scheme, version)
    except ValueError:
        return False


def _without(catalog: Catalog, odd: Collection[str]) -> Catalog:
    """The catalog without those bundles, and without channels that hold nothing else."""
    channels = {
        name: tuple(
            replace(b, skips=tuple(v for v in b.skips if v not in odd))
            for b in entries
            if b.version not in odd
        )
        for name, entries in catalog.channels.items()
    }
    return replace(catalog, channels={name: entries for name, entries in channels.items() if entries})


def _releases(edges: Edges, known: Known) -> dict[str, Make]:
    """Every releases file: the names that are new in it, and spans that mean what they meant."""
    by_minor: dict[str, dict[str, Version]] = {}
    for version in known.order:
        by_minor.setdefault(minor(version), {})[version] = edges.versions.get(version, Version(version))
    return {
        f"releases-{name}.yaml": partial(releases_text, versions, known)
        for name, versions in by_minor.items()
    }


def _risk_text(risk: Risk, known: Known, sources: Iterable[Source]) -> str:
    return risk_text(replace(risk, sources=tuple(sources)), known)


def _risks(ours: Mapping[str, Risk], declared: Iterable[Declared]) -> dict[str, Risk]:
    """Upstream's risks with our gist, judgement and dates."""
    found: dict[str, list[Declared]] = {}
    for each in declared:
        found.setdefault(each.name, []).append(each)
    return {name: _risk(name, each, ours.get(name)) for name, each in found.items()}


def _risk(name: str, declared: list[Declared], ours: Risk | None) -> Risk:
    kinds = {d.always for d in declared}
    if len(kinds) > 1:
        raise UsageError(
            f"risk {name} holds for every cluster on some edges and not on others",
            where=declared[0].where,
            hint="one risk is one of both here; split it by hand",
        )
    fixed = {v for d in declared for v in d.fixed_in.split()}
    targets = {d.to: d.expression for d in declared}
    # Of what we have already, no day is added: that would be a thousand lines that nobody can review.
    new = {d.to: d.day for d in declared if d.day and not (ours and d.to in ours.targets)}
    return Risk(
        name=name,
        always=kinds.pop(),
        gist=ours.gist if ours else NOT_YET,
        url=declared[-1].url,
        gpu=ours.gpu if ours else "unknown",
        targets=targets,
        sources=ours.sources if ours else (),
        where=declared[0].where,
        fixed_in=tuple(Known.of(SEMVER, fixed).order),
        declared={v: day for v, day in {**new, **(ours.declared if ours else {})}.items() if v in targets},
    )


def _notes(edges: Edges, risks: Mapping[str, Risk], fresh: list[str]) -> Iterable[str]:
    yield "who may update to a version (`previous`) is not in this repository: kept as it is"
    if fresh:
        yield f"{len(fresh)} new versions are known by name only: {', '.join(fresh[:5])}{' ...' * (len(fresh) > 5)}"
    if new := sorted(set(risks) - set(edges.risks)):
        yield f"write gist and gpu of the new risks: {', '.join(new)}"
    if gone := sorted(set(edges.risks) - set(risks)):
        yield f"no longer declared upstream, kept here: {', '.join(gone)}"


def _written(bundles: Mapping[str, Mapping[str, str]], known: Known) -> list[Bundle]:
    return [
        Bundle(v, b.get("replaces", ""), known.expand(b.get("skips", "")), b.get("skipRange", ""))
        for v, b in bundles.items()
    ]


def _sources(values: Iterable[Mapping[str, str]]) -> list[Source]:
    return [Source(v["ref"], v.get("date", ""), bool(v.get("verified", True))) for v in values]


def _new_sources(path: str, upstream: GraphData) -> list[Source]:
    """Of a file that the checkout brings."""
    name = path.removeprefix("risks/")
    there = f"blocked-edges/*-{name}" if name != path else "channels/: names" if "-" in path else "channels/"
    return [Source(f"{GRAPH_DATA}{'@' * bool(upstream.commit)}{upstream.commit} {there}", upstream.date)]


def _as_of(sources: Iterable[Source], upstream: GraphData) -> list[Source]:
    """What was read in the checkout, with its commit; other sources as they are."""
    if not upstream.commit:
        return list(sources)
    return [
        replace(s, ref=_READ.sub(rf"\1@{upstream.commit} \3", s.ref), date=upstream.date)
        if _READ.match(s.ref)
        else s
        for s in sources
    ]


def minor_of_channel(name: str) -> tuple[int, int]:
    """(4, 18) of `stable-4.18`."""
    first, second = name.rpartition("-")[2].split(".")
    return int(first), int(second)
