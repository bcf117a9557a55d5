"""Edges as the text of their files: one form for each value, so that a refresh shows only what changed."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from knowngood.model.graph import Bundle, Catalog, Provenance, Risk, Version
from knowngood.model.source import Source
from knowngood.planner.spans import Known

WIDTH = 120
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/@+-]*", re.ASCII)
_NO_TEXT = re.compile(r"[0-9]+([.][0-9]*)?|true|false|null|yes|no|on|off", re.ASCII | re.IGNORECASE)
"""What other readers of YAML would take for a number or a word of theirs."""


def releases_text(versions: Mapping[str, Version], known: Known, sources: Iterable[Source]) -> str:
    """`releases-<minor>.yaml`: those versions; one without `previous` is known by name only."""
    named = [v for v, version in versions.items() if not version.previous and not version.released]
    derived = [v for v, x in versions.items() if x.provenance is Provenance.DERIVED]
    return _file(
        "edge-releases",
        *_field("derived", known.compress(derived)),
        *_field("named", " ".join(v for v in known.order if v in named)),
        "versions:" if len(named) < len(versions) else "versions: {}",
        *(
            line
            for v in known.order
            if v in versions and v not in named
            for line in _version(versions[v], known)
        ),
        *_sources(sources),
    )


def channels_text(channels: Mapping[str, Iterable[str]], known: Known, sources: Iterable[Source]) -> str:
    """`channels.yaml`."""
    lines = [
        line
        for name in sorted(channels, key=_channel_place)
        for line in _field(name, known.compress(set(channels[name])), "  ")
    ]
    return _file("edge-channels", "channels:", *lines, *_sources(sources))


def risk_text(risk: Risk, known: Known) -> str:
    """`risks/<name>.yaml`."""
    by_expression: dict[str, set[str]] = defaultdict(set)
    for target, expression in risk.targets.items():
        by_expression[expression].add(target)
    first = {e: min(known.order.index(t) for t in targets) for e, targets in by_expression.items()}
    lines: list[str] = []
    for expression in sorted(first, key=lambda e: (first[e], e)):
        lines += [f"  - from: {json.dumps(expression)}"]
        lines += _field("to", known.compress(by_expression[expression]), "    ")
    return _file(
        "edge-risk",
        f"always: {str(risk.always).lower()}",
        *_field("gist", risk.gist),
        f"url: {risk.url}",
        f"gpu: {risk.gpu}",
        "edges:",
        *lines,
        *_field("fixedIn", " ".join(risk.fixed_in)),
        *(["declared:"] if risk.declared else []),
        *(f"  {_quoted(v)}: {day}" for v, day in sorted(risk.declared.items())),
        *_sources(risk.sources),
        folder="../../../schema",
    )


def olm_text(
    package: str,
    bundles: Iterable[Bundle],
    catalogs: Mapping[str, Catalog],
    known: Known,
    sources: Iterable[Source],
) -> str:
    """`olm.yaml`: each bundle once, as most catalogs have it; catalogs that hold the same, once."""
    usual = _usual(bundles, catalogs.values())
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for minor in sorted(catalogs, key=_numbers):
        groups[tuple(_catalog(catalogs[minor], usual, known))].append(minor)
    return _file(
        "edge-olm",
        f"package: {package}",
        "bundles:",
        *(f"  {_quoted(v)}: {_bundle(usual[v], known)}" for v in known.order if v in usual),
        *(["catalogs:"] if groups else []),
        *(
            line
            for lines, minors in groups.items()
            for line in (f"  - openshift: {_quoted(' '.join(minors))}", *lines)
        ),
        *_sources(sources),
    )


def _usual(bundles: Iterable[Bundle], catalogs: Iterable[Catalog]) -> dict[str, Bundle]:
    """Each bundle as most channels have it; one that no channel holds as it is given."""
    seen: dict[str, Counter[Bundle]] = defaultdict(Counter)
    for catalog in catalogs:
        for entries in catalog.channels.values():
            for bundle in entries:
                seen[bundle.version][bundle] += 1
    usual = {v: max(found, key=lambda b: (found[b], repr(b))) for v, found in seen.items()}
    return {b.version: b for b in bundles} | usual


def _catalog(catalog: Catalog, usual: Mapping[str, Bundle], known: Known) -> Iterator[str]:
    yield f"    default: {_quoted(catalog.default_channel)}"
    yield "    channels:"
    changed: dict[str, list[Bundle]] = {}
    for name in sorted(catalog.channels, key=_channel_place):
        entries = catalog.channels[name]
        yield from _field(name, known.compress({b.version for b in entries}), "      ")
        if other := [b for b in entries if b != usual[b.version]]:
            changed[name] = other
    if changed:
        yield "    changed:"
    place = {v: n for n, v in enumerate(known.order)}
    for name, others in changed.items():
        yield f"      {_quoted(name)}:"
        for bundle in sorted(others, key=lambda b: place[b.version]):
            yield f"        {_quoted(bundle.version)}: {_bundle(bundle, known)}"


def _bundle(bundle: Bundle, known: Known) -> str:
    parts = {
        "replaces": bundle.replaces,
        "skips": known.compress(bundle.skips),
        "skipRange": bundle.skip_range,
    }
    return "{" + ", ".join(f"{k}: {_quoted(v)}" for k, v in parts.items() if v) + "}"


def _version(version: Version, known: Known) -> Iterator[str]:
    fields = {
        "released": version.released,
        "previous": known.compress(version.previous),
        "note": version.note,
    }
    days = ", ".join(f"{kind}: {day}" for kind, day in version.promoted.items())
    promoted = [f"promoted: {{{days}}}"] if days else []
    flow = [f"{k}: {_quoted(v)}" for k, v in fields.items() if v or k == "previous"]
    line = f"  {version.version}: {{{', '.join((*flow[:1], *promoted, *flow[1:]))}}}"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"  {version.version}:"
    for name, value in fields.items():
        yield from _field(name, value, "    ")
        yield from (f"    {text}" for text in promoted if name == "released")


def _file(kind: str, *lines: str, folder: str = "../../schema") -> str:
    return "\n".join([f"# yaml-language-server: $schema={folder}/{kind}.json", *lines]) + "\n"


def _sources(sources: Iterable[Source]) -> Iterator[str]:
    yield "sources:"
    for source in sources:
        parts = [f"ref: {json.dumps(source.ref, ensure_ascii=False)}"]
        parts += [f"date: {source.date}"] if source.date else []
        parts += [] if source.verified else ["verified: false"]
        line = f"  - {{{', '.join(parts)}}}"
        yield from [line] if len(line) <= WIDTH + 30 else ["  - " + "\n    ".join(parts)]


def _field(key: str, value: str, indent: str = "") -> list[str]:
    """`key: value`, folded where it is long; nothing for an empty value."""
    if not value:
        return []
    line = f"{indent}{_quoted(key)}: {_quoted(value)}"
    if len(line) <= WIDTH:
        return [line]
    folded = textwrap.wrap(
        value, WIDTH, initial_indent=indent + "  ", subsequent_indent=indent + "  ", break_on_hyphens=False
    )
    return [f"{indent}{_quoted(key)}: >-", *folded]


def _quoted(text: str) -> str:
    """As it is where YAML reads it as this very text, else in quotes."""
    plain = _PLAIN.fullmatch(text) and not text.endswith(" ") and not _NO_TEXT.fullmatch(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"[0-9]+", text))


def _channel_place(name: str) -> tuple[tuple[int, ...], str]:
    return _numbers(name), name
