"""The status machine: each reason for which evidence is refused or counts for less, and what a status may become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.planner.matrices import HERE, SOURCE, component

from knowngood.model.evidence import MAX_AGE_DAYS, Evidence, GateSuite, Measured, Said
from knowngood.model.gitops import GitOps
from knowngood.model.matrix import Cluster, Identity, Limits, Profile, Release, ReleaseStatus
from knowngood.planner.status import (
    Standard,
    appraise,
    expiry,
    max_age_days,
    may_become,
    moment,
    raised,
    why_not_revoked,
    why_not_superseded,
)

DIGEST = "d" * 64
PIN = Identity("uid-1", "ca-1")
VERSIONS = {"nvidia-driver": "595.91.07", "rhcos-kernel": "5.14.0-427.el9_4"}
COMPONENTS = {
    "nvidia-driver": component("nvidia-driver", "nvidia-driver"),
    "rhcos-kernel": component("rhcos-kernel", "kernel"),
}
RELEASE = Release("r595", ReleaseStatus.CANDIDATE, VERSIONS, ("xe",), HERE)
GATES: Mapping[str, Mapping[str, Any]] = {
    "drift": {"kind": "passive"},
    "gpu_errors": {"kind": "passive"},
    "smoke_training": {"kind": "active", "backend": "cuda"},
}
PROFILE = Profile("xe", "XE7740", 8, "H200", "10de:233b", False, 0, "", "none", GATES, (SOURCE,), HERE)
CLUSTER = Cluster(
    name="ams",
    profile="xe",
    release="r580",
    control_plane=(),
    cpu=(),
    gpu=("gpu-1", "gpu-2"),
    virtual=(),
    rings=(),
    tenants=(),
    gitops=GitOps("file:///x", "main", ()),
    declarations=(),
    limits=Limits(),
    on_wave_failure="hold",
    where=HERE,
    identity=PIN,
)
MEASURED = Measured({**VERSIONS, "rhcos-kernel": "5.14.0-427.109.1.el9_4.x86_64"}, {"driver": "nv@sha256:1"})
GOOD = Evidence(
    run="r1",
    cluster="ams",
    release="r595",
    versions=VERSIONS,
    status="known-good",
    time="2026-08-22T03:00:00Z",
    profile="xe",
    because="as it was",
    identity=PIN,
    gates=GateSuite(DIGEST, "c" * 40),
    nodes={"gpu-1": MEASURED, "gpu-2": MEASURED},
    verdicts=(
        Said("drift", "gpu-1", "pass"),
        Said("drift", "gpu-2", "pass"),
        Said("smoke_training", "gpu-1", "pass", "cuda"),
        Said("gpu_errors", "gpu-1", "pass"),
        Said("gpu_errors", "gpu-2", "pass"),
    ),
)
STANDARD = Standard(
    release=RELEASE,
    profile=PROFILE,
    cluster=CLUSTER,
    components=COMPONENTS,
    gates=DIGEST,
    gates_from="commit cccccccccccc",
    now="2026-08-23T00:00:00Z",
)


def verdicts(*more: Said, without: str = "") -> tuple[Said, ...]:
    kept = tuple(v for v in GOOD.verdicts if f"{v.gate}/{v.node}" != without)
    return (*kept, *more)


def failed(time: str, **more: Any) -> Evidence:
    return replace(GOOD, run="r2", status="failed", because="Xid 31", time=time, **more)


def test_evidence_that_lacks_nothing_counts_as_known_good() -> None:
    worth = appraise(GOOD, STANDARD)
    assert (worth.status, worth.refusals) == (ReleaseStatus.KNOWN_GOOD, ())
    assert worth.expires == "2026-11-20T03:00:00Z"


REFUSED: dict[str, tuple[Evidence, Standard, str]] = {
    "a failed verdict": (
        replace(GOOD, verdicts=verdicts(Said("gpu_errors", "gpu-1", "fail"))),
        STANDARD,
        "gpu_errors on gpu-1: fail",
    ),
    "an inconclusive verdict": (
        replace(GOOD, verdicts=verdicts(Said("gpu_errors", "", "inconclusive"))),
        STANDARD,
        "gpu_errors on the cluster: inconclusive",
    ),
    "no verdict at all": (replace(GOOD, verdicts=()), STANDARD, "it holds no verdict"),
    "a required gate that said nothing": (
        replace(GOOD, verdicts=verdicts(without="smoke_training/gpu-1")),
        STANDARD,
        "smoke_training gave no verdict",
    ),
    "a passive gate that left a node out": (
        replace(GOOD, verdicts=verdicts(without="drift/gpu-2")),
        STANDARD,
        "drift gave no verdict on gpu-2",
    ),
    "evidence of a failure": (
        replace(GOOD, status="failed"),
        STANDARD,
        "it is the evidence of a run that proved nothing (failed): as it was",
    ),
    "evidence of a run that could not tell": (
        replace(GOOD, status="inconclusive"),
        STANDARD,
        "it is the evidence of a run that proved nothing (inconclusive): as it was",
    ),
    "another version": (
        replace(GOOD, versions={**VERSIONS, "nvidia-driver": "595.71.05"}),
        STANDARD,
        "it is of nvidia-driver 595.71.05, r595 names 595.91.07",
    ),
    "a component that the release does not name": (
        replace(GOOD, versions={**VERSIONS, "bios": "1.2.3"}),
        STANDARD,
        "it is of bios 1.2.3, r595 names none",
    ),
    "a component that was not proven": (
        replace(GOOD, versions={"nvidia-driver": "595.91.07"}),
        STANDARD,
        "it is of rhcos-kernel nothing, r595 names 5.14.0-427.el9_4",
    ),
    "a kernel that the release does not name": (
        replace(
            GOOD, nodes={**GOOD.nodes, "gpu-2": Measured({**VERSIONS, "rhcos-kernel": "5.14.0-570.el9_6"})}
        ),
        STANDARD,
        "gpu-2 ran rhcos-kernel 5.14.0-570.el9_6, r595 names 5.14.0-427.el9_4",
    ),
    "no word of the gates": (
        replace(GOOD, gates=GateSuite()),
        STANDARD,
        "it does not say which gates judged",
    ),
    "other gates than at the commit": (
        replace(GOOD, gates=GateSuite("e" * 64, "c" * 40)),
        STANDARD,
        "its gates (eeeeeeeeeeee) are not those of commit cccccccccccc (dddddddddddd)",
    ),
    "gates that can't be compared": (
        GOOD,
        replace(STANDARD, gates="", gates_from="no gates here"),
        "its gates can't be compared: no gates here",
    ),
    "age": (GOOD, replace(STANDARD, now="2026-11-20T03:00:00Z"), "it expired on 2026-11-20"),
    "an end that it says itself": (
        replace(GOOD, expires="2026-08-22T12:00:00Z"),
        STANDARD,
        "it expired on 2026-08-22",
    ),
    "a longer life than the matrix gives": (
        replace(GOOD, expires="2099-01-01T00:00:00Z"),
        replace(STANDARD, now="2026-12-01T00:00:00Z"),
        "it expired on 2026-11-20",
    ),
    "a time in the future": (
        replace(GOOD, time="2026-08-24T00:00:00Z"),
        STANDARD,
        "it was taken in the future (2026-08-24T00:00:00Z)",
    ),
    "a time that is none": (
        replace(GOOD, time="yesterday"),
        STANDARD,
        "its times can't be read: 'yesterday' is no time; write it like 2026-08-22T03:00:00Z",
    ),
    "a later failure": (
        GOOD,
        replace(STANDARD, others=(failed("2026-08-22T04:00:00Z"),)),
        "r595 failed later, in run r2 on ams at 2026-08-22T04:00:00Z: Xid 31",
    ),
    "a later failure on another cluster of the profile": (
        GOOD,
        replace(STANDARD, others=(failed("2026-08-22T04:00:00Z", cluster="fra"),)),
        "r595 failed later, in run r2 on fra at 2026-08-22T04:00:00Z: Xid 31",
    ),
    "a failure whose time can't be read": (
        GOOD,
        replace(STANDARD, others=(failed("?"),)),
        "r595 failed later, in run r2 on ams at ?: Xid 31",
    ),
    "another profile than the cluster's": (
        GOOD,
        replace(STANDARD, cluster=replace(CLUSTER, profile="hgx")),
        "it was taken on profile xe; ams has hgx",
    ),
    "a profile that the release is not for": (
        GOOD,
        replace(STANDARD, release=replace(RELEASE, profiles=("hgx",))),
        "r595 is not meant for profile xe",
    ),
    "an unknown release": (GOOD, replace(STANDARD, release=None), "the matrix has no release 'r595'"),
    "an unknown cluster": (GOOD, replace(STANDARD, cluster=None), "the matrix has no cluster 'ams'"),
    "an unknown profile": (GOOD, replace(STANDARD, profile=None), "the matrix has no profile 'xe'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_evidence_is_refused_with_the_exact_reason(name: str) -> None:
    evidence, standard, reason = REFUSED[name]
    worth = appraise(evidence, standard)
    assert worth.status is None
    assert worth.refusals == (reason,)
    assert worth.because == reason


def test_every_reason_is_told_at_once() -> None:
    bad = replace(GOOD, gates=GateSuite(), verdicts=(Said("drift", "gpu-1", "fail"),))
    assert len(appraise(bad, STANDARD).refusals) == 5


@pytest.mark.parametrize(
    "other",
    [
        failed("2026-08-22T02:59:59Z"),
        failed("2026-08-22T04:00:00Z", release="r610"),
        failed("2026-08-22T04:00:00Z", profile="hgx"),
        replace(failed("2026-08-22T04:00:00Z"), status="inconclusive"),
        replace(failed("2026-08-22T04:00:00Z"), status="rehearsed"),
    ],
    ids=["older", "another release", "another profile", "could not tell", "a rehearsal"],
)
def test_only_a_later_failure_of_the_same_release_and_profile_voids_it(other: Evidence) -> None:
    assert appraise(GOOD, replace(STANDARD, others=(other,))).status is ReleaseStatus.KNOWN_GOOD


LIMITED: dict[str, tuple[Evidence, Standard, str]] = {
    "no pinned identity": (
        GOOD,
        replace(STANDARD, cluster=replace(CLUSTER, identity=None)),
        "the cluster file pins no identity, as a rehearsal's never does",
    ),
    "another identity": (
        replace(GOOD, identity=Identity("uid-2", "ca-1")),
        STANDARD,
        "this is not the cluster that the cluster file pins",
    ),
    "no identity in it": (
        replace(GOOD, identity=None),
        STANDARD,
        "this is not the cluster that the cluster file pins",
    ),
    "a reference backend": (
        replace(
            GOOD,
            verdicts=verdicts(
                Said("smoke_training", "gpu-1", "pass", "reference"), without="smoke_training/gpu-1"
            ),
        ),
        STANDARD,
        "smoke_training ran on reference, not on cuda",
    ),
    "no backend": (
        replace(
            GOOD, verdicts=verdicts(Said("smoke_training", "gpu-1", "pass"), without="smoke_training/gpu-1")
        ),
        STANDARD,
        "smoke_training ran on no backend, not on cuda",
    ),
    "a node that could not be read": (
        replace(GOOD, nodes={"gpu-1": MEASURED}),
        STANDARD,
        "nvidia-driver and rhcos-kernel of gpu-2 could not be read when it was taken",
    ),
    "a kernel that could not be read": (
        replace(GOOD, nodes={**GOOD.nodes, "gpu-1": Measured({"nvidia-driver": "595.91.07"})}),
        STANDARD,
        "rhcos-kernel of gpu-1 could not be read when it was taken",
    ),
    "images that could not be read": (
        replace(GOOD, nodes={**GOOD.nodes, "gpu-1": replace(MEASURED, images={})}),
        STANDARD,
        "the images that ran on gpu-1 could not be read when it was taken",
    ),
    "an image known by its tag": (
        replace(GOOD, nodes={**GOOD.nodes, "gpu-1": replace(MEASURED, images={"driver": "nv:595"})}),
        STANDARD,
        "driver of gpu-1 is known by a tag only, and a tag can be pushed anew: nv:595",
    ),
}


@pytest.mark.parametrize("name", LIMITED)
def test_evidence_of_a_rehearsal_counts_as_rehearsed_and_says_why(name: str) -> None:
    evidence, standard, reason = LIMITED[name]
    worth = appraise(evidence, standard)
    assert (worth.status, worth.because) == (ReleaseStatus.REHEARSED, reason)


@pytest.mark.parametrize(
    ("cluster_days", "profile_days", "days"), [(0, 0, MAX_AGE_DAYS), (0, 30, 30), (7, 30, 7), (120, 30, 120)]
)
def test_the_cluster_says_how_long_evidence_counts_else_its_profile(
    cluster_days: int, profile_days: int, days: int
) -> None:
    cluster = replace(CLUSTER, evidence_max_age_days=cluster_days)
    profile = replace(PROFILE, evidence_max_age_days=profile_days)
    assert max_age_days(cluster, profile) == days


def test_times_are_compared_in_utc() -> None:
    assert (
        moment("2026-08-22T05:00:00+02:00") == moment("2026-08-22T03:00:00Z") == moment("2026-08-22T03:00:00")
    )
    assert expiry("2026-08-22", 1) == "2026-08-23T00:00:00Z"


FORWARD = {
    (ReleaseStatus(old), ReleaseStatus(new))
    for old, further in {
        "candidate": "rehearsed known-good revoked deprecated",
        "rehearsed": "known-good revoked deprecated",
        "known-good": "revoked deprecated",
        "deprecated": "revoked",
    }.items()
    for new in further.split()
}


@pytest.mark.parametrize("old", ReleaseStatus)
@pytest.mark.parametrize("new", ReleaseStatus)
def test_a_status_is_never_lowered_and_no_revocation_lifted(old: ReleaseStatus, new: ReleaseStatus) -> None:
    assert may_become(old, new) is (old is new or (old, new) in FORWARD)


@pytest.mark.parametrize("present", ReleaseStatus)
@pytest.mark.parametrize("earned", [ReleaseStatus.REHEARSED, ReleaseStatus.KNOWN_GOOD])
def test_a_proof_only_raises(present: ReleaseStatus, earned: ReleaseStatus) -> None:
    rises = (present, earned) in FORWARD
    assert raised(present, earned) is (earned if rises else present)


def test_a_revoked_release_is_not_revoked_again() -> None:
    revoked = replace(RELEASE, status=ReleaseStatus.REVOKED, reason="Xid 31")
    assert why_not_revoked(revoked) == "r595 is revoked already: Xid 31"
    assert why_not_revoked(RELEASE) == ""


OLD = replace(RELEASE, name="r580")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (OLD, RELEASE, ""),
        (OLD, replace(RELEASE, supersedes="r580"), ""),
        (OLD, OLD, "a release can't supersede itself"),
        (replace(OLD, status=ReleaseStatus.REVOKED), RELEASE, "r580 is revoked; it can't become deprecated"),
        (replace(OLD, status=ReleaseStatus.DEPRECATED), RELEASE, "r580 is deprecated already"),
        (
            OLD,
            replace(RELEASE, status=ReleaseStatus.REVOKED),
            "r595 is revoked; it can't take the place of another",
        ),
        (
            replace(OLD, status=ReleaseStatus.KNOWN_GOOD),
            replace(RELEASE, status=ReleaseStatus.REHEARSED),
            "r595 is only rehearsed, r580 is known-good: prove it first",
        ),
        (replace(OLD, profiles=("xe", "hgx")), RELEASE, "r595 is not meant for hgx, which r580 serves"),
        (
            OLD,
            replace(RELEASE, supersedes="r570"),
            "r595 supersedes r570 already; a release takes the place of one other",
        ),
        (replace(OLD, supersedes="r595"), RELEASE, "r580 supersedes r595: that would be a circle"),
    ],
)
def test_a_release_takes_the_place_of_another_only_where_nothing_is_lost(
    old: Release, new: Release, reason: str
) -> None:
    assert why_not_superseded({old.name: old, new.name: new}, old, new) == reason
