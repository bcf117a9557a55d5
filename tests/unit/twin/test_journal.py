"""The journal endpoint's query, on entries made by hand."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from knowngood.twin.journal import Entry, Journal, answer, instant

FIRST, SECOND = "1" * 32, "2" * 32


def entry(boot: str, at: float, message: str) -> Entry:
    """A kernel line at a time in seconds."""
    return {
        "__REALTIME_TIMESTAMP": str(int(at * 1e6)),
        "__MONOTONIC_TIMESTAMP": "1",
        "_BOOT_ID": boot,
        "_HOSTNAME": "gpu-1",
        "MESSAGE": message,
    }


ENTRIES = [entry(FIRST, 1000, "one"), entry(SECOND, 2000, "Two"), entry(SECOND, 3000, "three")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["one", "Two", "three"]),
        ({"boot": "0"}, ["Two", "three"]),
        ({"boot": "-1"}, ["one"]),
        ({"boot": "-2"}, []),
        ({"boot": "1"}, ["one"]),
        ({"since": "2000"}, ["Two", "three"]),
        ({"since": "1970-01-01T00:33:20Z", "until": "@2000"}, ["Two"]),
        ({"since": "-1h"}, []),
        ({"grep": "t"}, ["Two", "three"]),
        ({"pattern": "T"}, ["Two"]),
        ({"tail": "1"}, ["three"]),
        ({"tail": "0"}, []),
        ({"unit": "kubelet.service"}, []),
    ],
)
def test_a_query_selects_as_journalctl_does(query: dict[str, str], expected: list[str]) -> None:
    assert answer(ENTRIES, {**query, "output": "cat"}).decode().splitlines() == expected


@pytest.mark.parametrize(
    "query", [{"grep": "("}, {"since": "yesterday-ish"}, {"boot": "x"}, {"tail": "many"}]
)
def test_a_query_that_journalctl_refuses_is_a_value_error(query: dict[str, str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each with words of its own)
        answer(ENTRIES, query)


def test_output_formats() -> None:
    assert json.loads(answer(ENTRIES[:1], {"output": "json"})) == ENTRIES[0]
    assert answer(ENTRIES[:1], {}).decode() == "Jan 01 00:16:40.000000 gpu-1 kernel: one\n"
    assert answer(ENTRIES[:1], {"output": "short-unix"}).decode() == "1000.000000 gpu-1 kernel: one\n"


def test_what_is_written_is_what_journald_would_have(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", "gpu-1")
    boot = "12345678-1234-1234-1234-123456789abc"
    journal.kernel("hello", boot_id=boot, booted_at=time.time() - 5, priority=3)
    (found,) = journal.entries()
    assert found["_BOOT_ID"] == boot.replace("-", "")
    assert (found["_TRANSPORT"], found["PRIORITY"], found["MESSAGE"]) == ("kernel", "3", "hello")
    assert 5e6 <= int(found["__MONOTONIC_TIMESTAMP"]) < 10e6


def test_relative_times_count_back_from_now() -> None:
    assert instant("-30m") == pytest.approx(time.time() - 1800, abs=2)


def test_a_vacuumed_journal_has_only_what_came_after(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", "gpu-1")
    boot = "7a8eb505-3c64-47f1-8765-21767d41e9a1"
    for message in ("Linux version 5.14.0", "NVRM: loading NVIDIA UNIX"):
        journal.kernel(message, boot_id=boot, booted_at=time.time() - 5)
    assert journal.vacuum() == 2
    journal.kernel("later", boot_id=boot, booted_at=time.time() - 5)
    assert [entry["MESSAGE"] for entry in journal.entries()] == ["later"]
