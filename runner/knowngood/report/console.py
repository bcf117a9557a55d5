"""A run on a screen: a live board on a terminal, plain lines into a pipe. Both go to stderr; stdout is the result.

Observers are told from the thread that drives the run and must not raise.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from knowngood.model.claims import Hold
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.plan import Plan
from knowngood.model.progress import Progress
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.state import RunState, fold
from knowngood.model.steppath import StepPath
from knowngood.model.text import harmless, page, printable
from knowngood.planner.pace import seconds_between
from knowngood.ports.observer import Observer
from knowngood.report.columns import move
from knowngood.report.disturbance import NodeTime, node_times
from knowngood.report.estimate import estimate, rings_of, words
from knowngood.report.steps import place_of, planned_sentence

COLOURS = {"ok": "green", "fail": "red", "inconclusive": "yellow", "foreign": "magenta"}
MARKS = {"ok": "✓", "fail": "✗", "inconclusive": "?", "foreign": "!"}
NODE_COLOURS = {Hold.IN_SERVICE: "green", Hold.OUT: "yellow", Hold.QUARANTINED: "bold red"}
LAST_STEPS = 8


def now() -> str:
    """The wall time, RFC 3339 UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


TELLING = 60.0
"""Seconds: a bound below that says nothing of a run."""


class PlainLines(Observer):
    """One line when a step begins and one when it ends."""

    def __init__(self, stream: TextIO | None = None, plan: Plan | None = None) -> None:
        self._stream = stream or sys.stderr
        self._plan = plan
        self._began: dict[str, str] = {}
        self._said: set[tuple[str, str]] = set()

    def record(self, record: Record) -> None:
        """Print it."""
        match record.type:
            case RecordType.INTENT:
                self._began[record.step] = record.time
                self._said.clear()
                self._print(
                    record.time, f"  … {planned_sentence(StepPath(record.step), self._plan)}{_nodes(record)}"
                )
            case RecordType.OUTCOME:
                took = words(seconds_between(self._began.get(record.step, record.time), record.time))
                why = str(record.detail.get("why", ""))
                told = (
                    f"{record.status or '':<4} {planned_sentence(StepPath(record.step), self._plan)} ({took})"
                )
                self._print(record.time, told + (f": {why}" if why else ""))
            case RecordType.PLAN:
                self._print(record.time, f"run {record.detail.get('run')} on {record.detail.get('cluster')}")
            case RecordType.FINISHED:
                end, why = record.detail.get("end", ""), record.detail.get("why", "")
                self._print(record.time, f"end: {end}" + (f": {why}" if why else ""))
            case _:
                why = str(record.detail.get("why") or record.detail.get("mode") or "")
                self._print(record.time, f"{record.type}" + (f": {why}" if why else ""))

    def progress(self, progress: Progress) -> None:
        """Print it, indented below its step; what a step says twice is printed once.

        A gate may have several tests a node. Only bad ones are news, and none of them is the gate's verdict.
        """
        test = progress.what == "gate"
        if test and progress.text.startswith("pass"):
            return
        news = (progress.subject, progress.text)
        if news in self._said:
            return
        self._said.add(news)
        self._print(now(), f"    {'a test of ' if test else ''}{progress.subject}: {progress.text}")

    def _print(self, time: str, text: str) -> None:
        self._stream.write(page([f"{time[11:19]} {text}"]))
        self._stream.flush()


class Board(Observer):
    """The live board; a context manager around the run. Redraws itself four times a second.

    `so_far`: the records a resumed or rolled back run has already.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        soak: float,
        window_end: str = "",
        so_far: Iterable[Record] = (),
        console: Console | None = None,
        clock: Callable[[], str] = now,
    ) -> None:
        self._plan = from_json(Plan, harmless(to_json(plan)))
        self._soak = soak
        self._window_end = window_end
        self._clock = clock
        self._records = [_shown_as(r) for r in so_far]
        self._news: deque[str] = deque(maxlen=3)
        self._guard = threading.Lock()
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, get_renderable=self.render, refresh_per_second=4)

    def __enter__(self) -> Board:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def record(self, record: Record) -> None:
        """Keep it for the next redraw."""
        with self._guard:
            self._records.append(_shown_as(record))
            if record.type is RecordType.INTENT:
                self._news.clear()

    def progress(self, progress: Progress) -> None:
        """Keep the latest news."""
        with self._guard:
            line = printable(f"{progress.subject}: {progress.text}")
            if line not in self._news:
                self._news.append(line)

    def render(self) -> RenderableType:
        """The board now."""
        with self._guard:
            records, news = tuple(self._records), tuple(self._news)
        state = fold(records)
        parts: list[RenderableType] = [self._header(state), self._rings(state), self._steps(state)]
        if news and state.end is None:
            parts.append(Text("\n".join(f"    {line}" for line in news), style="dim"))
        return Group(*parts)

    def _header(self, state: RunState) -> RenderableType:
        plan = self._plan
        at = estimate(plan, state, soak=self._soak, window_end=self._window_end, now=self._clock())
        moves = ", ".join(
            f"{m.component} {m.from_version} → {m.to_version}" for h in plan.hops for m in h.moves
        )
        left = f"{words(at.left)} to go" if at.exact else _no_less(at.left)
        if state.end is not None:
            left = f"ended {state.end.name}"
        line = Text.assemble(
            (f"{plan.cluster}  ", "bold"),
            (move(plan.from_release, plan.to_release), "bold cyan"),
            f"  {moves}\n",
            f"run {state.run or '…'}   {words(at.elapsed)} so far, {left}",
        )
        line.append(f"   an undo takes {words(at.undo)}" if at.undo else "")
        line.append(f"   undo must start by {at.undo_by}" if at.undo_by else "", style="bold yellow")
        return line

    def _rings(self, state: RunState) -> RenderableType:
        nodes = node_times(state, self._plan.nodes)
        table = Table(box=None, padding=(0, 2), show_edge=False)
        for title in ("hop", "ring", "steps", "nodes", "gates"):
            table.add_column(title, style="" if title == "nodes" else None, header_style="dim")
        done = rings_of(self._plan, state)
        for hop in self._plan.hops:
            for ring in hop.parts:
                at = StepPath(hop.name).child(ring.name)
                ended, total = done[at]
                undone = any(p.within(at) and p.is_undo for p in state.intended)
                table.add_row(
                    hop.name,
                    ring.name,
                    Text("undo", style="red") if undone else f"{_bar(ended, total)} {ended}/{total}",
                    Text(" ").join(_node(n, nodes[n]) for n in ring.nodes),
                    _gates(state, at),
                )
        return table

    def _steps(self, state: RunState) -> RenderableType:
        lines = Text()
        for path in _shown(state):
            result = state.results.get(path)
            if result is None:
                since = words(seconds_between(state.open_since, self._clock()))
                lines.append(f"  … {planned_sentence(path, self._plan)} ({since})\n", style="bold")
                continue
            status = str(result.status)
            took = words(seconds_between(result.started, result.ended))
            lines.append(f"  {MARKS[status]} ", style=COLOURS[status])
            lines.append(f"{planned_sentence(path, self._plan)} ({took})\n")
            if result.status is not Status.OK:
                lines.append(f"      {result.detail.why}\n", style=COLOURS[status])
        return lines


def _shown_as(record: Record) -> Record:
    """As it may be drawn: what others wrote must not steer the terminal."""
    return replace(record, step=printable(record.step), detail=harmless(record.detail))


def _shown(state: RunState) -> tuple[StepPath, ...]:
    """The last steps, and before them the last one that failed: it is why the others are done."""
    last = state.intended[-LAST_STEPS:]
    bad = [p for p, result in state.results.items() if result.status is not Status.OK and p not in last]
    return (*bad[-1:], *last)


def _node(name: str, time: NodeTime) -> Text:
    return Text(name, style=NODE_COLOURS.get(time.now, "yellow"))


class _Whole:
    """Items in one cell, as many in a line as fit: none is parted by a line's end."""

    def __init__(self, items: Iterable[Text]) -> None:
        self._items = [*items] or [Text()]

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        widths = [item.cell_len for item in self._items]
        most = min(sum(widths) + 2 * (len(widths) - 1), options.max_width)
        return Measurement(min(max(widths), most), most)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        line = self._items[0].copy()
        for item in self._items[1:]:
            if line.cell_len + 2 + item.cell_len > options.max_width:
                yield line
                line = item.copy()
            else:
                line.append("  ").append_text(item)
        yield line


def _gates(state: RunState, at: str) -> _Whole:
    """The verdicts of a ring's judgements, in order."""
    told = []
    for path, result in state.results.items():
        verdict = result.detail.verdict
        if verdict and path.within(at):
            label = " ".join(x for x in (place_of(path).replace(path.ring, "").strip(), path.verb) if x)
            told.append(Text(f"{label} ").append(str(verdict), style=COLOURS[str(result.status)]))
    return _Whole(told)


def _no_less(seconds: float) -> str:
    """How long it will take at least; where nothing of weight was measured yet, that is no answer."""
    return (
        f"at least {words(seconds)} to go" if seconds >= TELLING else "how long it takes is not measured yet"
    )


def _bar(done: int, total: int, width: int = 10) -> str:
    filled = round(width * done / total) if total else 0
    return "━" * filled + "─" * (width - filled)


def _nodes(record: Record) -> str:
    nodes = [str(n) for n in record.detail.get("nodes", ())]
    return f" [{', '.join(nodes)}]" if nodes else ""
