"""Results leave the pytest process as JSON lines, one event a line; the runner computes the verdict from them.

A verdict is taken from what the test raised, before any other plugin or conftest.py can make a report of it.
"""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

import pytest
from _pytest.outcomes import Failed

from knowngood.gate import context as contexts
from knowngood.gate import verdicts
from knowngood.gate.verdicts import GateFailed, GateInconclusive, Notes
from knowngood.model.parts import Waiver
from knowngood.model.values import Object, Values
from knowngood.model.verdict import MEASURED_FILE, WAIVED, Verdict

MAX_REASON = 1000


@dataclass(slots=True)
class _Running:
    """One test while it runs."""

    notes: Notes
    verdict: Verdict = Verdict.PASS
    reason: str = ""
    seconds: float = 0.0
    phases: list[str] = field(default_factory=list)


class Events:
    """Writes `events.jsonl`."""

    def __init__(self, file: IO[str], waivers: Sequence[Waiver] = ()) -> None:
        self._file = file
        self._waivers = waivers
        self._running: dict[str, _Running] = {}

    def write(self, event: str, **fields: Any) -> None:
        """One line, flushed: a killed process leaves what it had said."""
        self._file.write(json.dumps({"event": event, **fields}) + "\n")
        self._file.flush()

    def pytest_sessionstart(self) -> None:
        """The session begins."""
        self.write("session_start")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A gate's file that can't be imported."""
        if report.failed:
            self.write(
                "collect_error", gate=Path(report.nodeid).stem, reason=str(report.longrepr)[-MAX_REASON:]
            )

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Somebody took tests out."""
        self.write("deselected", tests=[item.nodeid for item in items])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """What will run."""
        gates: dict[str, set[str]] = {}
        for item in session.items:
            gates.setdefault(gate_of(item), set()).add(node_of(item))
        self.write(
            "collected",
            gates={gate: sorted(nodes) for gate, nodes in sorted(gates.items())},
            tests=[item.nodeid for item in session.items],
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note each phase's end, before anybody makes a report of it."""
        self._note(item, call)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """One test: begin its notes, and write its result when it has ended."""
        mine = [w for w in self._waivers if (w.gate, w.node) == (gate_of(item), node_of(item))]
        running = self._running[item.nodeid] = _Running(verdicts.begin(mine))
        try:
            return (yield)
        finally:
            self._finish(item, running)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The session ends: the last line."""
        self.write("session_finish", exitstatus=int(exitstatus))
        self._file.close()

    def _kept(self, measured: Values) -> Object:
        """Figures for a line of the events, or the digest of the file beside it that has them."""
        text = json.dumps(measured)
        if len(text) <= verdicts.MAX_MEASURED_BYTES:
            return {"measured": measured}
        digest = hashlib.sha256(text.encode()).hexdigest()
        Path(self._file.name).with_name(MEASURED_FILE.format(digest)).write_text(text, encoding="utf-8")
        return {"measured": {}, "measuredFile": digest}

    def _note(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        running = self._running[item.nodeid]
        running.seconds += call.duration
        running.phases.append(call.when)
        if call.excinfo is None:
            return
        verdict, reason = _verdict(call.excinfo.value, in_call=call.when == "call")
        if call.when != "call" and not isinstance(call.excinfo.value, (Failed, pytest.skip.Exception)):
            reason = f"{call.when}: {reason}"
        if running.verdict is not Verdict.FAIL:
            running.verdict, running.reason = verdict, reason

    def _finish(self, item: pytest.Item, running: _Running) -> None:
        notes, verdict, reason = running.notes, running.verdict, running.reason
        if verdict is Verdict.PASS and running.phases != ["setup", "call", "teardown"]:
            verdict, reason = Verdict.INCONCLUSIVE, "the test did not run to its end"
        if item.get_closest_marker("xfail") is not None:
            verdict, reason = Verdict.INCONCLUSIVE, "a gate can't be expected to fail (xfail)"
        self.write(
            "result",
            test=item.nodeid,
            gate=gate_of(item),
            node=node_of(item),
            verdict=verdict.value,
            reason="; ".join(filter(None, (reason or notes.reason, *_waived(notes))))[:MAX_REASON],
            **self._kept({**notes.measured, **{f"{WAIVED}{part}": w for part, w in notes.waived.items()}}),
            backend=notes.backend,
            seconds=round(running.seconds, 3),
        )


def _waived(notes: Notes) -> list[str]:
    """In words, what was found and not counted."""
    return [
        f"{part} is waived until {said['until']} ({said['reason']}): {said['found']}"
        for part, said in notes.waived.items()
    ]


def gate_of(item: pytest.Item) -> str:
    """The gate's name: its file's stem."""
    return item.path.stem


def node_of(item: pytest.Item) -> str:
    """The node a test judges, "" for the whole cluster."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("node", "")) if callspec is not None else ""


def _verdict(error: BaseException, *, in_call: bool) -> tuple[Verdict, str]:
    if isinstance(error, GateFailed):
        return Verdict.FAIL, str(error)
    if isinstance(error, GateInconclusive):
        return Verdict.INCONCLUSIVE, str(error)
    if isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception)):
        return Verdict.INCONCLUSIVE, f"skipped: {error}"
    if isinstance(error, (AssertionError, Failed)) and in_call:
        return Verdict.FAIL, (str(error) or "a check did not hold").splitlines()[0]
    return Verdict.INCONCLUSIVE, f"{type(error).__name__}: {error}"


def pytest_configure(config: pytest.Config) -> None:
    """Open the file and let a TERM of the supervisor end the session in order: fixtures delete what they made."""
    path = Path(config.getoption("--knowngood-events"))
    waivers = contexts.load(Path(config.getoption("--knowngood-context"))).cluster.waivers
    events = Events(path.open("w", encoding="utf-8"), waivers)
    config.pluginmanager.register(events, "knowngood-events")
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
