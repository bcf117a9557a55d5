"""The files of `edges/<component>/` as one graph: spans written out, every version known, every fault with its place.

A fault leaves its value out, so that one bad word doesn't hide the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from knowngood.matrix.documents import Document, Documents, Fault
from knowngood.model.graph import Branch, Bundle, Catalog, Edges, Provenance, Risk, Steps, Version
from knowngood.model.matrix import Component
from knowngood.model.source import Source
from knowngood.planner.edges.following import SEMVER
from knowngood.planner.expression import compiled
from knowngood.planner.ranges import parse_range
from knowngood.planner.spans import Known
from knowngood.planner.version import is_whole

_OF_VALUES = {"span", "range", "expression", "default"}
"""Faults that stand at a value; the others at its key."""


def edges(documents: Documents, components: Mapping[str, Component]) -> dict[str, Edges]:
    """Every known component's edges; what is wrong with them goes to `documents.edge_faults`.

    A component with a broken file is left out: what that file would have named can't be missed elsewhere.
    """
    found: dict[str, Edges] = {}
    for name, files in documents.edges.items():
        component = components.get(name)
        if component is not None and all(document.valid for document in files.values()):
            builder = _Builder(name, component.scheme, files)
            found[name] = builder.edges()
            documents.edge_faults += builder.faults
    return found


@dataclass(slots=True)
class _Builder:
    """One component's files on their way to `Edges`."""

    component: str
    scheme: str
    files: Mapping[str, Document]
    faults: list[Fault] = field(default_factory=list)
    known: Known = field(init=False)

    def edges(self) -> Edges:
        self.known = Known.of(self.scheme, self._names())
        versions = self._versions()
        return Edges(
            component=self.component,
            versions={v: versions.get(v, Version(v)) for v in self.known.order},
            graph=any(name.startswith("releases-") for name in self.files),
            channels=self._channels(),
            catalogs=self._catalogs(),
            steps=self._steps(),
            risks=self._risks(),
            branches=self._branches(),
            package=next((document.value["package"] for document in self._of("olm")), ""),
            sources=tuple(source for document in self.files.values() for source in _sources(document)),
        )

    def _of(self, prefix: str) -> Iterator[Document]:
        return (document for name, document in self.files.items() if name.startswith(prefix))

    # What versions there are

    def _names(self) -> Iterator[str]:
        """Every version that fits the scheme, from all files."""
        first: dict[str, Document] = {}
        for document in self._of("releases-"):
            for version in (*document.value["versions"], *document.value.get("named", "").split()):
                if first.setdefault(version, document) is not document:
                    self._fault(
                        "twice",
                        document,
                        ("versions", version),
                        f"{version} stands in {first[version].file} too",
                        "keep one of them",
                    )
                yield from self._fitting(document, version)
        for document in (*self._of("versions"), *self._of("olm")):
            for version in (*document.value.get("versions", ()), *document.value.get("bundles", ())):
                yield from self._fitting(document, version)

    def _fitting(self, document: Document, version: str) -> Iterator[str]:
        try:
            fits = is_whole(self.scheme, version)
            problem = f"{version!r} is not a whole version"
        except ValueError as error:
            fits, problem = False, str(error)
        if fits:
            yield version
        else:
            path = next((p for p in ("versions", "bundles") if version in document.value.get(p, ())), "named")
            hint = f"the scheme of {self.component} is {self.scheme}"
            self._fault("version", document, (path, version), problem, hint)

    def _versions(self) -> dict[str, Version]:
        """What is known of each, beyond its name."""
        found: dict[str, Version] = {}
        for document in self._of("versions"):
            notes = document.value.get("notes", {})
            for version, released in document.value["versions"].items():
                found[version] = Version(version, released, note=notes.get(version, ""))
            for version in notes:
                if version not in document.value["versions"]:
                    self._fault(
                        "name",
                        document,
                        ("notes", version),
                        f"no version {version!r} is known here",
                        "add the version, or take the note away",
                    )
        for document in self._of("releases-"):
            derived = set(self._expand(document, "derived"))
            for version, value in document.value["versions"].items():
                found[version] = Version(
                    version,
                    released=value.get("released", ""),
                    previous=frozenset(self._expand(document, "versions", version, "previous")),
                    provenance=Provenance.DERIVED if version in derived else Provenance.REAL,
                    note=value.get("note", ""),
                    promoted=dict(value.get("promoted", {})),
                )
        return found

    def _expand(self, document: Document, *path: str | int) -> tuple[str, ...]:
        """The versions that the text at a path means; () where there is none, or where it has a fault."""
        value: Any = document.value
        for part in path:
            value = value.get(part, "") if isinstance(value, dict) else value[part]
        try:
            return self.known.expand(value)
        except ValueError as error:
            hint = "write A..B with both ends known, and pre-releases by name"
            self._fault("span", document, path, str(error), hint)
            return ()

    # Graphs

    def _channels(self) -> dict[str, tuple[str, ...]]:
        return {
            name: self._expand(document, "channels", name)
            for document in self._of("channels")
            for name in document.value["channels"]
        }

    def _catalogs(self) -> dict[str, Catalog]:
        return {
            catalog.openshift: catalog for document in self._of("olm") for catalog in self._of_olm(document)
        }

    def _of_olm(self, document: Document) -> Iterator[Catalog]:
        bundles = {
            version: self._bundle(document, "bundles", version) for version in document.value["bundles"]
        }
        seen: set[str] = set()
        for n, value in enumerate(document.value.get("catalogs", ())):
            channels: dict[str, tuple[Bundle, ...]] = {}
            for channel in value["channels"]:
                changed = {
                    version: self._bundle(document, "catalogs", n, "changed", channel, version)
                    for version in value.get("changed", {}).get(channel, ())
                }
                names = self._expand(document, "catalogs", n, "channels", channel)
                channels[channel] = tuple(changed.get(v) or bundles.get(v) or Bundle(v) for v in names)
                if names:
                    self._unused(document, (n, channel), changed, names)
            if value["default"] not in channels:
                self._fault(
                    "default",
                    document,
                    ("catalogs", n, "default"),
                    f"there is no channel {value['default']!r} in this catalog",
                    f"known are {', '.join(channels)}",
                )
            for minor in value["openshift"].split():
                if minor in seen:
                    self._fault(
                        "twice",
                        document,
                        ("catalogs", n, "openshift"),
                        f"{minor} has a catalog already",
                        "name a minor once",
                    )
                seen.add(minor)
                where = document.at("catalogs", n)
                yield Catalog(minor, value["default"], channels, _sources(document), where)

    def _unused(
        self,
        document: Document,
        place: tuple[int, str],
        changed: Mapping[str, Bundle],
        names: tuple[str, ...],
    ) -> None:
        n, channel = place
        for version in changed:
            if version not in names:
                message = f"channel {channel!r} does not hold {version}"
                self._fault(
                    "name",
                    document,
                    ("catalogs", n, "changed", channel, version),
                    message,
                    "add it to the channel, or take it away",
                )

    def _bundle(self, document: Document, *path: str | int) -> Bundle:
        value: Any = document.value
        for part in path:
            value = value[part]
        skip_range = value.get("skipRange", "")
        try:
            if skip_range:
                parse_range(SEMVER, skip_range)
        except ValueError as error:
            self._fault("range", document, (*path, "skipRange"), str(error), "OLM's ranges: `>=1.2.0 <1.4.0`")
            skip_range = ""
        skips = self._expand(document, *path, "skips")
        return Bundle(str(path[-1]), value.get("replaces", ""), skips, skip_range)

    # What stands beside the graphs

    def _steps(self) -> Steps | None:
        for document in self._of("steps"):
            v = document.value
            return Steps(
                order=tuple(v["order"]),
                at_most=v.get("atMost", 1),
                message=v["message"],
                sources=_sources(document),
                where=document.where,
                reinstall=v.get("reinstall", False),
            )
        return None

    def _risks(self) -> dict[str, Risk]:
        return {document.name: self._risk(document) for document in self._of("risks/")}

    def _risk(self, document: Document) -> Risk:
        v = document.value
        targets: dict[str, str] = {}
        for n, entry in enumerate(v["edges"]):
            try:
                compiled(entry["from"])
            except ValueError as error:
                self._fault(
                    "expression",
                    document,
                    ("edges", n, "from"),
                    str(error),
                    "write it plainer; `[0-9]` and `.*` are fine",
                )
                continue
            for target in self._expand(document, "edges", n, "to"):
                if target in targets:
                    message = f"{target} is a target of this risk already"
                    self._fault("twice", document, ("edges", n, "to"), message, "one expression a target")
                targets[target] = entry["from"]
        for version in v.get("declared", {}):
            if version not in targets:
                message = f"{version} is no target of this risk"
                self._fault(
                    "name", document, ("declared", version), message, "add the target, or take the day away"
                )
        return Risk(
            name=document.name,
            always=v["always"],
            gist=v["gist"],
            url=v["url"],
            gpu=v["gpu"],
            targets=targets,
            sources=_sources(document),
            where=document.where,
            fixed_in=tuple(v.get("fixedIn", "").split()),
            declared=dict(v.get("declared", {})),
        )

    def _branches(self) -> tuple[Branch, ...]:
        found: list[Branch] = []
        for document in self._of("versions"):
            for text, value in document.value.get("branches", {}).items():
                try:
                    parse_range(self.scheme, text)
                except ValueError as error:
                    self._fault(
                        "range", document, ("branches", text), str(error), "see docs/matrix.md, ranges"
                    )
                    continue
                found.append(Branch(text, value["kind"], value.get("end", ""), value.get("note", "")))
        return tuple(found)

    def _fault(
        self, subject: str, document: Document, path: tuple[str | int, ...], message: str, hint: str
    ) -> None:
        where = document.at(*path) if subject in _OF_VALUES else document.at_key(*path)
        self.faults.append(Fault(subject, where, message, hint))


def _sources(document: Document) -> tuple[Source, ...]:
    return tuple(
        Source(s["ref"], s.get("date", ""), s.get("verified", True)) for s in document.value["sources"]
    )
