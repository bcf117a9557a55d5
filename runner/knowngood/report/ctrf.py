"""Judgements as CTRF, the JSON that test dashboards read, beside JUnit.

Format: Common Test Report Format (ctrf.io), specVersion 0.0.0: results.tool, results.summary, results.tests. Its
`other` is our inconclusive: neither a pass nor a fail. Times are in milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from knowngood.model.text import as_json, printable
from knowngood.model.values import Object
from knowngood.planner.freshness import NotRun
from knowngood.report.summary import GateLine, JudgementLine, Summary

STATUS = {"pass": "passed", "fail": "failed"}
STATES = ("passed", "failed", "skipped", "pending", "other")


def ctrf(summary: Summary) -> str:
    """The document of one run."""
    suites = [(j.step, j) for j in summary.judgements]
    return document(suites, summary.seconds, summary.updated, version=summary.version)


def document(
    suites: Sequence[tuple[str, JudgementLine]],
    seconds: float,
    ended: str,
    not_run: Sequence[NotRun] = (),
    again: str = "",
    version: str = "",
) -> str:
    """A document of judgements, each under its suite's name, and of what did not run.

    `ended`: RFC 3339. `again`: the start of the command that runs a gate once more, "" where there is none.
    """
    stop = int(datetime.fromisoformat(ended).timestamp() * 1000)
    tests = [*_tests(suites, again), *_skipped(not_run)]
    counts = Counter(test["status"] for test in tests)
    return as_json(
        {
            "reportFormat": "CTRF",
            "specVersion": "0.0.0",
            "results": {
                "tool": {"name": "knowngood", **({"version": version} if version else {})},
                "summary": {
                    "tests": len(tests),
                    **{state: counts.get(state, 0) for state in STATES},
                    "suites": len(suites),
                    "start": stop - int(seconds * 1000),
                    "stop": stop,
                },
                "tests": tests,
            },
        }
    )


def _tests(suites: Sequence[tuple[str, JudgementLine]], again: str) -> Iterator[Object]:
    for title, judgement in suites:
        yield from (_test(title, line, again) for line in judgement.results)
        silent = judgement.trouble or "gave no result"
        for name in (*judgement.missing, *(["session"] if judgement.trouble else [])):
            yield {
                "name": name,
                "status": "other",
                "duration": 0,
                "suite": title,
                "message": printable(silent),
            }


def _test(title: str, line: GateLine, again: str) -> Object:
    found: Object = {
        "name": f"{line.gate}[{line.node or 'cluster'}]",
        "status": STATUS.get(line.verdict, "other"),
        "rawStatus": line.verdict,
        "duration": int(line.seconds * 1000),
        "suite": title,
    }
    found |= {"message": printable(line.reason)} if line.reason else {}
    if line.verdict != "pass" and again:
        found["extra"] = {"again": rerun(again, line)}
    return found


def _skipped(not_run: Sequence[NotRun]) -> Iterator[Object]:
    for missed in not_run:
        name = f"{missed.gate}[{missed.node}]"
        yield {
            "name": name,
            "status": "skipped",
            "duration": 0,
            "suite": "not run",
            "message": missed.sentence(),
        }


def rerun(command: str, line: GateLine) -> str:
    """The one command that runs this gate once more, on its node only."""
    return f"{command} --gate {line.gate}" + (f" --node {line.node}" if line.node else "")
