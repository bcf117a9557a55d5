"""What others wrote can't speak for us: no output holds a raw control character, a line that we did not write, an
order to the service that runs our job, or markup of theirs.

Every text of a run, a plan and a difference is made hostile at once; each report must have as many lines as before.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from tests.unit.engine.scene import a_cluster, a_plan
from tests.unit.report.played import held, undone

from knowngood.cli.main import tell
from knowngood.cli.terminal import hear_libraries, say, say_json, say_orders
from knowngood.model.errors import DataError, Interrupted, KnowngoodError, Location, Problem
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.plan import Plan
from knowngood.model.progress import Progress
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.text import as_json, code, harmless, markdown, page, printable
from knowngood.planner.plan.diff import Change, MatrixDiff
from knowngood.report.columns import columns, wrapped
from knowngood.report.console import Board, PlainLines
from knowngood.report.demo_text import Act, demo_text
from knowngood.report.diff_text import matrix_markdown, matrix_text
from knowngood.report.handover import handover
from knowngood.report.html import html
from knowngood.report.junit import junit
from knowngood.report.plan_text import hop_text, plan_text
from knowngood.report.problems import github_annotations, problem_text, sarif
from knowngood.report.summary import Summary
from knowngood.report.text import summary_text

EVIL = (
    "\x1b[2J\r\n end: done\n::error::forged\n##[error]forged ##vso[task] \x00\x07\x9b\u2028\u202e\u200b\ufe0f\ud800"
    "\n```\n| a | </td><script>x</script> [l](http://e) `c` @you"
)
FIXED = {
    *("started", "ended", "updated", "end", "status", "verdict", "now", "kind", "step", "path", "running"),
    *(
        "interrupted",
        "undo",
        "disruption",
        "scope",
        "schema",
        "time",
        "type",
        "starts",
        "hold",
        "again",
        "how",
    ),
}
"""Fields that hold our own words or times."""
T = TypeVar("T")


def poisoned(value: Any, by: str) -> Any:
    """JSON values in which every text that others may have written ends in `by`."""
    if isinstance(value, str):
        return value + by if value else value
    if isinstance(value, Mapping):
        field = all(isinstance(k, str) and re.fullmatch("[a-z_]+|apiVersion", k) for k in value)
        return {
            (k if field else poisoned(k, by)): (v if field and k in FIXED else poisoned(v, by))
            for k, v in value.items()
        }
    return [poisoned(v, by) for v in value] if isinstance(value, (list, tuple)) else value


def evil(value: T, by: str = EVIL) -> T:
    return from_json(type(value), poisoned(to_json(value), by))


def harmful(line: str) -> bool:
    order = line.lstrip().startswith("::") or re.search(r"##\w*\[", line)
    return bool(order) or not line.isprintable() or "\ufe0f" in line


def acts(summary: Summary) -> list[Act]:
    return [Act("t", "done", summary, ended_well=True, against=(summary.why,))]


CHANGES = MatrixDiff((Change("rule", "r", "changed", ("message: x",)),))
REPORTS: dict[str, Callable[[Summary, Plan, MatrixDiff], str]] = {
    "status": lambda s, _p, _d: summary_text(s),
    "handover": lambda s, p, _d: handover(s, p, a_cluster()),
    "demo": lambda s, _p, _d: demo_text(acts(s), Path("/demo"), 1.0, ("next",)),
    "junit": lambda s, _p, _d: junit(s),
    "html": lambda s, _p, _d: html((s,)),
    "plan": lambda _s, p, _d: plan_text(p),
    "hop": lambda _s, p, _d: hop_text(p, p.hops[0]),
    "diff": lambda _s, _p, d: matrix_text(d),
    "diff as Markdown": lambda _s, _p, d: matrix_markdown(d),
    "json": lambda s, p, _d: as_json(to_json(s)) + as_json(to_json(p)),
}


@pytest.mark.parametrize("run", [held, undone])
@pytest.mark.parametrize("report", REPORTS)
def test_no_report_holds_a_line_a_control_or_an_order_of_others(report: str, run: Callable[[], Any]) -> None:
    summary, plan = run().summary, a_plan()
    told, clean = (
        REPORTS[report](evil(summary, x), evil(plan, x), evil(CHANGES, x)) for x in (EVIL, "-calm")
    )
    assert "forged" in told
    assert [line for line in told.split("\n") if harmful(line)] == []
    assert told.count("\n") == clean.count("\n")


def test_markdown_of_others_opens_no_cell_span_fence_link_or_mention() -> None:
    summary, plan = evil(held().summary), evil(a_plan())
    for text, clean in (
        (matrix_markdown(evil(CHANGES)), matrix_markdown(CHANGES)),
        (handover(summary, plan, a_cluster()), handover(held().summary, a_plan(), a_cluster())),
    ):
        prose, fences = re.subn(r"(?ms)^```sh$.*?^```$", "", text)
        assert fences == len(re.findall("(?m)^```sh$", clean))
        assert not re.search(r"(?<!\\)\[l|<script|@you", re.sub("`[^`\n]*`", "", prose))
    rows = [x for x in matrix_markdown(evil(CHANGES)).splitlines() if x.startswith("|")]
    assert {row.count("|") for row in rows} == {4}
    assert code("a`b|c\n") == r"`a\x60b\x7cc\n`"
    assert markdown("[a](b)|`c`") == r"\[a\]\(b\)&#124;&#96;c&#96;"


def test_a_command_to_type_by_hand_is_one_command_whatever_a_name_holds() -> None:
    page_ = handover(evil(held().summary), evil(a_plan()), a_cluster())
    typed = [x for x in page_.splitlines() if x.startswith(("kubectl", "git"))]
    assert typed
    assert all(len(re.sub(r"'[^']*'", "Q", x).split("http")) == 1 or x.startswith("git clone") for x in typed)


def test_xml_and_html_stay_whole() -> None:
    ET.fromstring(junit(evil(held().summary)))  # noqa: S314 (we wrote it)
    assert "<script" not in html((evil(held().summary),))


@pytest.mark.parametrize("error", [KnowngoodError, Interrupted, ValueError, UnicodeDecodeError])
def test_an_error_that_quotes_others_is_one_line_and_its_advice_another(
    error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    if error is UnicodeDecodeError:
        raised: Exception = UnicodeDecodeError("utf-8", b"\xff", 0, 1, EVIL)
    elif issubclass(error, KnowngoodError):
        raised = error(f"it says {EVIL}", hint=EVIL, where=f"file{EVIL}")
    else:
        raised = error(EVIL)
    tell(raised)
    told = capsys.readouterr().err
    assert told.count("\n") == 2
    assert not [x for x in told.split("\n") if harmful(x)]


def test_an_error_is_harmless_where_it_enters() -> None:
    error = KnowngoodError(EVIL, hint=EVIL, where=EVIL)
    for text in (error.message, error.hint, str(error), *error.args, str(Location(EVIL, 1))):
        assert not harmful(text)


def test_problems_are_their_own_lines_on_a_terminal_for_github_and_in_sarif(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = f"a{EVIL}".replace("\ud800", "\udcff").replace("\0", "")  # as a file system can
    found = Problem(Location(file, 3, 4), f"m{EVIL}", "KG002", f"h{EVIL}", "error", f"e{EVIL}")
    assert not [x for x in problem_text([found]) if harmful(x)]
    tell(DataError((found,)))
    assert capsys.readouterr().err.count("\n") == 2
    say_orders(github_annotations([found]))
    (order, end) = capsys.readouterr().out.split("\n")
    assert order.startswith("::error ")
    assert order.isprintable()
    assert not end
    (result,) = sarif([found], [{"number": "KG002", "title": "", "why": "", "severity": "error"}], "1")[
        "runs"
    ][0]["results"]
    assert [x.partition(":")[0] for x in result["message"]["text"].split("\n")][1:] == ["expected", "do"]
    assert not [x for x in result["message"]["text"].split("\n") if harmful(x)]


def test_a_plain_text_is_one_line_and_only_a_page_has_more(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\nb")
    say(page(["c", "d\ne"]))
    say_json({"why": "##[error]\x1b\u202e"})
    assert capsys.readouterr().out.split("\n") == [
        r"a\nb",
        "c",
        r"d\ne",
        "{",
        '  "schema": 1,',
        r'  "why": "#\u0023[error]\u001b\u202e"',
        "}",
        "",
    ]


def records() -> list[Record]:
    plan = {"run": EVIL, "cluster": EVIL}
    detail = {"why": EVIL, "nodes": [EVIL], "verdict": EVIL}
    time = "2026-08-22T03:00:00.000Z"
    return [
        Record(0, RecordType.PLAN, time, detail=plan, files={"plan": "x"}),
        Record(1, RecordType.INTENT, time, "hop-1/ring-0/batch-1/claim", detail=detail),
        Record(2, RecordType.OUTCOME, time, "hop-1/ring-0/batch-1/claim", Status.FAIL, detail),
        Record(3, RecordType.INTENT, time, "hop-1/ring-0/batch-1/judge", detail=detail),
    ]


def test_a_line_of_progress_is_one_line() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    for record in (*records(), Record(4, RecordType.INTERRUPTED, "", detail={"why": EVIL})):
        lines.record(record)
    lines.progress(Progress(EVIL, "gate", EVIL, EVIL))
    told = stream.getvalue().splitlines()
    assert len(told) == 6
    assert not [x for x in told if harmful(x)]


def test_the_board_draws_no_control_and_no_line_of_others() -> None:
    def drawn(spoil: Callable[[Any], Any]) -> str:
        console = Console(file=io.StringIO(), width=4000, force_terminal=False)
        clean = [replace(r, detail=spoil(r.detail)) for r in records()]
        board = Board(a_plan(), soak=1.0, so_far=clean[:2], console=console, clock=lambda: records()[0].time)
        for record in clean[2:]:
            board.record(record)
        board.progress(Progress("", "gate", spoil(EVIL), spoil(EVIL)))
        console.print(board.render())
        return str(console.file.getvalue())  # type: ignore[attr-defined]  # a StringIO

    told = drawn(lambda value: value)
    assert [x for x in told.split("\n") if harmful(x)] == []
    assert told.count("\n") == drawn(harmless).count("\n")


def test_columns_are_aligned_by_what_is_shown() -> None:
    assert columns([("a\x1b", "b"), ("c", "d\n")]) == ["  a\\x1b  b", "  c      d\\n"]
    assert wrapped([("a", "b\x1b c\u202e")]) == ["  a  b\\x1b c\\u202e"]


@pytest.mark.parametrize("text", ["plain ünïcode → …", "", "a: b | c", "line ## heading"])
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_printable_twice_changes_nothing_and_long_text_says_what_is_missing() -> None:
    assert printable(printable(EVIL)) == printable(EVIL)
    assert printable("x" * 50, 10) == "xxxxxxxxxx … (40 characters more)"


def test_what_a_library_logs_is_one_printable_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The official client logs what a credential plugin says."""
    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers[:] = [h for h in before if not hasattr(h, "says")]  # one that another test's command added
    hear_libraries()
    hear_libraries()  # once is enough
    try:
        added = [h for h in root.handlers if h not in before]
        assert len(added) == 1
        added[0].handle(logging.LogRecord("kubernetes", logging.ERROR, "", 0, "it said %s", (EVIL,), None))
    finally:
        root.handlers[:] = before
    told = capsys.readouterr().err
    assert told.startswith("kubernetes: it said ")
    assert told.count("\n") == 1
    assert not harmful(told[:-1])
