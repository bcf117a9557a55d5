"""What `doctor` found, for people and for machines (the schema `doctor`)."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.model.examination import Examination, Line
from knowngood.model.finding import Finding
from knowngood.model.text import Page, page
from knowngood.model.values import Object
from knowngood.model.verdict import Verdict
from knowngood.report.columns import wrapped

WORDS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.INCONCLUSIVE: "could not ask"}
SCHEMA = 1


def doctor_text(found: Examination, width: int) -> Page:
    """One line a check, with what was found below it and its fix, then how many of each."""
    lines = [line for one in found.lines for line in _line(one, width)]
    counts = {word: sum(one.verdict is v for one in found.lines) for v, word in WORDS.items()}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return page([*lines, "", f"{found.cluster}: {told}"])


def _line(one: Line, width: int) -> Iterator[str]:
    yield from wrapped([(WORDS[one.verdict].ljust(13), f"{one.check}: {one.title}")], "", width)
    follows = [*(f.hint for f in one.findings[1:]), ""]
    for finding, next_hint in zip(one.findings, follows, strict=False):
        said = f"{finding.where}: {finding.what}" if finding.where else finding.what
        mark = "" if finding.verdict is one.verdict else f"({WORDS[finding.verdict]}) "
        yield from wrapped([("", mark + said)], " " * 13, width)
        if finding.hint and finding.hint != next_hint:  # of several alike once, below them
            yield from wrapped([("fix:", finding.hint)], " " * 15, width)
    for note in one.notes:
        yield from wrapped([("note:", note)], " " * 15, width)


def doctor_json(found: Examination) -> Object:
    """The same as values."""
    return {
        "schema": SCHEMA,
        "cluster": found.cluster,
        "to": found.to_release,
        "verdict": found.verdict.value,
        "checks": [
            {
                "check": one.check,
                "title": one.title,
                "verdict": one.verdict.value,
                "findings": [_finding(f) for f in one.findings],
                "notes": list(one.notes),
            }
            for one in found.lines
        ],
    }


def _finding(finding: Finding) -> Object:
    return {
        "verdict": finding.verdict.value,
        "where": finding.where,
        "what": finding.what,
        "fix": finding.hint,
    }
