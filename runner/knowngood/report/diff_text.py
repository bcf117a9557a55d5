"""What lies between two releases or revisions, as text and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from knowngood.model.matrix import UndoClass
from knowngood.model.text import Page, markdown, page
from knowngood.planner.plan.diff import Change, MatrixDiff, Met, Moved, ReleaseDiff, Spoken
from knowngood.report.columns import Rows, columns
from knowngood.report.plan_text import DISRUPTIONS, UNDOS

CHANGES_SHOWN = 40
"""Of one kind; an import of a graph brings thousands."""


def release_text(diff: ReleaseDiff) -> Page:
    """One screen."""
    lines = [f"{diff.before} → {diff.after}   for {', '.join(diff.profiles)}"]
    for title, rows in _release_parts(diff):
        lines += ["", title, *columns(rows)]
    lines += ["", _verdict(diff)]
    return page(lines)


def matrix_text(diff: MatrixDiff) -> Page:
    """What changed by kind, then what each new or changed release means."""
    lines = [] if diff.changes else ["nothing in the matrix changed"]
    for kind, rows in _kinds(diff.changes):
        lines += [kind, *columns(rows), ""]
    lines += [f"could not be compared: {name}" for name in diff.unread]
    while lines and not lines[-1]:
        lines.pop()
    return page([*lines, *(part for r in diff.releases for part in ("", release_text(r)))])


def release_markdown(diff: ReleaseDiff) -> Page:
    """A section with tables."""
    lines = [
        f"### {markdown(diff.before)} → {markdown(diff.after)}",
        "",
        f"For {markdown(', '.join(diff.profiles))}.",
    ]
    for title, rows in _release_parts(diff):
        lines += ["", f"**{title}**", "", *_table(rows)]
    lines += ["", markdown(_verdict(diff))]
    return page(lines)


def matrix_markdown(diff: MatrixDiff) -> Page:
    """A comment on a pull request."""
    lines = ["## What this changes in the matrix", ""]
    lines += [] if diff.changes else ["Nothing.", ""]
    for kind, rows in _kinds(diff.changes):
        lines += [f"**{markdown(kind)}**", "", *_table(rows), ""]
    lines += [f"Could not be compared: {markdown(name)}" for name in diff.unread]
    return page([*lines, *(part for r in diff.releases for part in (release_markdown(r), ""))])


def _release_parts(diff: ReleaseDiff) -> Iterator[tuple[str, Rows]]:
    """Title and rows of each part that is there."""
    parts: Sequence[tuple[str, Iterable[Sequence[str]]]] = (
        ("moves", map(_move, diff.moves)),
        ("procedures to undo", ((m.component, m.procedure) for m in diff.moves if m.procedure)),
        ("updates and risks", map(_update, diff.updates)),
        ("rules that come", map(_rule, diff.come)),
        ("rules that go", map(_rule, diff.go)),
        ("rules that say something else", map(_rule, diff.turned)),
    )
    for title, rows in parts:
        if found := list(rows):
            yield title, found


def _move(move: Moved) -> tuple[str, ...]:
    way = "" if move.direction in ("forward", "added", "removed", "other") else "BACK"
    moved = f"{move.before or '-'} → {move.after or '-'}"
    hand = "" if move.movable else "not moved by knowngood"
    return (
        move.component,
        moved,
        way,
        DISRUPTIONS[move.disruption],
        f"{UNDOS[move.undo]} ({move.undo})",
        hand,
    )


def _update(met: Met) -> tuple[str, ...]:
    """Risks are declared on single updates, so only one of these can be said to have none."""
    risks = [
        *(f"{name} (always)" for name in met.always),
        *(f"{name} (on some clusters)" for name in met.conditional),
    ]
    move = (met.component, f"{met.before} → {met.after}")
    if not met.one_step:
        way = f"knowngood path {met.component} --from {met.before} --to {met.after}"
        return (*move, "no single update", f"see {way}")
    return (*move, "one update", "risks: " + (", ".join(risks) or "none declared"))


def _rule(spoken: Spoken) -> tuple[str, ...]:
    return (spoken.severity, spoken.outcome, spoken.rule, "" if spoken.outcome == "ok" else spoken.sentence)


def _verdict(diff: ReleaseDiff) -> str:
    if not diff.moves:
        return "nothing moves"
    whole = f"as a whole it {DISRUPTIONS[diff.disruption]}, and is {UNDOS[diff.undo]} ({diff.undo})"
    if diff.undo is UndoClass.FORWARD_ONLY:
        closed = ", ".join(m.component for m in diff.moves if m.undo is UndoClass.FORWARD_ONLY)
        return f"as a whole it {DISRUPTIONS[diff.disruption]}, and can't be undone: {closed} is forward-only"
    return whole


def _kinds(changes: Iterable[Change]) -> Iterator[tuple[str, Rows]]:
    """Kind and rows, in the order of the changes."""
    by_kind: dict[str, list[tuple[str, ...]]] = {}
    for change in changes:
        by_kind.setdefault(change.kind, []).append((change.how, change.name, "; ".join(change.what)))
    for kind, rows in by_kind.items():
        more = [("and", f"{len(rows) - CHANGES_SHOWN} more", "")] if len(rows) > CHANGES_SHOWN else []
        yield kind, [*rows[:CHANGES_SHOWN], *more]


def _table(rows: Rows) -> list[str]:
    width = max(len(row) for row in rows)
    filled: Callable[[Sequence[str]], str] = lambda row: f"| {' | '.join(markdown(c) for c in row)} |"  # noqa: E731
    return [
        f"|{' |' * width}",
        f"|{'---|' * width}",
        *(filled((*row, *[""] * (width - len(row)))) for row in rows),
    ]
