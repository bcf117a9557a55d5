"""What speaks against a release, what takes it back, and what is different when it is tried again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowngood.model.evidence import Evidence, GateSuite, Said
from knowngood.planner.again import (
    Attempt,
    Failure,
    Proof,
    against,
    differences,
    of_evidence,
    standing,
    told,
)

HERE, THERE = "ams-prod", "lab-small"
FAILED = Failure(
    run="r1",
    cluster=HERE,
    time="2026-08-22T03:00:00Z",
    because="gpu-1: gpu_errors: Xid 31",
    from_release="r580",
    gates="a" * 64,
    versions={"nvidia-driver": "610.57.04"},
    nodes=("gpu-1",),
    images={"gpu-1": {"nvidia-driver": "mirror/driver:580@sha256:11"}},
)
SAME = Attempt("r580", "a" * 64, {"nvidia-driver": "610.57.04"}, ("gpu-1", "gpu-2"), FAILED.images)
EARLIER, LATER = "2026-08-21T03:00:00Z", "2026-08-23T03:00:00Z"


def test_a_failure_stands_until_something_newer_proves_the_release() -> None:
    assert standing([FAILED], [], HERE) == (FAILED,)
    assert standing([FAILED], [Proof(HERE, EARLIER)], HERE) == (FAILED,)
    assert standing([FAILED], [Proof(HERE, LATER)], HERE) == ()


def test_what_happened_here_is_taken_back_by_a_proof_from_here_only() -> None:
    assert standing([FAILED], [Proof(THERE, LATER)], HERE) == (FAILED,)
    elsewhere = replace(FAILED, cluster=THERE)
    assert standing([elsewhere], [Proof("third", LATER)], HERE) == ()


@pytest.mark.parametrize(("proof", "failure"), [("someday", FAILED.time), (LATER, "someday")])
def test_times_that_cannot_be_read_take_nothing_back(proof: str, failure: str) -> None:
    found = replace(FAILED, time=failure)
    assert standing([found], [Proof(HERE, proof)], HERE) == (found,)


def test_each_run_is_told_once_this_clusters_own_first_then_the_newest() -> None:
    older, elsewhere = (
        replace(FAILED, run="r0", time=EARLIER),
        replace(FAILED, run="r9", cluster=THERE, time=LATER),
    )
    assert standing([FAILED, elsewhere, older, FAILED], [], HERE) == (FAILED, older, elsewhere)


def test_failures_of_others_bar_no_way_back_to_a_state_of_this_very_cluster() -> None:
    elsewhere = replace(FAILED, run="r9", cluster=THERE)
    assert against([FAILED, elsewhere], HERE, own=True) == (FAILED,)
    assert against([FAILED, elsewhere], HERE, own=False) == (FAILED, elsewhere)


def test_the_same_try_once_more_is_said_plainly() -> None:
    assert differences(FAILED, SAME) == ()
    assert "Different now: nothing that is known: the same try once more" in told(FAILED, ())


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"gates": "b" * 64}, f"other gates judge: {'b' * 12}, then {'a' * 12}"),
        ({"from_release": "r595"}, "it starts from r595, then from r580"),
        (
            {"versions": {"nvidia-driver": "610.60.01"}},
            "the release names nvidia-driver 610.60.01, then 610.57.04",
        ),
        ({"nodes": ("gpu-2",)}, "gpu-1, on which it failed, is no part of it"),
        (
            {"images": {"gpu-1": {"nvidia-driver": "mirror/driver:580@sha256:22"}}},
            "nvidia-driver runs from driver:580@sha256:22 on gpu-1, then from driver:580@sha256:11",
        ),
    ],
)
def test_what_is_different_is_named(change: dict[str, object], line: str) -> None:
    assert differences(FAILED, replace(SAME, **change)) == (line,)  # type: ignore[arg-type]


def test_what_is_not_known_of_a_failure_is_no_difference() -> None:
    bare = Failure("r1", HERE, "2026-08-22T03:00:00Z", "Xid 31")
    assert differences(bare, SAME) == ()


def test_evidence_speaks_of_its_release_and_its_hardware_only() -> None:
    failed = Evidence(
        run="r1",
        cluster=THERE,
        release="r610",
        versions={"nvidia-driver": "610.57.04"},
        status="failed",
        time=EARLIER,
        profile="hgx",
        because="Xid 31",
        gates=GateSuite("a" * 64),
        verdicts=(Said("gpu_errors", "gpu-7", "fail"), Said("drift", "gpu-8", "pass")),
        from_release="r595",
    )
    others = (
        replace(failed, run="r2", release="r595"),
        replace(failed, run="r3", profile="xe"),
        replace(failed, run="r4", status="inconclusive"),
        replace(failed, run="r5", status="rehearsed"),
    )
    proven = replace(failed, run="r6", status="known-good", time=LATER)
    failures, proofs = of_evidence((failed, *others, proven), "r610", ("hgx",))
    assert [(f.run, f.nodes, f.from_release, f.gates) for f in failures] == [
        ("r1", ("gpu-7",), "r595", "a" * 64)
    ]
    assert proofs == [Proof(THERE, LATER, "hgx")]
