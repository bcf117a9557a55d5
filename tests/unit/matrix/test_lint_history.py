"""Nothing is deleted, nothing that was proven is edited, no status goes back: seen by comparing two revisions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from knowngood.matrix.lint import RULES
from knowngood.matrix.load import check
from knowngood.model.errors import Problem

EXAMPLES = Path(__file__).parents[2] / "examples"
EVIDENCE = {
    "run": "r1",
    "cluster": "lab",
    "release": "old",
    "versions": {"nvidia-driver": "580.173.02"},
    "status": "known-good",
    "because": "every gate passed on the pinned cluster",
    "time": "2026-08-22T03:00:00Z",
}


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLES / "base", tmp_path / "before")


@pytest.fixture
def after(tmp_path: Path, before: Path) -> Path:
    return shutil.copytree(before, tmp_path / "after")


def set_status(folder: Path, status: str) -> None:
    release = folder / "releases/old.yaml"
    reason = "\nreason: a bad cable" if status == "revoked" else ""
    release.write_text(release.read_text().replace("status: candidate", f"status: {status}{reason}"))


def write_evidence(folder: Path, **changes: object) -> None:
    path = folder / "evidence/lab/old-r1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**EVIDENCE, **changes}))


def history(before: Path, after: Path) -> list[Problem]:
    return [p for p in check(after, base=before).problems if p.rule.startswith("KG6")]


def test_the_same_twice_is_no_finding(before: Path, after: Path) -> None:
    assert history(before, after) == []


def test_without_a_revision_to_compare_with_the_past_is_not_asked(before: Path, after: Path) -> None:
    (after / "rules/prefer-lts.yaml").unlink()
    assert [p.rule for p in check(after).problems] == []


@pytest.mark.parametrize(
    ("number", "file"), [("KG601", "releases/old.yaml"), ("KG602", "rules/prefer-lts.yaml")]
)
def test_what_was_there_stays(before: Path, after: Path, number: str, file: str) -> None:
    (after / file).unlink()
    (problem,) = history(before, after)
    assert (problem.rule, problem.where.file, problem.where.line) == (number, str(after / file), 1)


def test_a_file_that_broke_was_not_deleted(before: Path, after: Path) -> None:
    (after / "releases/old.yaml").write_text("status: [")
    assert history(before, after) == []


@pytest.mark.parametrize("change", ["deleted", "edited"])
def test_evidence_stays_as_it_was_written(before: Path, after: Path, change: str) -> None:
    write_evidence(before)
    if change == "edited":
        write_evidence(after, because="it looked good")
    assert [p.rule for p in history(before, after)] == ["KG603"]
    assert change in history(before, after)[0].message


GOES = [
    ("candidate", "known-good"),
    ("candidate", "revoked"),
    ("rehearsed", "known-good"),
    ("known-good", "deprecated"),
    ("known-good", "revoked"),
    ("deprecated", "revoked"),
    ("rehearsed", "rehearsed"),
]
BACK = [
    ("known-good", "candidate"),
    ("known-good", "rehearsed"),
    ("rehearsed", "candidate"),
    ("revoked", "candidate"),
    ("revoked", "known-good"),
    ("deprecated", "known-good"),
]


@pytest.mark.parametrize(("old", "new"), GOES)
def test_a_status_goes_forward(before: Path, after: Path, old: str, new: str) -> None:
    set_status(before, old)
    set_status(after, new)
    write_evidence(after)
    assert history(before, after) == []


@pytest.mark.parametrize(("old", "new"), BACK)
def test_a_status_never_goes_back(before: Path, after: Path, old: str, new: str) -> None:
    set_status(before, old)
    set_status(after, new)
    write_evidence(after)
    (problem,) = history(before, after)
    assert (problem.rule, problem.where.line) == ("KG604", line_of(after, "status:"))
    assert f"was {old}, it can't become {new}" in problem.message


@pytest.mark.parametrize(
    ("status", "found"),
    [("candidate", []), ("rehearsed", ["KG605"]), ("known-good", ["KG605"]), ("revoked", ["KG605"])],
)
def test_what_was_proven_is_not_edited(before: Path, after: Path, status: str, found: list[str]) -> None:
    for folder in (before, after):
        set_status(folder, status)
        write_evidence(folder, versions={})
    release = after / "releases/old.yaml"
    release.write_text(release.read_text().replace("580.173.02", "580.178.04"))
    problems = history(before, after)
    assert [p.rule for p in problems] == found
    assert [p.where.line for p in problems] == [line_of(after, "nvidia-driver:")] * len(found)


def test_a_component_that_was_taken_out_is_an_edit_too(before: Path, after: Path) -> None:
    for folder in (before, after):
        set_status(folder, "rehearsed")
    release = after / "releases/old.yaml"
    kept = [line for line in release.read_text().splitlines() if "rdma-mode" not in line]
    release.write_text("\n".join(kept) + "\n")
    assert [p.rule for p in history(before, after)] == ["KG605"]


def test_a_status_that_was_typed_in_was_earned_by_nothing(before: Path, after: Path) -> None:
    set_status(after, "rehearsed")
    assert [p.rule for p in history(before, after)] == ["KG606"]
    write_evidence(after, status="rehearsed")
    assert history(before, after) == []


def test_a_risk_stays(before: Path, after: Path) -> None:
    risk = before / "edges/openshift/risks/crun.yaml"
    risk.parent.mkdir(parents=True, exist_ok=True)
    risk.write_text("gist: x\n")
    (problem,) = history(before, after)
    assert (problem.rule, problem.where.file) == ("KG607", str(after / "edges/openshift/risks/crun.yaml"))


def test_the_past_may_break_todays_schema(before: Path, after: Path) -> None:
    """A key that was allowed once must not hide what happened to the release."""
    set_status(before, "known-good")
    release = before / "releases/old.yaml"
    release.write_text(release.read_text() + "colour: green\n")
    assert "KG604" in [p.rule for p in history(before, after)]


def line_of(folder: Path, words: str) -> int:
    lines = (folder / "releases/old.yaml").read_text().splitlines()
    return next(n for n, line in enumerate(lines, start=1) if words in line)


def test_a_number_says_its_topic() -> None:
    assert all(number.startswith("KG") and len(number) == 5 and number[2] in "0123456" for number in RULES)
