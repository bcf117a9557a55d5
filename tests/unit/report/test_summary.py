"""The summary is a fold of the records, at every record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.unit.report.played import BAD_REASON, Played, calm, given_back, held, undone

from knowngood.model.jsonable import to_json
from knowngood.model.record import Record, RecordType, Status
from knowngood.report import published
from knowngood.report.advice import next_steps
from knowngood.report.html import html
from knowngood.report.summary import summarise
from knowngood.report.text import summary_text

SCHEMA: dict[str, Any] = published.schema("summary")


def test_a_run_that_is_done_says_what_it_earned_and_what_it_took() -> None:
    summary = calm().summary
    assert (summary.end, summary.exit_code, summary.status) == ("done", 0, "rehearsed")
    assert [c.ring for c in summary.commits if c.kind == "declare"] == ["ring-0", "ring-1", "ring-2"]
    assert {t.times_out for t in summary.nodes.values()} == {1}
    assert {t.now for t in summary.nodes.values()} == {"in service"}
    assert {t.seconds_out for t in summary.nodes.values()} == {110}  # eleven records from claim to release


def test_a_restored_run_names_the_gate_the_node_and_the_undoing_commit() -> None:
    summary = undone().summary
    assert (summary.end, summary.exit_code) == ("restored", 6)
    assert BAD_REASON in summary.why
    assert list(summary.blamed) == ["gpu-1"]
    assert [c.kind for c in summary.commits if c.ring] == ["declare", "undo"]
    assert summary.nodes["gpu-1"].times_out == 2
    assert summary.nodes["gpu-1"].reloads == 2
    assert summary.nodes["gpu-5"].times_out == 0


def test_a_quarantined_node_stays_out_and_is_counted_to_the_last_record() -> None:
    summary = held().summary
    assert summary.end == "held"
    assert summary.nodes["gpu-4"].now == "quarantined"
    assert summary.nodes["gpu-3"].now == "in service"


def test_a_node_that_was_given_back_was_out_twice() -> None:
    summary = given_back().summary
    assert summary.end == "done"
    assert summary.nodes["gpu-3"].times_out == 2
    assert summary.nodes["gpu-3"].reloads == 1


@pytest.mark.parametrize(
    "run", [calm(), undone(), held(), given_back()], ids=["calm", "undone", "held", "given"]
)
def test_every_state_of_a_run_fits_the_schema_and_has_something_to_do_next(run: Played) -> None:
    validator = Draft202012Validator(SCHEMA)
    for end in range(1, len(run.records) + 1):
        summary = summarise(run.records[:end], run.load)
        validator.validate(json.loads(json.dumps(to_json(summary))))
        assert next_steps(summary)


def test_a_record_that_went_to_the_remote_is_pulled_or_merged_before_the_next_run() -> None:
    summary = calm().summary
    assert summary.record is not None
    assert next_steps(summary)[0].startswith("git pull")
    merge = replace(summary, record=replace(summary.record, into="main"))
    assert next_steps(merge)[0].startswith("a pull request into main")


def test_what_is_not_in_the_matrix_is_not_said_to_be_so() -> None:
    summary = calm().summary
    assert summary.record is not None
    assert "r595 is rehearsed" in summary_text(summary)
    lost = replace(summary, record=replace(summary.record, commit="", undelivered="protected", next="try X"))
    text = summary_text(lost)
    assert "the evidence for r595 counts as rehearsed" in text
    assert "record: not delivered: protected (try X)" in text
    assert next_steps(lost)[0] == f"knowngood record {lost.run}"
    assert "not delivered: protected" in html((lost,))
    assert "not delivered" not in html((summary,))


def test_the_schema_refuses_what_it_does_not_know() -> None:
    value = {**to_json(calm().summary), "surprise": 1}
    assert not Draft202012Validator(SCHEMA).is_valid(json.loads(json.dumps(value)))


def test_a_detail_too_large_for_its_record_is_read_from_its_file() -> None:
    run = calm()
    digest = "d" * 64
    detail = {"done": ["gpu-1", "gpu-2"]}
    files = {**run.files, digest: json.dumps(detail).encode()}

    def moved(record: Record) -> Record:
        if record.step.endswith("ring-0/batch-1/claim") and record.type is RecordType.OUTCOME:
            return Record(
                record.seq, record.type, record.time, record.step, Status.OK, {}, {"record-detail": digest}
            )
        return record

    summary = Played(tuple(map(moved, run.records)), files).summary
    assert summary.nodes["gpu-1"].times_out == 1


def test_the_step_that_runs_now_is_named() -> None:
    summary = calm().until("hop-1/ring-0/batch-1/drain").summary
    assert summary.running == "hop-1/ring-0/batch-1/drain"
    assert summary.steps[-1].status == "running"
    assert summary.nodes["gpu-1"].now == "out"
