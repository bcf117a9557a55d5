"""Which cluster of a fleet moves next. Pure.

A stage is proven when each of its clusters that the releases are meant for is: pinned to its release, with evidence
that it ran there. A run that ended `done`, with its record delivered, writes both; who pins by hand writes no evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from knowngood.model.errors import UsageError
from knowngood.model.evidence import FAILED, Evidence
from knowngood.model.hardware import pools_of
from knowngood.model.matrix import Matrix, ReleaseStatus
from knowngood.model.plan import Plan
from knowngood.model.stages import Stage
from knowngood.planner.consent import untried
from knowngood.planner.status import moment


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a pin is no proof. `failed`: the run that the release failed in there, which no person's word takes away."""

    why: str
    failed: str = ""


PROOF = (ReleaseStatus.REHEARSED, ReleaseStatus.KNOWN_GOOD)
"""What evidence of a run that ended `done` is worth."""


def aims(matrix: Matrix, stages: Sequence[Stage], wanted: Sequence[str]) -> dict[str, str]:
    """Cluster -> the release that it goes to.

    `wanted`: RELEASE for all whose hardware it is meant for, or CLUSTER=RELEASE. A cluster that nothing wanted is meant
    for is left out. UsageError for a name that no stage has, where two releases are meant for one cluster, and for a
    release that moves nobody.
    """
    clusters = [name for stage in stages for name in stage.clusters]
    pairs = [text.partition("=") for text in dict.fromkeys(wanted)]
    found = {cluster: release for cluster, sign, release in pairs if sign}
    if strangers := sorted(found.keys() - {*clusters}):
        raise UsageError(f"{strangers[0]} is in no stage", hint=f"the stages have {', '.join(clusters)}")
    releases = [release for release, sign, _ in pairs if not sign]
    for name in (name for name in clusters if name not in found):
        kinds = pools_of(matrix.clusters[name])
        fitting = [r for r in releases if {*kinds} <= {*matrix.releases[r].profiles}]
        if len(fitting) > 1:
            raise UsageError(
                f"{' and '.join(fitting)} are both meant for {' and '.join(kinds)}, so for {name}",
                hint=f"--to {name}=RELEASE says which",
            )
        found |= dict.fromkeys([name], fitting[0]) if fitting else {}
    for release in releases:
        if release not in found.values():
            meant = ", ".join(matrix.releases[release].profiles)
            raise UsageError(
                f"{release} is meant for {meant}, and no cluster that is left is that",
                hint="knowngood fleet status lists them",
            )
    return {name: found[name] for name in clusters if name in found}


def pinned(matrix: Matrix, aim: Mapping[str, str]) -> frozenset[str]:
    """The clusters that are pinned to where they go."""
    return frozenset(name for name, release in aim.items() if matrix.clusters[name].release == release)


def doubts(matrix: Matrix, aim: Mapping[str, str], evidence: Collection[Evidence]) -> dict[str, Doubt]:
    """Of the clusters that are pinned to where they go: why no evidence says that they ran there well.

    Evidence that has run out does not: it was judged well there, and age alone stops no fleet; see `aged`.
    """
    found = {name: _doubt(_newest(evidence, name, aim[name]), aim[name]) for name in pinned(matrix, aim)}
    return {name: doubt for name, doubt in found.items() if doubt}


def aged(matrix: Matrix, aim: Mapping[str, str], evidence: Collection[Evidence], now: str) -> dict[str, str]:
    """Of the clusters that are proven where they go: whose evidence has run out at `now`, in words."""
    newest = {name: _newest(evidence, name, aim[name]) for name in there(matrix, aim, evidence)}
    return {
        name: f"the evidence of run {e.run} has run out ({e.expires}); a new run renews it"
        for name, e in newest.items()
        if e and e.expires and moment(e.expires) <= moment(now)
    }


def _newest(evidence: Iterable[Evidence], cluster: str, release: str) -> Evidence | None:
    """What could not be told says nothing: of the others the newest counts."""
    there = (e for e in evidence if e.cluster == cluster and e.release == release)
    return max((e for e in there if e.status in (*PROOF, FAILED)), key=lambda e: moment(e.time), default=None)


def _doubt(newest: Evidence | None, release: str) -> Doubt | None:
    if newest is None:
        return Doubt(f"no evidence says that {release} ran there")
    return (
        Doubt(f"{release} failed there in run {newest.run}", newest.run) if newest.status == FAILED else None
    )


def there(
    matrix: Matrix,
    aim: Mapping[str, str],
    evidence: Collection[Evidence],
    believed: Collection[str] = (),
) -> frozenset[str]:
    """The clusters that are proven where they go. `believed`: of whom a person said that the pin will do.

    Where the release failed, no pin will do.
    """
    return pinned(matrix, aim) - standing_doubts(doubts(matrix, aim, evidence), believed).keys()


def standing_doubts(found: Mapping[str, Doubt], believed: Collection[str]) -> dict[str, Doubt]:
    """The doubts that a person's word for a pin does not take away."""
    return {name: doubt for name, doubt in found.items() if doubt.failed or name not in believed}


@dataclass(frozen=True, slots=True)
class Turn:
    """What to do now: start these clusters. `stage` is the one that is open, None when every one is proven.

    `failed`: clusters for which nothing more is started, here or in a later stage.
    """

    stage: Stage | None
    start: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def turn(
    stages: Sequence[Stage],
    aim: Mapping[str, str],
    proven: Collection[str],
    running: Collection[str],
    failed: Collection[str],
) -> Turn:
    """Whose turn it is. A stage opens when all before it are proven; one that failed lets nothing more start."""
    for stage in stages:
        open_ = [c for c in stage.clusters if c in aim and c not in proven]
        if not open_:
            continue
        bad = tuple(c for c in open_ if c in failed)
        room = 0 if bad else stage.at_once - sum(c in running for c in open_)
        return Turn(stage, tuple([c for c in open_ if c not in running][: max(room, 0)]), bad)
    return Turn(None)


def proven_before(
    matrix: Matrix, stages: Sequence[Stage], aim: Mapping[str, str], cluster: str
) -> tuple[str, ...]:
    """Clusters of earlier stages that make evidence for this one's hardware on the way to the same release.

    One for each of its hardware profiles; none where one profile has none: a cluster that pins no identity makes none.
    """
    earlier: list[str] = []
    for stage in stages:
        if cluster in stage.clusters:
            break
        earlier += [
            n for n in stage.clusters if aim.get(n) == aim.get(cluster) and matrix.clusters[n].identity
        ]
    found: list[str] = []
    for profile in pools_of(matrix.clusters[cluster]):
        speaks = [name for name in earlier if profile in pools_of(matrix.clusters[name])]
        if not speaks:
            return ()
        found.append(speaks[0])
    return tuple(dict.fromkeys(found))


def unproven(plan: Plan, evidence: Iterable[Evidence], now: str, before: Collection[str]) -> tuple[str, ...]:
    """The components that need a yes: no canary, proven on no other cluster, and by none of an earlier stage."""
    return () if before else tuple(dict.fromkeys(m.component for m in untried(plan, evidence, now)))
