"""Evidence counts for a time, and for the versions that it was taken on."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowngood.matrix.load import check

EXAMPLES = Path(__file__).parents[2] / "examples"
TAKEN = "2026-08-22T03:00:00Z"
NEXT_DAY = datetime(2026, 8, 23, tzinfo=UTC)
NEXT_YEAR = datetime(2027, 8, 23, tzinfo=UTC)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A known-good release with one piece of evidence."""
    folder = shutil.copytree(EXAMPLES / "base", tmp_path / "matrix")
    release = folder / "releases/old.yaml"
    release.write_text(release.read_text().replace("candidate", "known-good"))
    write(folder)
    return folder


def write(folder: Path, run: str = "r1", **changes: object) -> None:
    value = {
        "run": run,
        "cluster": "lab",
        "release": "old",
        "versions": {"nvidia-driver": "580.173.02"},
        "status": "known-good",
        "because": "every gate passed on the pinned cluster",
        "time": TAKEN,
        **changes,
    }
    path = folder / "evidence/lab" / f"old-{run}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def found(folder: Path, now: datetime) -> list[str]:
    return [p.rule for p in check(folder, now=now).problems]


def test_fresh_evidence_is_no_finding(base: Path) -> None:
    assert found(base, NEXT_DAY) == []


def test_old_evidence_is_a_warning_and_so_is_a_status_that_stands_on_it(base: Path) -> None:
    checked = check(base, now=NEXT_YEAR)
    assert sorted(p.rule for p in checked.problems) == ["KG503", "KG504"]
    assert checked.errors == ()


def test_one_that_still_counts_is_enough(base: Path) -> None:
    write(base, "r2", time="2027-08-22T03:00:00Z")
    assert found(base, NEXT_YEAR) == ["KG503"]


def test_evidence_may_say_itself_when_it_ends(base: Path) -> None:
    write(base, expires="2026-08-22T12:00:00Z")
    assert sorted(found(base, NEXT_DAY)) == ["KG503", "KG504"]


def test_a_late_expiry_does_not_outlive_what_the_matrix_allows(base: Path) -> None:
    write(base, expires="2099-01-01T00:00:00Z")
    assert "KG503" in found(base, NEXT_YEAR)


def test_nobody_is_asked_to_prove_a_revoked_release_again(base: Path) -> None:
    release = base / "releases/old.yaml"
    release.write_text(release.read_text().replace("known-good", "revoked\nreason: a bad cable"))
    assert found(base, NEXT_YEAR) == []


def test_evidence_of_other_versions_is_an_error(base: Path) -> None:
    write(base, versions={"nvidia-driver": "595.91.07"})
    (problem,) = check(base, now=NEXT_DAY).problems
    assert (problem.rule, problem.severity) == ("KG505", "error")
    assert "595.91.07" in problem.message


@pytest.mark.parametrize("time", ["yesterday", "2026-02-31T00:00:00Z", "2026-08-30T00:00:00Z"])
def test_evidence_has_a_time_that_was(base: Path, time: str) -> None:
    write(base, time=time)
    assert "KG506" in found(base, NEXT_DAY)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested deeper"),
        ('{"run": "r1", "run": "r2"}', "'run' stands twice"),
        ('{"run": NaN}', "NaN is no number"),
        ('{"run": -Infinity}', "-Infinity is no number"),
        ('{"run": 1e999}', "too large"),
        ('{"run": ' + "9" * 5000 + "}", "too large"),
        ('{"run": "\\ud800"}', "missing"),
        ("{'run': 1}", "not valid JSON"),
        ("[]", "must be keys and values"),
        ("", "not valid JSON"),
    ],
)
def test_hostile_json_is_a_finding_with_its_line(base: Path, text: str, words: str) -> None:
    (base / "evidence/lab/old-r1.json").write_text(text)
    problems = [p for p in check(base, now=NEXT_DAY).problems if p.where.file.endswith("old-r1.json")]
    assert any(words in p.message for p in problems)
    assert all(p.rule in ("KG001", "KG002") and p.where.line and p.hint and p.expected for p in problems)


def test_a_finding_in_json_stands_at_its_line(base: Path) -> None:
    path = base / "evidence/lab/old-r1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "perfect"}, indent=2))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "perfect" in text)
    problem = next(p for p in check(base, now=NEXT_DAY).problems if p.rule == "KG002")
    assert (problem.where.line, problem.where.column) == (line, 13)
