"""status, show run, handover, resume on the folder of a run that ended or stopped."""

from __future__ import annotations

import fcntl
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood
from tests.unit.report.played import Played, calm, held, undone

from knowngood.adapters.journal import FileJournal
from knowngood.cli import runs
from knowngood.model.errors import UsageError
from knowngood.model.record import Record, RecordType


def write(folder: Path, run: Played) -> Path:
    """A run's folder, as the engine leaves it. Its id in record 0 is the folder's name."""
    with FileJournal(folder) as journal:
        for name, data in run.files.items():
            assert journal.put(name, data)
        for record in run.records:
            renamed = (
                {**record.detail, "run": folder.name} if record.type is RecordType.PLAN else record.detail
            )
            journal.append(
                Record(
                    record.seq, record.type, record.time, record.step, record.status, renamed, record.files
                )
            )
    return folder


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder with three runs: done, held and open."""
    write(tmp_path / "r20260822-010000-aaaa", calm())
    write(tmp_path / "r20260822-020000-bbbb", held())
    write(tmp_path / "r20260822-030000-cccc", undone().until("hop-1/ring-0/batch-1/drain"))
    return tmp_path


def test_status_without_a_name_shows_the_newest(three: Path) -> None:
    said = knowngood("status", "--runs-dir", three)
    assert said.code == 0
    assert "run r20260822-030000-cccc" in said.out
    assert "interrupted: its runner is gone; it was at hop-1/ring-0/batch-1/drain" in said.out
    assert "to go" in said.out
    assert "knowngood resume r20260822-030000-cccc" in said.out


def test_a_run_whose_journal_is_open_is_running_and_nobody_is_told_to_resume_it(three: Path) -> None:
    with (three / "r20260822-030000-cccc" / "journal.jsonl").open("a") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        said = knowngood("status", "--runs-dir", three)
    assert "running: hop-1/ring-0/batch-1/drain" in said.out
    assert "knowngood abort r20260822-030000-cccc" in said.out
    assert "knowngood resume" not in said.out


def test_a_run_that_waits_is_shown_although_a_newer_one_was_refused(three: Path) -> None:
    refused = three / "r20260822-040000-dddd"
    write(refused, calm())
    (refused / "summary.json").write_text('{"end": "refused"}')
    assert "run r20260822-030000-cccc" in knowngood("status", "--runs-dir", three).out
    (refused / "summary.json").write_text('{"end": "done"}')
    assert "run r20260822-040000-dddd" in knowngood("status", "--runs-dir", three).out


def test_status_takes_the_beginning_of_an_id(three: Path) -> None:
    assert "held" in knowngood("status", "r20260822-02", "--runs-dir", three).out
    said = knowngood("status", "r2026", "--runs-dir", three)
    assert said.code == 2
    assert "beginning of 3 runs" in said.err


def test_status_as_json_is_the_summary(three: Path) -> None:
    found = json.loads(knowngood("status", "r20260822-02", "--runs-dir", three, "-o", "json").out)
    assert (found["end"], found["exit_code"]) == ("held", 5)


def test_all_runs_are_listed_newest_first(three: Path) -> None:
    lines = knowngood("status", "--all", "--runs-dir", three).out.splitlines()
    assert [line.split()[-1] for line in lines] == ["interrupted", "held", "done"]


def test_show_run_is_the_same_screen(three: Path) -> None:
    assert "held: frozen" in knowngood("show", "run", "r20260822-02", "--runs-dir", three).out


def test_looking_changes_nothing(three: Path) -> None:
    before = {p: p.read_bytes() for p in three.rglob("*") if p.is_file()}
    for command in (["status"], ["status", "--all"], ["show", "run"]):
        assert knowngood(*command, "--runs-dir", three).code == 0
    assert {p: p.read_bytes() for p in three.rglob("*") if p.is_file()} == before


def test_handover_prints_the_page(three: Path) -> None:
    said = knowngood("handover", "r20260822-02", "--runs-dir", three)
    assert said.code == 0
    assert "gpu-4: quarantined" in said.out


def test_resume_of_a_run_that_ended_says_how_and_starts_nothing(three: Path) -> None:
    said = knowngood("resume", "r20260822-01", "--runs-dir", three)
    assert said.code == 0
    assert "has ended: done" in said.err


def test_abort_of_a_run_that_ended_is_a_usage_error(three: Path) -> None:
    assert knowngood("abort", "r20260822-01", "--runs-dir", three).code == 2


def test_an_unknown_run_names_the_known_ones(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    said = knowngood("status", "r1999", "--runs-dir", three)
    assert said.code == 2
    assert "r20260822-010000-aaaa" in said.err


def test_a_torn_last_line_is_no_obstacle_to_look_and_is_left_alone(three: Path) -> None:
    journal = three / "r20260822-030000-cccc" / "journal.jsonl"
    with journal.open("a") as file:
        file.write('{"seq": 99, "ty')
    torn = journal.read_bytes()
    assert knowngood("status", "--runs-dir", three).code == 0
    assert journal.read_bytes() == torn


def test_a_damaged_journal_is_refused_with_its_line(three: Path) -> None:
    journal = three / "r20260822-030000-cccc" / "journal.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], "{}", *lines[2:]]) + "\n")
    said = knowngood("status", "--runs-dir", three)
    assert said.code == 2
    assert "journal.jsonl:2" in said.err


def test_no_run_yet(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run yet"):
        runs.find(tmp_path, None)


def test_ids_sort_by_time_and_are_never_the_same_twice() -> None:
    early, late = (runs.new_id(datetime(2026, 8, 22, h, tzinfo=UTC)) for h in (3, 4))
    assert early < late
    moment = datetime(2026, 8, 22, tzinfo=UTC)
    assert len({runs.new_id(moment) for _ in range(20)}) > 15


def test_reports_are_written_beside_the_journal(three: Path) -> None:
    folder = three / "r20260822-010000-aaaa"
    summary = runs.write_reports(folder)
    assert json.loads((folder / "summary.json").read_text())["end"] == summary.end == "done"
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert "<testsuites" in (folder / "junit.xml").read_text()
