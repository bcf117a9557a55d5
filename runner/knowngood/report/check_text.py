"""What `check` and `support` say, as text and as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Severity
from knowngood.model.text import Page, page
from knowngood.model.values import Object
from knowngood.planner.rules.check import Answer, Checked, Nearest
from knowngood.planner.rules.evaluation import Finding, Outcome
from knowngood.planner.rules.support import MAY_RUN, Limit, Line, State, Support, Supported
from knowngood.report.text import columns

HEADLINES = {
    Answer.YES: "yes: no blocking rule is broken",
    Answer.NO: "no: a blocking rule is broken",
    Answer.UNKNOWN: "can't tell: a blocking rule needs what was not named",
}
BEYOND = "can't tell: no blocking rule is broken, but a version is in no line that the matrix knows"
OTHER_BUILD = "can't tell: a blocking rule speaks of another build than one of these"
WORDS = {Outcome.OK: "kept", Outcome.BROKEN: "broken", Outcome.UNKNOWN: "unknown", Outcome.NOTE: "note"}
STATES = {
    State.ALLOWED: "allowed",
    State.DISPUTED: "disputed",
    State.UNSUPPORTED: "outside-support",
    State.FORBIDDEN: "forbidden",
}
REMARKS = (
    (State.DISPUTED, "allowed, though not all sources say so"),
    (State.UNSUPPORTED, "allowed, outside the documented range"),
    (State.FORBIDDEN, "forbidden"),
)


def check_text(checked: Checked) -> Page:
    """The answer, then rule by rule, then the way out."""
    rows = [(f.rule.severity.value, WORDS[f.outcome], f.said()) for f in checked.findings]
    lines = [_headline(checked)]
    for row, finding in zip(columns(rows), checked.findings, strict=True):
        lines += [row, f"    {finding.origin()}"]
    if not rows:
        lines.append("  no rule speaks of these versions")
    if checked.nearest is not None:
        lines += ["", *_nearest(checked.nearest)]
    return page(lines)


def _headline(checked: Checked) -> str:
    if checked.answer is not Answer.UNKNOWN:
        return HEADLINES[checked.answer]
    blocking = (f for f in checked.findings if f.rule.severity is Severity.BLOCK)
    untold = [f for f in blocking if f.outcome is Outcome.UNKNOWN]
    if not untold:
        return BEYOND
    return OTHER_BUILD if all(f.version for f in untold) else HEADLINES[Answer.UNKNOWN]


def check_json(checked: Checked) -> Object:
    """The same as values."""
    near = checked.nearest
    return {
        "answer": checked.answer.value,
        "versions": dict(checked.versions),
        "rules": [finding_json(f) for f in checked.findings],
        "nearest": to_json(near.changes) if near and near.changes else None,
        "nearestGaveUp": bool(near and near.exhausted),
        "beyondKnown": list(checked.beyond),
    }


def finding_json(finding: Finding) -> Object:
    """One rule's word."""
    return {
        "rule": finding.rule.name,
        "severity": finding.rule.severity.value,
        "outcome": finding.outcome.value,
        "component": finding.component,
        "version": finding.version,
        "message": finding.rule.message,
        "action": finding.rule.action,
        "sources": [s.ref for s in finding.rule.sources],
        "sentence": finding.sentence(),
    }


def _nearest(nearest: Nearest) -> list[str]:
    gave_up = "; the search gave up before it had tried all" if nearest.exhausted else ""
    if not nearest.changes:
        return [f"no combination of known versions passes{gave_up}"]
    rows = [(c.component, f"{c.before} → {c.after}") for c in nearest.changes]
    return [f"nearest combination that passes{gave_up}", *columns(rows)]


def support_text(support: Support) -> Page:
    """Component by component: its allowed lines, then what bounds them."""
    lines = [f"{name}: {_some(versions)}" for name, versions in support.given.items()]
    if support.conflict:
        lines += ["", "these can't run together, whatever the others are"]
        lines += _told(support.conflict)
        return page(lines)
    for supported in support.components:
        lines += ["", *_supported(supported)]
    if support.depends:
        lines += ["", "depends on hardware or cluster (--profile, --cluster)"]
        lines += _told(support.depends)
    return page(lines)


def _told(findings: Iterable[Finding]) -> list[str]:
    return [line for f in findings for line in (f"  {f.said()}", f"    {f.origin()}")]


def support_json(support: Support) -> Object:
    """The same as values."""
    return {
        "given": {name: list(versions) for name, versions in support.given.items()},
        "conflict": [finding_json(f) for f in support.conflict],
        "depends": [finding_json(f) for f in support.depends],
        "components": {
            s.component: {
                "allowed": list(s.names(*MAY_RUN)),
                "disputed": list(s.names(State.DISPUTED)),
                "outsideSupport": list(s.names(State.UNSUPPORTED)),
                "forbidden": list(s.names(State.FORBIDDEN)),
                "lines": [_line_json(line) for line in s.lines],
                "rules": list(s.rules),
            }
            for s in support.components
        },
        "beyondKnown": list(support.beyond),
    }


def _line_json(line: Line) -> Object:
    return {
        "line": line.name,
        "state": STATES[line.state],
        "versions": list(line.versions),
        "why": [finding_json(x.finding) for x in line.why],
        "except": {v: [x.finding.sentence() for x in why] for v, why in line.except_for.items()},
    }


def _supported(supported: Supported) -> list[str]:
    name = supported.component
    if not supported.lines:
        return [f"{name}: no version is known"]
    known = [line.name for line in supported.lines]
    allowed = spans(known, supported.names(*MAY_RUN))
    lines = [f"{name}: {allowed or 'none'}" + ("" if supported.rules else " (no rule ties it to these)")]
    for state, words in REMARKS:
        groups: dict[tuple[str, ...], list[Line]] = {}
        for line in (x for x in supported.lines if x.state is state):
            groups.setdefault(_names(line.why), []).append(line)
        for members in groups.values():
            lines.append(f"  {spans(known, [m.name for m in members])}: {words}")
            lines += [
                line for x in members[-1].why for line in (f"    {_reason(x)}", f"      {x.finding.origin()}")
            ]
    for line in supported.lines:
        if line.state in MAY_RUN and line.except_for:
            lines += _exceptions(line)
    return lines


def _exceptions(line: Line) -> list[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for version, why in line.except_for.items():
        groups.setdefault(_names(why), []).append(version)
    told = []
    for versions in groups.values():
        first = line.except_for[versions[-1]][0]
        told.append(f"  {line.name} without {_some(versions)}: {_reason(first)}")
        told.append(f"    {first.finding.origin()}")
    return told


def _names(limits: Iterable[Limit]) -> tuple[str, ...]:
    return tuple(limit.finding.rule.name for limit in limits)


def _reason(limit: Limit) -> str:
    """Hard or not, and the rule without the version that stands before it already."""
    finding = limit.finding
    said = finding.said().removeprefix(f"{finding.component} {finding.version}: ")
    return f"hard: {said}" if limit.state is State.FORBIDDEN else said


def _some(versions: Sequence[str]) -> str:
    """All of a few, else both ends."""
    if len(versions) <= 4:
        return ", ".join(versions)
    return f"{versions[0]} to {versions[-1]} ({len(versions)} versions)"


def spans(known: Sequence[str], chosen: Iterable[str]) -> str:
    """`4.18 to 4.21, 4.23`: neighbours among the known ones are drawn together."""
    picked = set(chosen)
    runs: list[list[str]] = []
    together = False
    for name in known:
        if name in picked:
            if together:
                runs[-1].append(name)
            else:
                runs.append([name])
        together = name in picked
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
