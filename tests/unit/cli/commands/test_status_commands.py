"""promote, revoke, supersede, exposure: one commit each, and nothing written where they refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.ops import Ops, evidence, ops_at, written

from knowngood.matrix.load import check


@pytest.fixture
def ops(tmp_path: Path) -> Ops:
    return ops_at(tmp_path / "ops")


def now(minutes: int = -1) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def test_evidence_that_the_matrix_could_not_read_is_not_committed(ops: Ops, tmp_path: Path) -> None:
    for more in ({"x": float("nan")}, {"run": "r" * 300}):
        for words in ((), ("--dry-run",)):
            said = promote(ops, tmp_path, *words, **more)
            assert (said.code, ops.commits()) == (2, 1), said.err


def promote(ops: Ops, tmp_path: Path, *more: str, **changes: Any) -> Said:
    file = written(tmp_path, evidence(ops, **{"time": now(), **changes}))
    return knowngood("promote", "old", "--evidence", file, "--matrix", ops.matrix, *more)


def test_evidence_from_the_pinned_cluster_makes_a_release_known_good_in_one_commit(
    ops: Ops, tmp_path: Path
) -> None:
    ops.pin_identity()
    before = ops.commits()
    said = promote(ops, tmp_path)
    assert said.code == 0, said.err
    assert "old: candidate → known-good" in said.out
    assert ops.release("old").startswith("status: known-good\n")
    assert ops.commits() == before + 1
    assert ops.git("status", "--porcelain") == ""
    kept = json.loads((ops.matrix / "evidence" / "lab" / "old-r1.json").read_text())
    assert (kept["status"], kept["because"]) == ("known-good", "every gate passed on the pinned cluster")
    assert kept["expires"] > kept["time"]
    assert "Knowngood-Run: r1" in ops.git("log", "-1", "--format=%(trailers)")
    assert not check(ops.matrix).errors, "what promote writes is a valid matrix"


def test_evidence_from_a_cluster_without_a_pin_makes_it_rehearsed_and_says_why(
    ops: Ops, tmp_path: Path
) -> None:
    said = promote(ops, tmp_path, "-o", "json")
    told = json.loads(said.out)
    assert (said.code, told["status"], told["because"]) == (
        0,
        "rehearsed",
        "the cluster file pins no identity, as a rehearsal's never does",
    )
    assert told["commit"] == ops.git("rev-parse", "HEAD")


def test_a_dry_run_says_what_it_is_worth_and_writes_nothing(ops: Ops, tmp_path: Path) -> None:
    said = promote(ops, tmp_path, "--dry-run")
    assert (said.code, ops.commits()) == (0, 1)
    assert "rehearsed" in said.out
    assert not (ops.matrix / "evidence").exists()


def test_the_same_evidence_twice_is_one_commit(ops: Ops, tmp_path: Path) -> None:
    file = written(tmp_path, evidence(ops, time=now()))
    first = knowngood("promote", "old", "--evidence", file, "--matrix", ops.matrix)
    again = knowngood("promote", "old", "--evidence", file, "--matrix", ops.matrix)
    assert (first.code, again.code, ops.commits()) == (0, 0, 2), again.err
    assert "stays rehearsed" in again.out


def test_evidence_is_never_edited_not_even_to_count_for_more(ops: Ops, tmp_path: Path) -> None:
    """It counted as rehearsed; pinning the cluster afterwards does not make a proof of it."""
    proof = evidence(ops, time=now())
    file = written(tmp_path, proof)
    assert knowngood("promote", "old", "--evidence", file, "--matrix", ops.matrix).code == 0
    ops.pin_identity()
    said = knowngood("promote", "old", "--evidence", file, "--matrix", ops.matrix)
    assert said.code == 2
    assert "counted as rehearsed: the cluster file pins no identity" in said.err
    assert "rehearsed" in ops.release("old")


def test_new_evidence_renews_a_release_that_is_as_high_already(ops: Ops, tmp_path: Path) -> None:
    assert promote(ops, tmp_path).code == 0
    said = promote(ops, tmp_path, run="r2")
    assert (said.code, ops.commits()) == (0, 3)
    assert "stays rehearsed" in said.out


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "a failed verdict": (
        {"verdicts": [{"gate": "drift", "node": "gpu-1", "verdict": "fail"}]},
        "drift on gpu-1: fail",
    ),
    "an inconclusive verdict": (
        {"verdicts": [{"gate": "drift", "node": "gpu-1", "verdict": "inconclusive"}]},
        "drift on gpu-1: inconclusive",
    ),
    "another version": ({"versions": {"openshift": "4.18.51"}}, "it is of openshift 4.18.51"),
    "other gates": (
        {"gates": {"digest": "e" * 64}},
        "its gates (eeeeeeeeeeee) are not those of this program",
    ),
    "no gates": ({"gates": {}}, "it does not say which gates judged"),
    "age": ({"time": "2020-01-01T00:00:00Z"}, "it expired on 2020-03-31"),
    "another release": ({"release": "new"}, "it is evidence of new, not of old"),
    "an unknown cluster": ({"cluster": "moon"}, "the matrix has no cluster 'moon'"),
    "a failure": ({"status": "failed"}, "it is the evidence of a run that proved nothing (failed)"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_evidence_is_exit_1_with_the_reason_and_nothing_is_written(
    name: str, ops: Ops, tmp_path: Path
) -> None:
    changes, reason = REFUSALS[name]
    said = promote(ops, tmp_path, **changes)
    assert (said.code, said.out) == (1, "")
    assert reason in said.err
    assert (ops.commits(), ops.git("status", "--porcelain")) == (1, "")


def test_gates_are_those_of_the_commit_that_the_evidence_names(ops: Ops, tmp_path: Path) -> None:
    """The same digest counts or does not, by what that commit holds."""
    drift = ops.root / "gates" / "drift.py"
    drift.write_text(drift.read_text() + "\n# looser\n")
    looser = ops.commit("looser gates")
    gates = evidence(ops)["gates"]
    said = promote(ops, tmp_path, gates={**gates, "commit": looser})
    assert said.code == 1
    assert f"are not those of commit {looser[:12]}" in said.err
    assert promote(ops, tmp_path, gates={**gates, "commit": ops.git("rev-parse", "HEAD~1")}).code == 0


def test_one_green_does_not_hide_a_later_failure(ops: Ops, tmp_path: Path) -> None:
    failure = evidence(ops, run="r2", status="failed", because="Xid 31 on gpu-1", time=now(-1))
    folder = ops.matrix / "evidence" / "lab"
    folder.mkdir(parents=True)
    (folder / "old-r2.json").write_text(json.dumps(failure))
    ops.commit("a failed run")
    assert "failed later, in run r2 on lab" in promote(ops, tmp_path, time=now(-5)).err
    assert promote(ops, tmp_path, time=now(0)).code == 0


@pytest.mark.parametrize("status", ["revoked", "deprecated"])
def test_no_proof_brings_a_revoked_or_deprecated_release_back(ops: Ops, tmp_path: Path, status: str) -> None:
    reason = "\nreason: Xid 31" if status == "revoked" else ""
    ops.edit("releases/old.yaml", "status: candidate", f"status: {status}{reason}")
    ops.commit()
    said = promote(ops, tmp_path)
    assert said.code == 1
    assert f"old is {status} and stays so" in said.err


@pytest.mark.parametrize("text", ["{", "[]", '{"run": "r1"}', "\x00", "[" * 100_000])
def test_a_file_that_is_no_evidence_is_named(ops: Ops, tmp_path: Path, text: str) -> None:
    file = tmp_path / "proof.json"
    file.write_text(text)
    said = knowngood("promote", "old", "--evidence", file, "--matrix", ops.matrix)
    assert said.code == 2
    assert str(file) in said.err


def test_a_dirty_file_is_refused_and_left_as_it_is(ops: Ops, tmp_path: Path) -> None:
    proof = evidence(ops, time=now())
    file = ops.matrix / "releases" / "old.yaml"
    file.write_text(file.read_text() + "# mine\n")
    before = file.read_text()
    for arguments in (
        ["promote", "old", "--evidence", written(tmp_path, proof)],
        ["revoke", "old", "--reason", "bad"],
    ):
        said = knowngood(*arguments, "--matrix", ops.matrix)
        assert said.code == 2
        assert "uncommitted changes" in said.err
        assert "resume" not in said.err
        assert file.read_text() == before
    assert ops.commits() == 1


def test_revoking_adds_the_status_and_the_reason_and_touches_nothing_else(ops: Ops) -> None:
    before = ops.release("old").splitlines()
    said = knowngood("revoke", "old", "--reason", "Xid 31: three of six  nodes", "--matrix", ops.matrix)
    assert said.code == 0, said.err
    assert ops.release("old").splitlines() == [
        "status: revoked",
        'reason: "Xid 31: three of six nodes"',
        *before[1:],
    ]
    assert "lab pins it" in said.out
    assert ops.git("log", "-1", "--format=%s") == "old is revoked"
    assert not check(ops.matrix).errors


def test_a_long_reason_is_folded_and_reads_back_as_it_was_given(ops: Ops) -> None:
    reason = "the module cannot be unloaded on nodes with GPUDirect Storage mounted " * 6
    assert knowngood("revoke", "old", "--reason", reason, "--matrix", ops.matrix).code == 0
    assert max(map(len, ops.release("old").splitlines())) <= 120
    found = check(ops.matrix)
    assert not found.errors
    assert found.matrix.releases["old"].reason == reason.strip()


@pytest.mark.parametrize("reason", ["", "  ", "a\x07b", "x" * 1001])
def test_a_revocation_needs_a_reason(ops: Ops, reason: str) -> None:
    assert knowngood("revoke", "old", "--reason", reason, "--matrix", ops.matrix).code == 2
    assert ops.commits() == 1


def test_a_revoked_release_is_revoked_once(ops: Ops) -> None:
    assert knowngood("revoke", "old", "--reason", "bad", "--matrix", ops.matrix).code == 0
    again = knowngood("revoke", "old", "--reason", "worse", "--matrix", ops.matrix)
    assert again.code == 1
    assert "revoked already: bad" in again.err
    assert ops.commits() == 2


def newer(ops: Ops, text: str = "") -> None:
    release = ops.release("old").replace("580.173.02", "595.91.07")
    (ops.matrix / "releases" / "new.yaml").write_text(
        release.replace("status: candidate", f"status: candidate{text}")
    )
    ops.commit("a new release")


@pytest.mark.parametrize("text", ["", "\nsupersedes: old"], ids=["not said yet", "said already"])
def test_a_superseded_release_is_deprecated_and_the_other_says_so(ops: Ops, text: str) -> None:
    newer(ops, text)
    said = knowngood("supersede", "old", "--by", "new", "--matrix", ops.matrix)
    assert said.code == 0, said.err
    assert "status: deprecated" in ops.release("old")
    assert "supersedes: old" in ops.release("new")
    assert ops.commits() == 3
    assert not check(ops.matrix).errors


def test_what_is_proven_is_not_superseded_by_what_is_not(ops: Ops) -> None:
    ops.edit("releases/old.yaml", "status: candidate", "status: rehearsed")
    newer(ops)
    ops.edit("releases/new.yaml", "status: rehearsed", "status: candidate")
    ops.commit()
    said = knowngood("supersede", "old", "--by", "new", "--matrix", ops.matrix)
    assert said.code == 1
    assert "prove it first" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["promote", "nix", "--evidence", "x.json"],
        ["revoke", "nix", "--reason", "bad"],
        ["supersede", "nix", "--by", "old"],
        ["supersede", "old", "--by", "nix"],
        ["exposure", "--cluster", "nix"],
        ["exposure", "--since", "yesterday"],
        ["exposure", "--as-of", "2026-13-01"],
    ],
)
def test_what_is_not_there_is_exit_2(ops: Ops, arguments: list[str]) -> None:
    assert knowngood(*arguments, "--matrix", ops.matrix).code == 2
    assert ops.commits() == 1


def test_a_plain_folder_takes_no_change_of_status(ops: Ops, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    ops.matrix.rename(plain)
    said = knowngood("revoke", "old", "--reason", "bad", "--matrix", plain)
    assert said.code == 2
    assert "not in a Git repository, so the revocation can't be committed" in said.err


def test_exposure_counts_from_the_commit_that_pinned_the_version(tmp_path: Path) -> None:
    """The release changed since, and its driver with it; OpenShift did not, so it runs since the first pin."""
    ops = ops_at(tmp_path / "ops", "2026-01-01")
    rule = "severity: block\nwhen: {openshift: 4.18.52}\nrequire: {openshift: '!=4.18.52'}\nmessage: broken\n"
    (ops.matrix / "rules" / "no.yaml").write_text(
        f"{rule}sources: [{{ref: vendor page 9, date: 2026-02-01}}]\n"
    )
    release = ops.release("old").replace("580.173.02", "595.91.07")
    reason = "status: revoked\nreason: Xid 31"
    (ops.matrix / "releases" / "new.yaml").write_text(release.replace("status: candidate", reason))
    (ops.matrix / "releases" / "old.yaml").write_text(ops.release("old").replace("status: candidate", reason))
    ops.edit("clusters/lab.yaml", "release: old", "release: new")
    ops.commit("move", "2026-01-11")
    said = knowngood(
        "exposure", "--cluster", "lab", "--as-of", "2026-02-10", "-o", "json", "--matrix", ops.matrix
    )
    assert said.code == 1, said.err
    (told,) = json.loads(said.out)["exposures"]
    revoked, broken = told["hits"]
    assert (revoked["name"], revoked["runs"]["day"], revoked["known"]) == ("new", "2026-01-11", "2026-01-11")
    assert (revoked["days"], revoked["awareDays"]) == (30, 30)
    assert (broken["cause"], broken["runs"]["day"], broken["days"]) == ("rule", "2026-01-01", 40)
    assert broken["runs"]["at_least"] is True
    assert (broken["known"], broken["blindDays"], broken["awareDays"]) == ("2026-01-11", 10, 30)
    text = knowngood("exposure", "--as-of", "2026-02-10", "--matrix", ops.matrix)
    assert "runs since 2026-01-01 or before (pinned in commit" in text.out
    assert "known since 2026-01-11 (in this matrix; our source is of 2026-02-01)" in text.out


def test_exposure_of_nothing_is_exit_0(ops: Ops) -> None:
    said = knowngood("exposure", "--matrix", ops.matrix)
    assert (said.code, "nothing known hits it" in said.out) == (0, True)


def test_exposure_of_what_somebody_saw(tmp_path: Path) -> None:
    """4.18.22 in stable from 2025-08-20; its GPU risk was declared on 2025-09-10: 21 days."""
    seen = tmp_path / "seen.yaml"
    seen.write_text("versions: {openshift: 4.18.22, gpu-operator: 25.3.2}\nsince: {openshift: 2025-08-20}\n")
    said = knowngood("exposure", "--from-file", seen, "--as-of", "2025-09-10", "-o", "json")
    assert said.code == 1
    hits = {h["name"]: h for h in json.loads(said.out)["exposures"][0]["hits"]}
    assert hits["CrunConflictsWithNVIDIA"]["blindDays"] == 21
    assert hits["CrunConflictsWithNVIDIA"]["known"] == "2025-09-10"
    assert hits["CrunConflictsWithNVIDIA"]["offeredDays"] == {"candidate": 34, "fast": 28, "stable": 21}


def test_what_runs_does_not_run_since_a_day_after_the_one_that_is_counted_to(tmp_path: Path) -> None:
    seen = tmp_path / "seen.yaml"
    seen.write_text("versions: {openshift: 4.18.22}\nsince: {openshift: 2025-09-20}\n")
    by_file = knowngood("exposure", "--from-file", seen, "--as-of", "2025-09-10")
    assert (by_file.code, "since of openshift: 2025-09-20 lies after 2025-09-10" in by_file.err) == (2, True)
    given = knowngood("exposure", "--from-file", seen, "--since", "2025-09-11", "--as-of", "2025-09-10")
    assert (given.code, "--since 2025-09-11 lies after 2025-09-10" in given.err) == (2, True)


def test_a_risk_that_was_declared_in_time_was_offered_in_candidate_only(tmp_path: Path) -> None:
    """4.16.58: candidate on 2026-03-13, declared on 2026-03-16, fast on 2026-03-19."""
    seen = tmp_path / "seen.yaml"
    seen.write_text("openshift: 4.16.58\n")
    said = knowngood("exposure", "--from-file", seen, "-o", "json")
    hits = {h["name"]: h for h in json.loads(said.out)["exposures"][0]["hits"]}
    assert hits["DTK_4_16_58_KernelMismatch"]["offeredDays"] == {"candidate": 3}


@pytest.mark.parametrize(
    "text",
    [
        "openshift: 4.18",
        "opensift: 4.18.52",
        "[]",
        "openshift: [4.18.52]",
        "a: &x b",
        "",
        "openshift: 4.18.52\nopenshift: 4.18.51",
    ],
)
def test_a_file_of_versions_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    seen = tmp_path / "seen.yaml"
    seen.write_text(text)
    said = knowngood("exposure", "--from-file", seen)
    assert said.code == 2
    assert "seen.yaml" in said.err
