"""A run's judgements as one JUnit file: a suite a judgement, a case a gate and node.

`fail` is a failure, `inconclusive` and a missing result are errors. Skipped is only what `gate` could not run on a
node in use: the reason says how old its last pass is; where that is too old, the whole is inconclusive all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from knowngood.model.text import printable
from knowngood.planner.freshness import NotRun
from knowngood.report.summary import GateLine, JudgementLine, Summary


def junit(summary: Summary) -> str:
    """The document of one run."""
    return junit_of((summary,))


def junit_of(summaries: Sequence[Summary]) -> str:
    """One document of several runs; with several, a suite's name begins with its run."""
    suites = [
        (f"{s.run}/{j.step}" if len(summaries) > 1 else j.step, j) for s in summaries for j in s.judgements
    ]
    name = "knowngood " + ", ".join(s.to_release for s in summaries)
    return document(name, suites, sum(s.seconds for s in summaries))


def document(
    name: str,
    suites: Sequence[tuple[str, JudgementLine]],
    seconds: float,
    not_run: Sequence[NotRun] = (),
) -> str:
    """A document of judgements, each under its suite's name, and of what did not run."""
    root = ET.Element("testsuites", {"name": name})
    counts = [_suite(root, title, judgement) for title, judgement in suites]
    if not_run:
        counts.append(_skipped(root, not_run))
        root.set("skipped", str(len(not_run)))
    for index, key in enumerate(("tests", "failures", "errors")):
        root.set(key, str(sum(c[index] for c in counts)))
    root.set("time", f"{seconds:.1f}")
    for element in root.iter():  # all text is in attributes; a reason may quote a kernel line
        for key, value in element.items():
            element.set(key, printable(value))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _skipped(root: ET.Element, not_run: Sequence[NotRun]) -> tuple[int, int, int]:
    counts = {"tests": str(len(not_run)), "failures": "0", "errors": "0", "skipped": str(len(not_run))}
    suite = ET.SubElement(root, "testsuite", {"name": "not run", **counts})
    for missed in not_run:
        name = f"{missed.gate}[{missed.node}]"
        case = ET.SubElement(suite, "testcase", {"classname": "not run", "name": name})
        ET.SubElement(case, "skipped", {"message": missed.sentence()})
    return len(not_run), 0, 0


def _suite(root: ET.Element, title: str, judgement: JudgementLine) -> tuple[int, int, int]:
    suite = ET.SubElement(root, "testsuite", {"name": title})
    failures = errors = 0
    for line in judgement.results:
        case = _case(suite, judgement.step, line)
        if line.verdict == "fail":
            failures += 1
            ET.SubElement(case, "failure", {"message": line.reason})
        elif line.verdict != "pass":
            errors += 1
            ET.SubElement(case, "error", {"message": line.reason})
    for name in (*judgement.missing, *(["session"] if judgement.trouble else [])):
        errors += 1
        case = ET.SubElement(suite, "testcase", {"classname": judgement.step, "name": name})
        ET.SubElement(case, "error", {"message": judgement.trouble or "gave no result"})
    counts = (len(suite.findall("testcase")), failures, errors)
    for name, value in zip(("tests", "failures", "errors"), counts, strict=True):
        suite.set(name, str(value))
    return counts


def _case(suite: ET.Element, step: str, line: GateLine) -> ET.Element:
    name = f"{line.gate}[{line.node or 'cluster'}]"
    attributes = {"classname": step, "name": name, "time": f"{line.seconds:.2f}"}
    case = ET.SubElement(suite, "testcase", attributes)
    figures = {**line.measured, **({"backend": line.backend} if line.backend else {})}
    if figures:
        properties = ET.SubElement(case, "properties")
        for key, value in figures.items():
            ET.SubElement(properties, "property", {"name": str(key), "value": str(value)})
    return case
