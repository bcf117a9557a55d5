"""Rules about what may change from one revision to the next. They speak only where a revision to compare with is named.

They compare values as they stand in the files, also of files that today's schema would refuse: the past is not wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from knowngood.matrix.documents import Document, Documents
from knowngood.matrix.lint.registry import Context, Finding, rule
from knowngood.matrix.reading import display
from knowngood.model.errors import Location
from knowngood.model.matrix import ReleaseStatus
from knowngood.model.values import Object
from knowngood.planner.status import TRANSITIONS, may_become


@rule("KG601", "A release is never deleted.")
def releases_stay(context: Context) -> Iterator[Finding]:
    """Who finds it on a cluster must find out here what was wrong with it."""
    yield from _deleted(context, "releases", "restore it; set `status: revoked` and a `reason` instead")


@rule("KG602", "A compatibility rule is never deleted.")
def rules_stay(context: Context) -> Iterator[Finding]:
    """A fact that was true once still explains what was decided by it."""
    yield from _deleted(
        context, "rules", "restore it; narrow `when` or set `severity: info`, and say why in `message`"
    )


@rule("KG603", "Evidence is never deleted and never edited.")
def evidence_stays(context: Context) -> Iterator[Finding]:
    """It is the record of what was seen; a later run writes its own file."""
    if context.base is None:
        return
    now = {_within(e.file): e for e in context.documents.evidence}
    broken = {_within(p.where.file) for p in context.documents.problems}
    for old in context.base.evidence:
        place = _within(old.file)
        where = Location(display(context.documents.root / place), 1, 1)
        if place in now and now[place].value != old.value:
            yield Finding(where, "it was edited after it was written", "restore it as the run wrote it")
        if place not in now and place not in broken:
            yield Finding(where, "it was deleted", "restore it: nothing is deleted, a release is revoked")


@rule("KG604", "A status goes forward: candidate, rehearsed, known-good, deprecated, revoked; never back.")
def status_goes_forward(context: Context) -> Iterator[Finding]:
    """A mended release is another one and gets a name of its own."""
    for old, new in _both(context, "releases"):
        before, after = _status(old), _status(new)
        if before and after and not may_become(before, after):
            may = (
                ", ".join(s.value for s in ReleaseStatus if s in TRANSITIONS[before])
                or "nothing: it is final"
            )
            message = f"{new.name} was {before}, it can't become {after}"
            yield Finding(
                new.at("status"), message, f"restore the status (from {before} it may become {may})"
            )


@rule("KG605", "The versions of a release that is more than a candidate are never edited.")
def versions_are_frozen(context: Context) -> Iterator[Finding]:
    """Its status was earned by these versions and no others."""
    for old, new in _both(context, "releases"):
        before, after = _components(old), _components(new)
        if _status(old) in (None, ReleaseStatus.CANDIDATE):
            continue
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                where = new.at("components", name) if name in after else new.at_key("components")
                message = (
                    f"{name} was {before.get(name, 'not named')}, now it is {after.get(name, 'not named')}"
                )
                hint = f"restore it, and make a new release that supersedes {new.name}"
                yield Finding(where, f"{message}; {new.name} is {_status(old)}", hint)


@rule("KG606", "A release that rises above candidate brings its evidence in the same change.")
def rise_brings_evidence(context: Context) -> Iterator[Finding]:
    """`promote` writes both in one commit; a status that was typed in was earned by nothing."""
    proven = {e.value["release"] for e in context.documents.evidence if e.value["status"] in _EARNS}
    old = context.base.by_kind["releases"] if context.base else {}
    for name, document in context.documents.of("releases").items() if context.base else ():
        rose = _status(document) is ReleaseStatus.REHEARSED and (
            name not in old or _status(old[name]) is ReleaseStatus.CANDIDATE
        )
        if rose and name not in proven:
            message = f"{name} is rehearsed, and there is no evidence of it"
            yield Finding(document.at("status"), message, "let `knowngood promote` set it, with the evidence")


_EARNS = (ReleaseStatus.REHEARSED.value, ReleaseStatus.KNOWN_GOOD.value)


@rule("KG607", "A risk that was declared on an edge is never deleted.")
def risks_stay(context: Context) -> Iterator[Finding]:
    """Clusters that took the edge still have it; `fixedIn` says where it ends."""
    if context.base is None:
        return
    for path in sorted(_risk_files(context.base)):
        if not (context.documents.root / path).exists():
            where = Location(display(context.documents.root / path), 1, 1)
            yield Finding(where, "it was deleted", "restore it, and say in it where it was fixed")


def _risk_files(documents: Documents) -> set[PurePosixPath]:
    found = (documents.root / "edges").glob("*/risks/*.yaml")
    return {PurePosixPath(path.relative_to(documents.root).as_posix()) for path in found}


def _deleted(context: Context, kind: str, hint: str) -> Iterator[Finding]:
    old = context.base.by_kind[kind] if context.base else {}
    for name in old:
        if name not in context.documents.by_kind[kind]:
            where = Location(display(context.documents.root / kind / f"{name}.yaml"), 1, 1)
            yield Finding(where, f"{name} was deleted", hint)


def _both(context: Context, kind: str) -> Iterator[tuple[Document, Document]]:
    """What stands in both revisions, then and now."""
    old = context.base.by_kind[kind] if context.base else {}
    for name, new in context.documents.by_kind[kind].items():
        if name in old and new.value:
            yield old[name], new


def _status(document: Document) -> ReleaseStatus | None:
    found: Any = document.value.get("status")
    return ReleaseStatus(found) if isinstance(found, str) and found in set(ReleaseStatus) else None


def _components(document: Document) -> Object:
    found: Any = document.value.get("components")
    return found if isinstance(found, dict) else {}


def _within(file: str) -> str:
    """A file's place in its matrix: the last three parts, `evidence/<cluster>/<name>`."""
    return "/".join(PurePosixPath(file).parts[-3:])
