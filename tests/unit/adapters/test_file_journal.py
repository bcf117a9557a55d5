"""The journal on disk: what was appended is there after any crash, and damage is never guessed over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowngood.adapters.journal import FileJournal
from knowngood.model.errors import JournalDamaged, LockHeld, UsageError
from knowngood.model.record import MAX_RECORD_BYTES, Record, RecordType, Status


def record(seq: int, **fields: object) -> Record:
    return Record(seq, RecordType.OUTCOME, "2026-08-22T03:15:00.000Z", **fields)  # type: ignore[arg-type]


def filled(folder: Path, count: int = 3) -> Path:
    with FileJournal(folder) as journal:
        for seq in range(count):
            journal.append(record(seq, step=f"hop-1/{seq}", status=Status.OK, detail={"n": seq}))
    return folder / "journal.jsonl"


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    filled(tmp_path)
    with FileJournal(tmp_path) as journal:
        assert journal.torn == ""
        assert journal.records()[2] == record(2, step="hop-1/2", status=Status.OK, detail={"n": 2})
        journal.append(record(3, detail={"words": "ümläut \udcff\n"}))
    with FileJournal(tmp_path) as journal:
        assert journal.records()[3].detail["words"] == "ümläut \udcff\n"


@given(cut=st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_is_cut_and_named(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = filled(tmp_path_factory.mktemp("run"))
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    with FileJournal(path.parent) as journal:
        assert len(journal.records()) == 2
        assert journal.torn != ""
        journal.append(record(2, detail={"again": True}))
    with FileJournal(path.parent) as journal:
        assert journal.torn == ""
        assert journal.records()[2].detail == {"again": True}


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: [lines[0], b"{", lines[2]], 2),
        (lambda lines: [lines[0], lines[2]], 2),
        (lambda lines: [b"", *lines], 1),
        (lambda lines: [lines[0], lines[1].replace(b"outcome", b"verdict"), lines[2]], 2),
        (lambda lines: [lines[0], lines[1].replace(b'"seq"', b'"sequel"'), lines[2]], 2),
        (lambda lines: [*lines[:2], b"[" * 4000], 3),
        (lambda lines: [*lines, b"x" * 5000], 4),
    ],
)
def test_any_other_damage_is_refused_with_its_line(tmp_path: Path, damage: object, line: int) -> None:
    path = filled(tmp_path)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(damage(lines)) + b"\n")  # type: ignore[operator]
    before = path.read_bytes()
    with pytest.raises(JournalDamaged, match=rf"journal\.jsonl:{line}:"):
        FileJournal(tmp_path)
    assert path.read_bytes() == before


def test_a_second_writer_is_locked_out_and_a_reader_is_not(tmp_path: Path) -> None:
    with FileJournal(tmp_path) as journal:
        journal.append(record(0))
        with pytest.raises(LockHeld):
            FileJournal(tmp_path)
        assert len(FileJournal(tmp_path, read_only=True).records()) == 1
    FileJournal(tmp_path).close()


def test_reading_does_not_repair(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    before = path.read_bytes()
    assert len(FileJournal(tmp_path, read_only=True).records()) == 2
    assert path.read_bytes() == before


def test_a_killed_writer_leaves_what_it_appended(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from knowngood.adapters.journal import FileJournal;"
        "from knowngood.model.record import Record, RecordType;"
        "j = FileJournal(Path(sys.argv[1])); j.append(Record(0, RecordType.PLAN, 't'));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -9
    with FileJournal(tmp_path) as journal:
        assert [r.type for r in journal.records()] == [RecordType.PLAN]


def test_a_record_too_large_or_out_of_order_is_not_written(tmp_path: Path) -> None:
    with FileJournal(tmp_path) as journal:
        with pytest.raises(ValueError, match="put"):
            journal.append(record(0, detail={"x": "y" * MAX_RECORD_BYTES}))
        with pytest.raises(ValueError, match="record 1 after 0"):
            journal.append(record(1))
        journal.append(record(0))
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 1


def test_each_line_is_json_that_other_tools_can_read(tmp_path: Path) -> None:
    line = json.loads(filled(tmp_path).read_text().splitlines()[0])
    assert (line["seq"], line["type"], line["status"]) == (0, "outcome", "ok")


def test_files_are_kept_once_by_their_digest(tmp_path: Path) -> None:
    with FileJournal(tmp_path) as journal:
        digest = journal.put("plan", b"words")
        assert journal.put("plan again", b"words") == digest
        assert journal.get(digest) == b"words"
        assert [p.name for p in (tmp_path / "files").iterdir()] == [digest]


def test_a_kept_file_that_changed_or_went_is_damage_and_put_heals_it(tmp_path: Path) -> None:
    with FileJournal(tmp_path) as journal:
        digest = journal.put("plan", b"words")
        (tmp_path / "files" / digest).write_bytes(b"other words")
        with pytest.raises(JournalDamaged, match="digest"):
            journal.get(digest)
        journal.put("plan", b"words")
        assert journal.get(digest) == b"words"
        with pytest.raises(JournalDamaged, match="missing"):
            journal.get("0" * 64)
        with pytest.raises(JournalDamaged, match="no digest"):
            journal.get("../journal.jsonl")


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        FileJournal(tmp_path / "file" / "run")
