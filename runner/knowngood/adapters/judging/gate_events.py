"""The runner's own reading of what the pytest process wrote: a verdict is computed here, never taken over."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from knowngood.model.context import JudgeRequest
from knowngood.model.values import Object, Values
from knowngood.model.verdict import MEASURED_FILE, GateResult, Judgement, Verdict, worst

_SEPARATOR = "; "


@dataclass(slots=True)
class Events:
    """What one session said."""

    results: list[Values] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)  # gate -> why its file could not be imported
    deselected: list[str] = field(default_factory=list)
    exitstatus: int | None = None
    trouble: str = ""


def read(path: Path) -> Events:
    """Read `events.jsonl`; what can't be read is in `trouble`."""
    events = Events()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        events.trouble = "pytest wrote no events"
        return events
    for number, line in enumerate(lines, start=1):
        try:
            _take(events, json.loads(line), path.parent)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            events.trouble = f"line {number} of the events can't be read: {error}"
            return events
    return events


def judgement(
    request: JudgeRequest, events: Events, code: int, trouble: str, artifacts: Mapping[str, str]
) -> Judgement:
    """The judgement on `request`. `code`: the process's exit status; `trouble`: why it can't be trusted at all."""
    results = _folded(events.results)
    judged = {(r.gate, r.node) for r in results}
    missing = tuple(
        (gate, node)
        for gate, node in request.asked
        if (gate, node) not in judged and (gate, "") not in judged
    )
    why = trouble or events.trouble or _distrust(events, code)
    broken = [f"{gate}: {reason}" for gate, reason in events.broken.items()]
    return Judgement(results, missing, _SEPARATOR.join(filter(None, [why, *broken])), artifacts)


def _take(events: Events, event: Values, folder: Path) -> None:
    if events.exitstatus is not None:
        raise ValueError("a line after session_finish")
    match event["event"]:
        case "result":
            Verdict(event["verdict"])
            events.results.append(
                {key: event[key] for key in ("test", "gate", "node", "verdict", "reason", "seconds")}
                | {"measured": _measured(event, folder), "backend": str(event["backend"])}
            )
        case "collected":
            events.tests = [str(test) for test in event["tests"]]
        case "collect_error":
            reason = str(event["reason"]).strip().splitlines() or ["no reason given"]
            events.broken[str(event["gate"])] = f"the gate can't be loaded: {reason[-1].strip()[:300]}"
        case "deselected":
            events.deselected += event["tests"]
        case "session_finish":
            events.exitstatus = int(event["exitstatus"])
        case "session_start":
            pass
        case other:
            raise ValueError(f"unknown event {other}")


def _measured(event: Values, folder: Path) -> Object:
    """A result's figures: in its line, or in the file that it names. OSError, ValueError: it is another, or gone."""
    digest = event.get("measuredFile")
    if digest is None:
        return dict(event["measured"])
    if not re.fullmatch("[0-9a-f]{64}", str(digest)):
        raise ValueError(f"{digest!r} is no digest")
    data = (folder / MEASURED_FILE.format(digest)).read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{MEASURED_FILE.format(digest)} is not what was measured")
    return dict(json.loads(data))


def _distrust(events: Events, code: int) -> str:
    """Why a session that ended by itself can't be trusted, or ""."""
    if events.exitstatus is None:
        return f"pytest ended (exit status {code}) without finishing its session"
    if events.deselected:
        return f"{len(events.deselected)} tests were deselected: {events.deselected[0]}"
    ran = [str(r["test"]) for r in events.results]
    if len(ran) != len(set(ran)):
        return "a test gave two results"
    silent = sorted(set(events.tests) - set(ran))
    if silent:
        return f"{len(silent)} collected tests gave no result: {silent[0]}"
    unknown = sorted(set(ran) - set(events.tests))
    if unknown:
        return f"{unknown[0]} gave a result without having been collected"
    if events.exitstatus != code:
        return f"the session finished with {events.exitstatus}, its process with {code}"
    passed = bool(ran) and not events.broken and all(r["verdict"] == Verdict.PASS for r in events.results)
    if passed != (code == 0) and not _soft(events.results):
        return f"exit status {code} disagrees with the results"
    return ""


def _soft(results: Iterable[Values]) -> bool:
    """Whether some result is inconclusive: pytest counts a skip or an xfail as a success."""
    return any(r["verdict"] == Verdict.INCONCLUSIVE for r in results)


def _folded(results: Iterable[Values]) -> tuple[GateResult, ...]:
    """One result a gate and node: the worst verdict of its tests, with the reasons of those."""
    by_key: dict[tuple[str, str], list[Values]] = {}
    for result in results:
        by_key.setdefault((str(result["gate"]), str(result["node"])), []).append(result)
    return tuple(_fold(gate, node, tests) for (gate, node), tests in by_key.items())


def _fold(gate: str, node: str, tests: Sequence[Values]) -> GateResult:
    verdict = worst(Verdict(t["verdict"]) for t in tests)
    reasons = [str(t["reason"]) for t in tests if t["verdict"] == verdict and t["reason"]]
    backends = sorted({str(t["backend"]) for t in tests if t["backend"]})
    return GateResult(
        gate=gate,
        node=node,
        verdict=verdict,
        reason=_SEPARATOR.join(dict.fromkeys(reasons)),
        measured={key: value for t in tests for key, value in t["measured"].items()},
        backend="reference" if "reference" in backends else "".join(backends[:1]),
        seconds=sum(float(t["seconds"]) for t in tests),
    )
