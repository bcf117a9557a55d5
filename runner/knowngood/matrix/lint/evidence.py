"""Rules about evidence: it must be about what it says, still count, and stand behind each status."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from knowngood.matrix.documents import KINDS, Evidence
from knowngood.matrix.lint.registry import Context, Finding, rule
from knowngood.model.errors import Location
from knowngood.model.hardware import pools_of
from knowngood.model.matrix import ReleaseStatus
from knowngood.planner.status import expiry, max_age_days, moment

_PROVES = {
    ReleaseStatus.REHEARSED.value: {ReleaseStatus.REHEARSED.value, ReleaseStatus.KNOWN_GOOD.value},
    ReleaseStatus.KNOWN_GOOD.value: {ReleaseStatus.KNOWN_GOOD.value},
}
"""Status -> the evidence that earns it."""


@rule("KG501", "An evidence file speaks about the release and the cluster that its path names.")
def evidence_is_where_it_says(context: Context) -> Iterator[Finding]:
    """Evidence that was moved by hand proves nothing."""
    for evidence in context.documents.evidence:
        value = evidence.value
        expected = f"{value['release']}-{value['run']}"
        if (evidence.cluster, evidence.name) != (value["cluster"], expected):
            yield Finding(
                _at(evidence),
                f"it speaks about {value['release']} on {value['cluster']}, run {value['run']}",
                f"move it to evidence/{value['cluster']}/{expected}.json",
            )
        for kind, name in (("releases", value["release"]), ("clusters", value["cluster"])):
            if name not in context.documents.names(kind):
                hint = f"restore {kind}/{name}.yaml: nothing is deleted"
                yield Finding(_at(evidence), f"there is no {KINDS[kind]} {name!r}", hint)


@rule("KG502", "A known-good release has evidence that counts as known-good.")
def known_good_is_proven(context: Context) -> Iterator[Finding]:
    """Only `promote` makes a release known-good, and it commits the evidence with it."""
    for document in context.documents.of("releases").values():
        if document.value["status"] == ReleaseStatus.KNOWN_GOOD and not _behind(context, document.name):
            yield Finding(
                document.at("status"),
                f"{document.name} is known-good without evidence",
                f"let a run on a pinned cluster write evidence/<cluster>/{document.name}-<run>.json,"
                " or set `status: candidate` where it was never proven",
            )


@rule(
    "KG503", "Evidence is no older than its `expires`, its cluster or its profile allow.", severity="warning"
)
def evidence_is_fresh(context: Context) -> Iterator[Finding]:
    """Firmware, tenants and neighbours change; what was proven a year ago is a memory."""
    for evidence in context.documents.evidence:
        release = context.matrix.releases.get(str(evidence.value["release"]))
        ends = expires(context, evidence)
        closed = release is not None and release.status in (ReleaseStatus.REVOKED, ReleaseStatus.DEPRECATED)
        if ends is not None and ends <= context.now and not closed:
            message = f"it ended on {ends:%Y-%m-%d}"
            yield Finding(_at(evidence), message, "run the gates again; a newer run writes a file of its own")


@rule("KG504", "A known-good release has evidence that still counts.", severity="warning")
def known_good_is_fresh(context: Context) -> Iterator[Finding]:
    """Its status is kept, but nobody knows any more whether it is true."""
    for document in context.documents.of("releases").values():
        behind = _behind(context, document.name)
        if document.value["status"] != ReleaseStatus.KNOWN_GOOD or not behind:
            continue
        ends = [expires(context, e) for e in behind]
        known = [end for end in ends if end is not None]
        if len(known) == len(ends) and max(known) <= context.now:
            message = f"the last evidence for {document.name} ended on {max(known):%Y-%m-%d}"
            yield Finding(document.at("status"), message, "prove it again on a pinned cluster, or revoke it")


@rule("KG505", "Evidence is about the versions that its release names.")
def evidence_has_the_versions(context: Context) -> Iterator[Finding]:
    """What was proven with another driver says nothing of this one."""
    for evidence in context.documents.evidence:
        release = context.matrix.releases.get(str(evidence.value["release"]))
        for name, version in evidence.value["versions"].items() if release else ():
            named = release.components.get(name, "") if release else ""
            if named and named != version:
                yield Finding(
                    _at(evidence),
                    f"it is about {name} {version}; {evidence.value['release']} names {named}",
                    "give the changed versions a release of their own",
                )


@rule("KG506", "Evidence has a time that exists, and does not come from the future.")
def evidence_has_a_time(context: Context) -> Iterator[Finding]:
    """Its age decides whether it counts."""
    for evidence in context.documents.evidence:
        for field in ("time", "expires"):
            try:
                found = moment(str(evidence.value[field])) if field in evidence.value else None
            except ValueError as error:
                yield Finding(_at(evidence), f"{field}: {error}", "restore the file as the run wrote it")
                continue
            if field == "time" and found and (found - context.now).total_seconds() > _SKEW_SECONDS:
                message = f"it was taken in the future, {evidence.value['time']}"
                yield Finding(_at(evidence), message, "check the clock of the machine that wrote it")


_SKEW_SECONDS = 86_400
"""A day: the clocks of whoever writes and whoever checks differ, and so do their zones where one forgot it."""


def expires(context: Context, evidence: Evidence) -> datetime | None:
    """When it stops to count: the earlier of its own word and what cluster and profile allow; None where unreadable."""
    matrix, value = context.matrix, evidence.value
    cluster = matrix.clusters.get(str(value["cluster"]))
    said = [*(value.get("pools") or ()), *filter(None, [value.get("profile")])]
    named = said or (list(pools_of(cluster)) if cluster else [""])
    days = min(max_age_days(cluster, matrix.profiles.get(name)) for name in named)
    try:
        allowed = moment(expiry(str(value["time"]), days))
        own = moment(str(value["expires"])) if value.get("expires") else allowed
    except (ValueError, OverflowError):
        return None
    return min(allowed, own)


def _behind(context: Context, release: str) -> list[Evidence]:
    """The evidence that makes a release known-good."""
    wanted = _PROVES[ReleaseStatus.KNOWN_GOOD.value]
    return [
        e for e in context.documents.evidence if e.value["release"] == release and e.value["status"] in wanted
    ]


def _at(evidence: Evidence) -> Location:
    return Location(evidence.file, 1, 1)
