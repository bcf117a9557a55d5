"""Findings of `validate` for people, for GitHub, and as SARIF for whatever reads that."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from knowngood.matrix.reading import read_text
from knowngood.model.errors import DataError, Problem
from knowngood.model.text import ENDLESS, page, printable
from knowngood.model.values import Object

_WIDTH = 100
"""Characters of a line that are shown."""


def problem_text(problems: Iterable[Problem], width: int = ENDLESS) -> Iterator[str]:
    """Lines of `width`: the finding, the place in its file with a caret, what was expected, what to do."""
    sources: dict[str, list[str]] = {}
    for problem in problems:
        yield from _lines("", f"{problem.where}: {problem.severity} {problem.rule}: {problem.message}", width)
        yield from _excerpt(problem, sources)
        yield from _lines("  expected: ", problem.expected, width)
        yield from _lines("  do: ", problem.hint, width)


def _lines(head: str, text: str, width: int) -> list[str]:
    """One text, gone on below itself where the terminal has no room; a word longer than a line stays whole."""
    lines = textwrap.wrap(
        printable(text),
        width,
        initial_indent=head,
        subsequent_indent=" " * (len(head) or 4),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [head]


def _excerpt(problem: Problem, sources: dict[str, list[str]]) -> Iterator[str]:
    """The line itself; nothing where there is no such line (any more)."""
    file, number, column = problem.where.file, problem.where.line or 0, problem.where.column or 1
    if file not in sources:
        try:
            sources[file] = read_text(Path(file), file).splitlines()
        except DataError:
            sources[file] = []
    if not 0 < number <= len(sources[file]):
        return
    line = sources[file][number - 1]
    begin = max(0, column - 1 - _WIDTH // 2)
    shown = "".join(c if printable(c) == c else " " for c in line[begin : begin + _WIDTH])
    dots = "..." if begin else ""
    margin = f"  {number} | "
    yield f"{margin}{dots}{shown}"
    yield f"{' ' * (len(margin) - 2)}| {' ' * (len(dots) + column - 1 - begin)}^"


def github_annotations(problems: Iterable[Problem]) -> list[str]:
    """GitHub's workflow commands, which put each finding on its line of a pull request."""
    return [_annotation(p) for p in problems]


def _annotation(problem: Problem) -> str:
    command = "error" if problem.severity == "error" else "warning"
    places = {
        "file": problem.where.file,
        "line": problem.where.line,
        "col": problem.where.column,
        "title": problem.rule,
    }
    properties = ",".join(f"{k}={_escaped(str(v), ',:')}" for k, v in places.items() if v)
    text = f"{problem.message}\nexpected: {problem.expected}\ndo: {problem.hint}"
    return f"::{command} {properties}::{_escaped(text)}"


def _escaped(text: str, also: str = "") -> str:
    """Workflow commands end at a line's end; properties also at commas and colons."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for character in also:
        text = text.replace(character, f"%{ord(character):02X}")
    return printable(text)


def sarif(problems: Sequence[Problem], rules: Sequence[Mapping[str, str]], version: str) -> Object:
    """SARIF 2.1.0 with one run. `rules` are those of `matrix.show.lint_rules`, also those that found nothing."""
    index = {rule["number"]: place for place, rule in enumerate(rules)}
    driver = {"name": "knowngood", "semanticVersion": version, "rules": [_sarif_rule(rule) for rule in rules]}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(problem, index[problem.rule]) for problem in problems],
            }
        ],
    }


def _sarif_rule(rule: Mapping[str, str]) -> Object:
    return {
        "id": rule["number"],
        "shortDescription": {"text": rule["title"]},
        "fullDescription": {"text": rule["why"]},
        "defaultConfiguration": {"level": rule["severity"]},
    }


def _sarif_result(problem: Problem, index: int) -> Object:
    """The fingerprint leaves the line out: a finding that only moved is the same one."""
    mark = "\0".join((problem.rule, problem.where.file, problem.message))
    region = {"startLine": problem.where.line or 1, "startColumn": problem.where.column or 1}
    place = {"artifactLocation": {"uri": _uri(problem.where.file)}, "region": region}
    return {
        "ruleId": problem.rule,
        "ruleIndex": index,
        "level": problem.severity,
        "message": {
            "text": page([problem.message, f"expected: {problem.expected}", f"do: {problem.hint}"]).rstrip()
        },
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"knowngood/v1": hashlib.sha256(_bytes(mark)).hexdigest()[:32]},
    }


def _uri(file: str) -> str:
    """Relative to where the command ran, as code scanning wants it; `file:` where it lies elsewhere."""
    text = quote(_bytes(file))
    return f"file://{text}" if PurePosixPath(file).is_absolute() else text


def _bytes(text: str) -> bytes:
    """A file's name need not be UTF-8, and a value may hold half a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")
