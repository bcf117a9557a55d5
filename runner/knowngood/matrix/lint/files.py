"""Rules about files and compatibility rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from knowngood.matrix.documents import KINDS, Document
from knowngood.matrix.lint.registry import Context, Finding, rule, while_reading
from knowngood.matrix.reading import display
from knowngood.model.errors import Location
from knowngood.model.values import Values
from knowngood.planner.moving import VERSION
from knowngood.planner.rules.evaluation import parsed
from knowngood.planner.version import key

Path = tuple[str | int, ...]

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


while_reading(
    "KG001",
    "A data file is a plain UTF-8 file inside the matrix, and one YAML document of bounded size and depth.",
    "No anchors, aliases, tags or doubled keys: what a person reads is what the program reads.",
)
while_reading(
    "KG002",
    "A data file has the keys and the kinds of values that its schema in matrix/schema names.",
    "An unknown key is a typing error that would be ignored in silence.",
)


@rule("KG003", "Only data files lie in the data folders: NAME.yaml, and NAME.json as evidence.")
def only_yaml(context: Context) -> Iterator[Finding]:
    """A file of another kind would be ignored in silence."""
    for path in context.documents.strangers:
        yield Finding(
            Location(display(path), 1, 1), f"{path.name} is no data file", "rename it or move it away"
        )


@rule("KG004", "A file's name is its key: lower case letters, digits, dots and hyphens.")
def file_name_is_key(context: Context) -> Iterator[Finding]:
    """Names become node labels, folders and commit trailers."""
    for kind in KINDS:
        for name, document in context.documents.by_kind[kind].items():
            if not _NAME.fullmatch(name):
                yield Finding(
                    document.where, f"{name!r} can't be the name of a {KINDS[kind]}", "rename the file"
                )


@rule("KG101", "A compatibility rule names only known components.")
def rule_components_exist(context: Context) -> Iterator[Finding]:
    """A rule about an unknown component would never match."""
    known = context.documents.names("components")
    for document in context.documents.of("rules").values():
        for path, _ in _ranges(document.value):
            if path[-1] not in known:
                yield Finding(
                    document.at_key(*path),
                    f"there is no component {path[-1]!r}",
                    f"known are {', '.join(sorted(known))}",
                )


@rule("KG102", "A compatibility rule's ranges can be read by the component's version scheme.")
def ranges_are_readable(context: Context) -> Iterator[Finding]:
    """A range that can't be read can't be judged."""
    for document in context.documents.of("rules").values():
        for path, text in _ranges(document.value):
            component = context.matrix.components.get(str(path[-1]))
            problem = _unreadable(component.scheme, text) if component else ""
            if problem:
                yield Finding(document.at(*path), problem, "see docs/matrix.md, ranges")


@rule(
    "KG103", "A compatibility rule has one of `require`, `cases` and `claims`, and `decided` names a claim."
)
def rule_says_one_thing(context: Context) -> Iterator[Finding]:
    """Two ways to judge in one rule would hide one of them."""
    for document in context.documents.of("rules").values():
        ways = [way for way in ("require", "cases", "claims") if way in document.value]
        if len(ways) > 1:
            message = f"{' and '.join(ways)} in one rule"
            yield Finding(document.at_key(ways[-1]), message, "make two rules of it, one fact each")
        refs = [claim["source"]["ref"] for claim in document.value.get("claims", ())]
        if len(refs) == 1:
            yield Finding(
                document.at_key("claims"), "one claim is no conflict", "write `require` and `sources`"
            )
        if "decided" in document.value and document.value["decided"] not in refs:
            hint = f"claims are by {', '.join(refs)}" if refs else "only a rule with `claims` has it"
            yield Finding(document.at("decided"), "`decided` names no claim of this rule", hint)


@rule("KG104", "A component names only known components, and its ranges and versions can be read.")
def component_relations_exist(context: Context) -> Iterator[Finding]:
    """What follows an unknown component would never get a version."""
    matrix = context.matrix
    for document in context.documents.of("components").values():
        relations = list(_relations(document.value))
        for path, name in relations:
            if name not in context.documents.names("components"):
                hint = f"known are {', '.join(sorted(context.documents.names('components')))}"
                yield Finding(document.at(*path), f"there is no component {name!r}", hint)
        for path, scheme_of, text in _component_ranges(document.value):
            if scheme_of in matrix.components:
                problem = _unreadable(matrix.components[scheme_of].scheme, text)
                if problem:
                    yield Finding(document.at(*path), problem, "see docs/matrix.md, ranges")
        for text, version in document.value.get("follows", {}).get("versions", {}).items():
            try:
                key(document.value["scheme"], version)
            except ValueError as error:
                yield Finding(document.at("follows", "versions", text), str(error), "name one version")


@rule("KG105", "A mover tells its versions apart, and its line of the kernel log can be read.")
def movers_tell_versions_apart(context: Context) -> Iterator[Finding]:
    """What Git declares is read by it, and an arrival is proven by it."""
    for document in context.documents.of("components").values():
        mover = document.value.get("mover", {})
        said: dict[str, str] = {}
        for version, text in mover.get("values", {}).items():
            if text in said:
                what = f"{said[text]} and {version} are both declared as {text!r}"
                yield Finding(document.at("mover", "values", version), what, "give each a text of its own")
            said.setdefault(text, version)
        for kind, fields in mover.get("fields", {}).items():
            if not any(VERSION in text for text in fields.values()):
                what = f"no field of {kind} holds {VERSION}"
                yield Finding(document.at("mover", "fields", kind), what, "one must say which version it is")
        yield from _proofs(document, mover)
        yield from _beside(document, mover, context)


def _proofs(document: Document, mover: Values) -> Iterator[Finding]:
    """A banner that can't be read, or a version that nothing tells."""
    banner = mover.get("proof", {}).get("banner", "")
    try:
        known = re.compile(banner).groupindex
    except re.error as error:
        yield Finding(document.at("mover", "proof", "banner"), f"no regular expression: {error}", _BANNER)
    else:
        if banner and "version" not in known and "shows" not in mover:
            yield Finding(document.at("mover", "proof", "banner"), "it has no group `version`", _BANNER)


def _beside(document: Document, mover: Values, context: Context) -> Iterator[Finding]:
    """One beside another has what is that one's from there, and can't tell what runs by its load."""
    if "with" not in mover:
        return
    other = context.documents.of("components").get(mover["with"])
    if other is not None and "class" not in other.value.get("mover", {}):
        what = f"{mover['with']} has no pods of its own"
        yield Finding(document.at("mover", "with"), what, "name the component whose pods they are")
    for name in sorted(set(mover) & OF_THE_OTHER):
        yield Finding(document.at("mover", name), f"{name} is that of {mover['with']}", "leave it out")
    if "shows" not in mover:
        yield Finding(document.at("mover", "with"), "nothing tells what of it runs", "say it by `shows`")


OF_THE_OTHER = frozenset(
    {"class", "starts", "hold", "holds", "users", "order", "guards", "pods", "proof", "words"}
)


_BANNER = "write the line as the kernel prints it, with (?P<version>...) around the version"


def _ranges(value: Values) -> Iterator[tuple[Path, str]]:
    """Every range of a rule file: where it is (the component's name last) and its text."""
    tables: list[tuple[Path, Mapping[str, str]]] = [
        (("when",), value["when"]),
        (("require",), value.get("require", {})),
    ]
    for index, case in enumerate(value.get("cases", ())):
        tables += [(("cases", index, part), case[part]) for part in ("when", "require")]
    for index, claim in enumerate(value.get("claims", ())):
        tables.append((("claims", index, "require"), claim["require"]))
    for path, ranges in tables:
        yield from (((*path, name), text) for name, text in ranges.items())


def _relations(value: Values) -> Iterator[tuple[Path, str]]:
    """The other components that a component file names, each with its place."""
    for index, name in enumerate(value.get("movesWith", ())):
        yield ("movesWith", index), name
    mover = value.get("mover", {})
    for index, name in enumerate(mover.get("settles", ())):
        yield ("mover", "settles", index), name
    if "with" in mover:
        yield ("mover", "with"), mover["with"]
    if "operator" in mover.get("pods", {}):
        yield ("mover", "pods", "operator"), mover["pods"]["operator"]
    if "follows" in value:
        yield ("follows", "component"), value["follows"]["component"]
    for index, declared in enumerate(value.get("declaredBy", ())):
        yield from ((("declaredBy", index, "when", name), name) for name in declared.get("when", ()))


def _component_ranges(value: Values) -> Iterator[tuple[Path, str, str]]:
    """The ranges in a component file: place, the component whose scheme reads it, text."""
    follows = value.get("follows", {"component": "", "versions": {}})
    for text in follows["versions"]:
        yield ("follows", "versions", text), follows["component"], text
    for index, declared in enumerate(value.get("declaredBy", ())):
        for name, text in declared.get("when", {}).items():
            yield ("declaredBy", index, "when", name), name, text


def _unreadable(scheme: str, text: str) -> str:
    try:
        parsed(scheme, text)
    except ValueError as error:
        return str(error)
    return ""


@rule("KG005", "A matrix has components, releases and profiles.")
def matrix_is_there(context: Context) -> Iterator[Finding]:
    """An empty folder is a wrong `--matrix`, not an empty matrix."""
    for kind in ("components", "releases", "profiles"):
        if not context.documents.by_kind[kind]:
            where = Location(display(context.documents.root / kind), 1, 1)
            yield Finding(where, f"there are no {kind}", "name the folder that holds them, or add one")
