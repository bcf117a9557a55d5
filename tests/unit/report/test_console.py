"""What a person sees while a run goes on: a board on a terminal, lines in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from tests.unit.engine.scene import a_plan
from tests.unit.report.played import BAD_REASON, Played, calm, held, undone

from knowngood.engine.steps import Verb
from knowngood.model.mover import Words
from knowngood.model.progress import Progress
from knowngood.model.steppath import StepPath
from knowngood.report.console import Board, PlainLines
from knowngood.report.steps import WORDS, sentence
from knowngood.report.summary import expanded


def board_of(run: Played, *, window_end: str = "", news: str = "", width: int = 160) -> str:
    board = Board(a_plan(), soak=10, window_end=window_end, clock=lambda: run.records[-1].time)
    for record in run.records:
        board.record(record)
    if news:
        board.progress(Progress("hop-1/ring-0/batch-1/drain", "drain", "gpu-1", news))
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(board.render())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_board_shows_rings_nodes_gates_and_the_step_that_runs() -> None:
    text = board_of(calm().until("hop-1/ring-1/batch-1/drain"), news="evicted vision/serve-1")
    assert "r580 → r595" in text
    assert "gpu-1 gpu-2" in text
    assert "batch 1 judge pass" in text
    assert "… ring-1 batch 1: take the tenants' work off" in text
    assert "gpu-1: evicted vision/serve-1" in text
    assert "to go" in text


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_no_verdict_is_parted_from_its_gates_by_a_lines_end(width: int) -> None:
    lines = [line.rstrip() for line in board_of(calm(), width=width).splitlines() if "pass" in line]
    assert lines
    assert all(line.endswith("pass") for line in lines), lines
    assert any("batch 1 judge pass" in line for line in lines)


def test_news_of_a_step_go_with_it() -> None:
    run = calm()
    board = Board(a_plan(), soak=10, clock=lambda: run.records[-1].time)
    board.progress(Progress("x", "drain", "gpu-1", "old news"))
    for record in run.records:
        board.record(record)
    console = Console(file=io.StringIO(), width=160)
    console.print(board.render())
    assert isinstance(console.file, io.StringIO)
    assert "old news" not in console.file.getvalue()


def test_with_a_window_the_board_says_until_when_an_undo_must_start() -> None:
    run = calm().until("hop-1/ring-1/batch-1/drain")
    assert "undo must start by 2026-08-22T05:5" in board_of(run, window_end="2026-08-22T06:00:00Z")
    assert "undo must start by" not in board_of(run)


def test_a_failed_gate_is_shown_with_its_reason_as_plain_text() -> None:
    text = board_of(undone())
    assert "undo" in text
    assert "<script>" in text  # a terminal shows it as it is; markup in it is not interpreted
    assert "ended restored" in text


@pytest.mark.parametrize("markup", ["[red]x[/red]", "[/nothing]", "[link=http://x]"])
def test_markup_in_a_clusters_words_is_never_interpreted(markup: str) -> None:
    assert markup in board_of(calm().until("hop-1/ring-0/batch-1/drain"), news=markup)


def test_the_board_can_be_drawn_after_every_record() -> None:
    run = held()
    for end in range(len(run.records) + 1):
        records = run.records[: max(end, 1)]
        assert board_of(Played(records, run.files))


def test_the_board_of_a_resumed_run_begins_with_what_it_did_before() -> None:
    run = calm()
    before = run.until("hop-1/ring-1/batch-1/drain")
    so_far = [expanded(record, run.load) for record in before.records]
    board = Board(a_plan(), soak=10, so_far=so_far, clock=lambda: run.records[-1].time)
    for record in run.records[len(before.records) :]:
        board.record(record)
    console = Console(file=io.StringIO(), width=160)
    console.print(board.render())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text == board_of(run)
    assert "run run-1" in text
    assert " 0 s so far" not in text


def lines_of(run: Played) -> str:
    stream = io.StringIO()
    lines = PlainLines(stream, a_plan())
    for record in run.records:
        lines.record(record)
    return stream.getvalue()


def test_a_pipe_gets_one_line_when_a_step_begins_and_one_when_it_ends() -> None:
    text = lines_of(calm())
    assert "  … ring-0 batch 1: reload the driver [gpu-1, gpu-2]\n" in text
    assert "ok   ring-0 batch 1: reload the driver (10 s)\n" in text
    assert text.endswith("end: done\n")
    assert "\x1b" not in text


def test_a_failure_is_told_with_its_reason() -> None:
    told = [line for line in lines_of(undone()).splitlines() if " fail ring-0: judge again" in line]
    assert len(told) == 1
    assert BAD_REASON in told[0]


def test_what_a_step_says_twice_is_printed_once() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    news = Progress("s", "drain", "gpu-1", "may not go yet")
    for progress in (news, news, replace(news, text="gone"), news):
        lines.progress(progress)
    assert stream.getvalue().count("may not go yet") == 1


def test_of_a_gates_tests_only_bad_ones_are_told_and_none_looks_like_the_gates_verdict() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    for text in ("fail: another driver runs", "pass", "pass: 4 ports"):
        lines.progress(Progress("passive", "gate", "drift gpu-1", text))
    assert stream.getvalue().count("\n") == 1
    assert "a test of drift gpu-1: fail: another driver runs" in stream.getvalue()


def test_every_verb_has_words() -> None:
    assert {v.value for v in Verb} <= set(WORDS) | {"apply"}, "what moves says what is done to a node"


def test_what_is_done_to_a_node_is_said_in_the_movers_words() -> None:
    forth, back = StepPath("hop-1/ring-0/batch-1/apply"), StepPath("hop-1/ring-0/undo/apply")
    moves = Words("NIC", "flash the NIC", "flash the NIC back")
    assert sentence(forth, moves) == "ring-0 batch 1: flash the NIC"
    assert sentence(back, moves) == "ring-0 undo: flash the NIC back"
    assert sentence(forth) == "ring-0 batch 1: bring the new versions"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("observe", "measure every node"),
        ("hop-1/ring-0/batch-1/drain", "ring-0 batch 1: take the tenants' work off"),
        ("hop-1/ring-0/undo/declare", "ring-0 undo: revert the commit"),
        ("hop-2/observe", "measure every node"),
        ("resume-1/reclaim", "renew our claims"),
    ],
)
def test_a_path_in_words(path: str, words: str) -> None:
    assert sentence(StepPath(path)) == words
