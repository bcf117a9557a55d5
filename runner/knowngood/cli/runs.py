"""Runs on this machine: finding one by name, reading its journal, writing its reports."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from knowngood.adapters.journal import FileJournal
from knowngood.cli.terminal import say
from knowngood.model.errors import UsageError
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.marks import Marks
from knowngood.model.record import Record
from knowngood.model.values import Object
from knowngood.planner.runner_job import RUN_ID
from knowngood.report.ctrf import ctrf
from knowngood.report.html import html
from knowngood.report.junit import junit
from knowngood.report.summary import RecordLine, Summary, summarise

BEGINS = re.compile(r"r\d")
"""How a run's id begins."""
_ID = re.compile(r"r\d{8}-\d{6}-[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class Reading:
    """A run's records and how to read what they name."""

    folder: Path
    records: tuple[Record, ...]
    journal: FileJournal

    def load(self, digest: str) -> Any:
        """A kept JSON value."""
        return json.loads(self.journal.get(digest))


def new_id(now: datetime | None = None) -> str:
    """A fresh run id: sorts by time, unlikely twice. In a Job the one by which whoever made it follows it."""
    return given_id() or f"r{(now or datetime.now(UTC)):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def given_id() -> str:
    """The id of the run that this pod of a Job is made for, "" elsewhere. UsageError where it is none."""
    given = os.environ.get(RUN_ID, "")
    if given and not _ID.fullmatch(given):
        raise UsageError(f"{RUN_ID} is {given!r}, no run's id", hint="it is set by upgrade --in-cluster")
    return given


def all_runs(folder: Path) -> tuple[Path, ...]:
    """All runs' folders, the newest first."""
    found = (path.parent for path in folder.glob("*/journal.jsonl") if path.stat().st_size)
    return tuple(sorted(found, key=lambda p: p.name, reverse=True))


def find(folder: Path, name: str | None) -> Path:
    """A run's folder by its id or the beginning of it; without a name the newest, or the one that waits behind it."""
    known = all_runs(folder)
    matching = [p for p in known if name is None or p.name.startswith(name)]
    exact = [p for p in matching if p.name == name]
    if name is None and matching:
        return _unfinished(matching) or matching[0]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    if matching:
        some = ", ".join(path.name for path in matching[:5])
        more = f" and {len(matching) - 5} more" if len(matching) > 5 else ""
        raise UsageError(f"{name!r} is the beginning of {len(matching)} runs", hint=f"which of {some}{more}")
    what = f"no run {name!r}" if name else "no run yet"
    hint = f"runs here: {', '.join(p.name for p in known[:5])}" if known else "name another --runs-dir"
    raise UsageError(what, where=str(folder), hint=hint)


def begin_with(folder: Path, name: str) -> bool:
    """Whether runs here begin with this name: then what is wrong with it is wrong here."""
    return any(run.name.startswith(name) for run in all_runs(folder))


def _unfinished(known: Sequence[Path]) -> Path | None:
    """A run that waits for somebody behind newer ones that changed nothing: it is what one must know of."""
    for folder in known:
        end = _end(folder)
        if end not in ("refused", "inconclusive"):
            return None if end else folder
    return None


def _end(folder: Path) -> str:
    """How a run ended, by its summary; "" while it has not, or was killed before it could write one."""
    return str(_written(folder).get("end", ""))


def _written(folder: Path) -> Object:
    try:
        found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def ended_summary(folder: Path) -> Object | None:
    """The summary that an ended run wrote, so that its journal need not be read; None where it is not whole."""
    found = _written(folder)
    told = ("run", "started", "updated", "cluster", "from_release", "to_release", "interrupted")
    return found if found.get("end") and all(isinstance(found.get(key), str) for key in told) else None


@contextmanager
def reading(folder: Path) -> Iterator[Reading]:
    """Read a run without locking it; UsageError where it has not begun."""
    journal = FileJournal(folder, read_only=True)
    try:
        records = journal.records()
        if not records:
            raise UsageError("the run has not begun", where=str(folder))
        yield Reading(folder, records, journal)
    finally:
        journal.close()


DELIVERED = "delivered.json"
"""In a run's folder: what became of its record after the run had ended."""


def delivered(folder: Path, record: RecordLine) -> None:
    """Remember that a run's record was delivered after its end. The record itself is in Git; this only tells."""
    _write(folder / DELIVERED, json.dumps(to_json(record), indent=2) + "\n")


def told(summary: Summary, folder: Path) -> Summary:
    """The summary, with what `knowngood record` did from this machine since the run ended."""
    try:
        line = from_json(RecordLine, json.loads((folder / DELIVERED).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return summary
    return replace(summary, record=line) if summary.record else summary


def write_reports(folder: Path, marks: Mapping[str, Marks] | None = None) -> Summary:
    """Write report.html, junit.xml, ctrf.json and summary.json into the run's folder; returns the summary.

    `marks`: what the nodes say now, where they were asked.
    """
    with reading(folder) as run:
        summary = told(summarise(run.records, run.load, marks), folder)
    _write(folder / "summary.json", json.dumps(to_json(summary), indent=2) + "\n")
    _write(folder / "junit.xml", junit(summary))
    _write(folder / "ctrf.json", ctrf(summary))
    _write(folder / "report.html", html((summary,)))
    return summary


def _write(file: Path, text: str) -> None:
    """Write what only tells. A full disk is said, and changes nothing of how the run ended, nor of its exit code."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        say(f"{file} can't be written: {error.strerror}", err=True)


REPORTS = ("report.html", "summary.json", "junit.xml", "ctrf.json")


def copy_reports(run: Path, folder: Path) -> None:
    """Put a run's reports where a person looks first."""
    for name in REPORTS:
        (folder / name).write_bytes((run / name).read_bytes())
