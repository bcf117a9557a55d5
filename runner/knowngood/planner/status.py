"""The status machine: what a release may become, and what evidence is worth. Pure; the only place that decides it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from knowngood.model.evidence import FAILED, INCONCLUSIVE, MAX_AGE_DAYS, Appraisal, Evidence, Said, by_pool
from knowngood.model.hardware import pools_of
from knowngood.model.matrix import Cluster, Component, Profile, Release, ReleaseStatus
from knowngood.planner.gates import applicable, judged_together, why_left_out
from knowngood.planner.version import runs

TRANSITIONS: Mapping[ReleaseStatus, frozenset[ReleaseStatus]] = {
    ReleaseStatus.CANDIDATE: frozenset(
        {ReleaseStatus.REHEARSED, ReleaseStatus.KNOWN_GOOD, ReleaseStatus.REVOKED, ReleaseStatus.DEPRECATED},
    ),
    ReleaseStatus.REHEARSED: frozenset(
        {ReleaseStatus.KNOWN_GOOD, ReleaseStatus.REVOKED, ReleaseStatus.DEPRECATED}
    ),
    ReleaseStatus.KNOWN_GOOD: frozenset({ReleaseStatus.REVOKED, ReleaseStatus.DEPRECATED}),
    ReleaseStatus.DEPRECATED: frozenset({ReleaseStatus.REVOKED}),
    ReleaseStatus.REVOKED: frozenset(),
}
"""What each status may become. Nothing is lowered and no revocation is lifted: a mended release has a new name."""

RANK = {ReleaseStatus.CANDIDATE: 0, ReleaseStatus.REHEARSED: 1, ReleaseStatus.KNOWN_GOOD: 2}
SKEW = timedelta(minutes=5)
"""How far in the future evidence may have been taken: clocks differ a little."""
REFERENCE = "reference"
"""The backend of a rehearsal: no profile makes evidence about GPUs of it."""
MUST_BE_READ = ("nvidia-driver", "rhcos-kernel")
"""Without these, evidence is bound to nothing on that node."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What evidence is measured against. `gates` are the digests that count, `gates_from` says whose they are.

    None and "" mean: the matrix has no such thing. `others` are the evidence files that the matrix holds.
    """

    release: Release | None
    profile: Profile | None
    cluster: Cluster | None
    components: Mapping[str, Component]
    gates: str
    gates_from: str
    now: str
    others: tuple[Evidence, ...] = field(default_factory=tuple)


def may_become(old: ReleaseStatus, new: ReleaseStatus) -> bool:
    """Whether a release may go from one status to another; staying is no change."""
    return old is new or new in TRANSITIONS[old]


def raised(present: ReleaseStatus, earned: ReleaseStatus) -> ReleaseStatus:
    """The status after a proof: never lower, and a revoked or deprecated release stays what it is."""
    if present in RANK and RANK[earned] > RANK[present]:
        return earned
    return present


def max_age_days(cluster: Cluster | None, profile: Profile | None) -> int:
    """How long evidence counts: the cluster's word, else the profile's, else the default."""
    of_cluster = cluster.evidence_max_age_days if cluster else 0
    of_profile = profile.evidence_max_age_days if profile else 0
    return of_cluster or of_profile or MAX_AGE_DAYS


def expiry(taken: str, days: int) -> str:
    """RFC 3339: when evidence taken at that time stops to count; ValueError."""
    try:
        ends = moment(taken) + timedelta(days=days)
    except OverflowError:
        raise _no_time(taken) from None
    return ends.isoformat(timespec="seconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """An RFC 3339 time, or a day, in UTC; ValueError says what one looks like."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC the first and the last day can lie outside the calendar
        raise _no_time(text) from None


def _no_time(text: str) -> ValueError:
    return ValueError(f"{text!r} is no time; write it like 2026-08-22T03:00:00Z")


def appraise_pools(evidence: Evidence, standard: Callable[[str], Standard]) -> Appraisal:
    """What evidence of several hardware profiles is worth together: what the least of its pools is.

    `standard` gives that of a profile. Evidence that lacks a pool of its cluster is refused.
    """
    parts = by_pool(evidence)
    worth = [appraise(part, standard(part.profile)) for part in parts]
    cluster = standard(parts[0].profile).cluster
    refusals = tuple(dict.fromkeys(text for one in worth for text in one.refusals))
    told = {part.profile for part in parts}
    if cluster and (silent := [p for p in cluster.pools if p not in told]):
        refusals = (*refusals, f"it says nothing of the pool {', '.join(silent)}")
    expires = min((one.expires for one in worth), key=_end)
    if refusals:
        return Appraisal(None, "; ".join(refusals), refusals, expires)
    least = min(worth, key=lambda one: RANK[one.status] if one.status else 0)
    return replace(least, expires=expires)


def _end(text: str) -> datetime:
    """When that is; what can't be read is said among the refusals."""
    return moment(text) if text else datetime.max.replace(tzinfo=UTC)


def appraise(evidence: Evidence, standard: Standard) -> Appraisal:
    """What the evidence is worth now: a status, or every reason why it is refused."""
    refusals = tuple(_refusals(evidence, standard))
    try:
        expires = _expires(evidence, standard)
    except ValueError:  # said among the refusals
        expires = ""
    if refusals:
        return Appraisal(None, "; ".join(refusals), refusals, expires)
    limits = next(_limits(evidence, standard), "")
    if limits:
        return Appraisal(ReleaseStatus.REHEARSED, limits, (), expires)
    return Appraisal(ReleaseStatus.KNOWN_GOOD, "every gate passed on the pinned cluster", (), expires)


def _refusals(evidence: Evidence, standard: Standard) -> Iterator[str]:
    """Why the evidence proves nothing."""
    release, profile, cluster = standard.release, standard.profile, standard.cluster
    if release is None or profile is None or cluster is None:
        for kind, name, found in (
            ("release", evidence.release, release),
            ("cluster", evidence.cluster, cluster),
            ("profile", evidence.profile, profile),
        ):
            if found is None:
                yield f"the matrix has no {kind} {name!r}"
        return
    if evidence.status in (FAILED, INCONCLUSIVE):
        yield f"it is the evidence of a run that proved nothing ({evidence.status}): {evidence.because}"
    if evidence.profile not in pools_of(cluster):
        yield f"it was taken on profile {evidence.profile}; {cluster.name} has {', '.join(pools_of(cluster))}"
    if evidence.profile not in release.profiles:
        yield f"{release.name} is not meant for profile {evidence.profile}"
    yield from _other_versions(evidence, release)
    yield from _bad_verdicts(evidence.verdicts)
    yield from _missing_gates(evidence.verdicts, profile, cluster)
    yield from _other_gates(evidence, standard)
    yield from _running_otherwise(evidence, release, standard.components)
    yield from _out_of_time(evidence, standard)


def _other_versions(evidence: Evidence, release: Release) -> Iterator[str]:
    for name in sorted({*evidence.versions, *release.components}):
        proven, named = evidence.versions.get(name), release.components.get(name)
        if proven != named:
            yield f"it is of {name} {proven or 'nothing'}, {release.name} names {named or 'none'}"


def _bad_verdicts(verdicts: Iterable[Said]) -> Iterator[str]:
    for said in verdicts:
        if said.verdict != "pass":
            yield f"{said.gate} on {said.node or 'the cluster'}: {said.verdict}"


def _missing_gates(verdicts: Iterable[Said], profile: Profile, cluster: Cluster) -> Iterator[str]:
    """Each gate must have said something; a passive one of every GPU node."""
    seen = {(said.gate, said.node) for said in verdicts}
    if not seen:
        yield "it holds no verdict"
        return
    gates = applicable(profile, judged_together(cluster, profile.name))
    for gate in (*gates.active, *gates.passive):
        if not any(name == gate for name, _ in seen):
            yield f"{gate} gave no verdict"
    for gate in gates.passive:
        silent = [
            n
            for n in pools_of(cluster).get(profile.name, ())
            if (gate, n) not in seen and (gate, "") not in seen
        ]
        if silent and any(name == gate for name, _ in seen):
            yield f"{gate} gave no verdict on {', '.join(silent)}"


def _other_gates(evidence: Evidence, standard: Standard) -> Iterator[str]:
    if not evidence.gates.digest:
        yield "it does not say which gates judged"
    elif not standard.gates:
        yield f"its gates can't be compared: {standard.gates_from}"
    elif evidence.gates.digest != standard.gates:
        yield (
            f"its gates ({evidence.gates.digest[:12]}) are not those of {standard.gates_from}"
            f" ({standard.gates[:12]})"
        )


def _running_otherwise(
    evidence: Evidence, release: Release, components: Mapping[str, Component]
) -> Iterator[str]:
    """What was measured must be what the release names."""
    for node, measured in sorted(evidence.nodes.items()):
        for name, version in release.components.items():
            running = measured.versions.get(name, "")
            component = components.get(name)
            running = component.reports.get(running, running) if component else running
            if running and component and not runs(component.scheme, version, running):
                yield f"{node} ran {name} {running}, {release.name} names {version}"


def _out_of_time(evidence: Evidence, standard: Standard) -> Iterator[str]:
    """In the future, expired, or older than a later failure: one green must not hide what came after it."""
    try:
        taken, now = moment(evidence.time), moment(standard.now)
        expires = moment(_expires(evidence, standard))
    except ValueError as error:
        yield f"its times can't be read: {error}"
        return
    if taken > now + SKEW:
        yield f"it was taken in the future ({evidence.time})"
    if expires <= now:
        yield f"it expired on {expires:%Y-%m-%d}"
    for other in standard.others:
        same = other.release == evidence.release and other.profile in ("", evidence.profile)
        if other.status != FAILED or not same:
            continue
        if (other.cluster, other.run) == (evidence.cluster, evidence.run):
            yield f"the matrix has this same run on record as failed: {other.because}"
        elif _after(other.time, taken):
            yield (
                f"{evidence.release} failed later, in run {other.run} on {other.cluster}"
                f" at {other.time}: {other.because}"
            )


def _after(time: str, taken: datetime) -> bool:
    """A failure whose time can't be read counts as later: it can't be shown to be older."""
    try:
        return moment(time) >= taken
    except ValueError:
        return True


def _expires(evidence: Evidence, standard: Standard) -> str:
    """The earlier of what the file says and what the matrix allows now."""
    allowed = expiry(evidence.time, max_age_days(standard.cluster, standard.profile))
    if evidence.expires and moment(evidence.expires) < moment(allowed):
        return evidence.expires
    return allowed


def _limits(evidence: Evidence, standard: Standard) -> Iterator[str]:
    """Why evidence that is good counts as no more than a rehearsal."""
    cluster, profile = standard.cluster, standard.profile
    if cluster is None or profile is None:
        return
    yield from (why_left_out(gate, profile.name) for gate in applicable(profile).left_out)
    if cluster.identity is None:
        yield "the cluster file pins no identity, as a rehearsal's never does"
    elif evidence.identity != cluster.identity:
        yield "this is not the cluster that the cluster file pins"
    for said in evidence.verdicts:
        wanted = str(profile.gates.get(said.gate, {}).get("backend", ""))
        if said.backend != wanted:
            yield f"{said.gate} ran on {said.backend or 'no backend'}, not on {wanted or 'no backend'}"
        elif said.backend == REFERENCE:
            yield f"{said.gate} ran on {REFERENCE}, as the profile asks: that shows nothing of a GPU"
    for node in pools_of(cluster).get(profile.name, ()):
        measured = evidence.nodes.get(node)
        unread = [name for name in MUST_BE_READ if not (measured and measured.versions.get(name))]
        if unread:
            yield f"{' and '.join(unread)} of {node} could not be read when it was taken"
        images = measured.images if measured else {}
        if not images:
            yield f"the images that ran on {node} could not be read when it was taken"
        for operand, image in sorted(images.items()):
            if "@sha256:" not in image:
                yield f"{operand} of {node} is known by a tag only, and a tag can be pushed anew: {image}"


def why_not_revoked(release: Release) -> str:
    """Why a release can't be revoked, "" where it can."""
    if release.status is ReleaseStatus.REVOKED:
        return f"{release.name} is revoked already: {release.reason}"
    return ""


def why_not_superseded(releases: Mapping[str, Release], old: Release, new: Release) -> str:
    """Why `new` can't take the place of `old`, "" where it can."""
    if old.name == new.name:
        return "a release can't supersede itself"
    if old.status is ReleaseStatus.DEPRECATED:
        return f"{old.name} is {old.status} already"
    if not may_become(old.status, ReleaseStatus.DEPRECATED):
        return f"{old.name} is {old.status}; it can't become {ReleaseStatus.DEPRECATED}"
    if new.status not in RANK:
        return f"{new.name} is {new.status}; it can't take the place of another"
    if RANK[new.status] < RANK.get(old.status, 0):
        return f"{new.name} is only {new.status}, {old.name} is {old.status}: prove it first"
    lost = [p for p in old.profiles if p not in new.profiles]
    if lost:
        return f"{new.name} is not meant for {', '.join(lost)}, which {old.name} serves"
    if new.supersedes not in ("", old.name):
        return f"{new.name} supersedes {new.supersedes} already; a release takes the place of one other"
    seen: set[str] = set()
    name = old.supersedes
    while name in releases and name not in seen:
        if name == new.name:
            return f"{old.name} supersedes {new.name}: that would be a circle"
        seen.add(name)
        name = releases[name].supersedes
    return ""
