"""Two recordings of the same edits, held against each other: by kind, name, field and order.

Both were taken of systems that do many things at once, so only what does not hang on luck is compared. Per edit:
which objects came and went; each field's path from value to value (a number that counts pods only from where it
began to where it came to rest, because a controller writes its sums now and then); and the order of what
happens to one thing: a pod's place on a node, a driver from its declaration to its state. Equal names stand for
equal values: rev7 here may be rev3 there, but then everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tests.integration.replay.recording import Line, Step

Path = list[Any]
Key = tuple[str, str]  # kind, name
Rename = Callable[[str], str]

LONGEST = 120  # what is compared of a text that lists states: recordings cut it
THERE = ""  # the field that says whether an object is there
_COUNTS = re.compile(r"status\.(\w*Number\w*|number\w+|observedGeneration)$")
# Steps that may follow each other so quickly that a recording misses one.
_PASSING = re.compile(r"(labels\.nvidia\.com/gpu-driver-upgrade-state|annotations\.nvidia\.com/.*)$")
_TOKEN = re.compile(r"(rev|hash|digest)\d+$")
_LISTED = re.compile(r"(states not ready: )\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Difference:
    """What one field of one object did in the real recording and on the twin, after an edit."""

    step: str
    kind: str
    name: str
    field: str
    real: Any
    twin: Any

    def __str__(self) -> str:
        where = f"{self.kind} {self.name}" + (f" {self.field}" if self.field else "")
        return f"after «{self.step[:60]}»: {where}: real {self.real}, twin {self.twin}"


class Pairs:
    """Which name here is which name there."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, Any], Any] = {}
        self._here: dict[tuple[str, Any], Any] = {}

    def forget(self, space: str) -> None:
        """Numbers of that kind begin anew: what they count is gone."""
        for known in (self._there, self._here):
            for name in [one for one in known if one[0] == space]:
                del known[name]

    def same(self, real: Any, twin: Any, space: str = "") -> bool:
        """Whether two values stand for the same; names that were not met before become a pair."""
        if isinstance(real, list) and isinstance(twin, list):
            return len(real) == len(twin) and all(
                self.same(r, t, space) for r, t in zip(real, twin, strict=True)
            )
        if not _is_name(real, space) or not _is_name(twin, space):
            return bool(real == twin)
        space = space or str(real).rstrip("0123456789")
        there, here = (space, real), (space, twin)
        if there not in self._there and here not in self._here:
            self._there[there], self._here[here] = twin, real
        return (self._there.get(there), self._here.get(here)) == (twin, real)


def _is_name(value: Any, space: str) -> bool:
    if space:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str) and bool(_TOKEN.match(value))


def differences(
    real: Sequence[Step],
    twin: Sequence[Step],
    strands: Callable[[Line], Iterable[tuple[str, str]]] = lambda _line: (),
) -> list[Difference]:
    """What differs, edit by edit. `strands`: of which orders a line is part, and as what."""
    pairs = Pairs()
    found: list[Difference] = []
    for here, there in zip(real, twin, strict=True):
        assert here.what == there.what
        found += _notes(here, there)
        found += _paths(here, there, pairs)
        found += _orders(here, there, strands)
    return found


def _notes(real: Step, twin: Step) -> list[Difference]:
    if real.notes == twin.notes:
        return []
    return [Difference(real.what, "test", "saw", "", real.notes, twin.notes)]


def _paths(real: Step, twin: Step, pairs: Pairs) -> list[Difference]:
    here, there = _by_object(real.lines), _by_object(twin.lines)
    found = []
    for key in sorted(set(here) | set(there)):
        fields, others = here.get(key, {}), there.get(key, {})
        for name in sorted(set(fields) | set(others)):
            ours, theirs = _path(key, name, fields, others), _path(key, name, others, fields)
            if ours is None or theirs is None:
                continue
            if _PASSING.match(name) and _within(ours, theirs):
                continue
            if name == "taints" and _brief(ours, theirs):
                continue
            if not pairs.same(ours, theirs, _space(key, name)):
                found.append(Difference(real.what, *key, name, ours, theirs))
        if _went(fields):
            for space in (f"generation {key[0]} {key[1]}", f"revision {key[1]}"):
                pairs.forget(space)
    return found


def _within(path: Path, whole: Path) -> bool:
    """Whether a path begins and ends as the other does, and takes no step that the other does not take."""
    rest = iter(whole)
    return bool(path) and path[-1:] == whole[-1:] and all(any(one == two for two in rest) for one in path)


def _brief(path: Path, other: Path) -> bool:
    """Whether a taint came and went on one side only: a cordon that is lifted at once may be too short for it."""
    return [path, other].count([]) == 1 and (path or other)[0] == (path or other)[-1]


def _space(key: Key, field: str) -> str:
    """Numbers that count up from wherever a recording began."""
    kind, name = key
    if kind == "ControllerRevision" and field.endswith("revision"):
        return f"revision {name.removeprefix('of ')}"
    if field in {"generation", "status.observedGeneration"}:
        return f"generation {kind} {name}"
    return ""


def _path(key: Key, field: str, mine: Mapping[str, Path], other: Mapping[str, Path]) -> Path | None:
    """A field's path, made comparable; None where it says nothing."""
    path = mine.get(field, [])
    if _COUNTS.match(field):
        if _went(mine) or _went(other):
            return None
        if not path:
            return []
        return [] if path[0] == path[-1] else [path[0] or 0, path[-1] or 0]
    return path


def _went(fields: Mapping[str, Path]) -> bool:
    return bool(fields.get(THERE)) and fields[THERE][-1] == "gone"


def _by_object(lines: Iterable[Line]) -> dict[Key, dict[str, Path]]:
    found: dict[Key, dict[str, Path]] = {}
    changed = ""  # the DaemonSet whose template changed last: a revision that counts up is its own
    for line in lines:
        if line["kind"] == "DaemonSet" and "templateHash" in (line.get("change") or {}):
            changed = line["name"]
        fields = found.setdefault((line["kind"], _object_name(line, changed)), {})
        if line["type"] != "MODIFIED":
            fields.setdefault(THERE, []).append("there" if line["type"] == "ADDED" else "gone")
        for name, value in (line.get("set") or {}).items():
            _go(fields, name, None, value)
        for name, (old, new) in (line.get("change") or {}).items():
            if name != "status":
                _go(fields, name, old, new)
    for (kind, _), fields in found.items():
        if kind == "ClusterPolicy":
            _states(fields)
    return found


def _object_name(line: Line, changed: str) -> str:
    """A revision has no name of its own: it is the one of its DaemonSet that came, counted up or went."""
    if line["kind"] != "ControllerRevision":
        return str(line["name"])
    return "old ones" if line["type"] == "DELETED" else f"of {line.get('of') or changed}"


def _go(fields: dict[str, Path], name: str, old: Any, new: Any) -> None:
    path = fields.setdefault(name, [old])
    if path[-1] != new:
        path.append(new)


def _states(fields: dict[str, Path]) -> None:
    """Which states are named at a moment is luck; that they are named at all is not."""
    path = fields.get("status.conditions.Error")
    if path is None:
        return
    named = {name for text in path for found in _LISTED.finditer(text or "") for name in found[2].split()}
    texts = [_LISTED.sub(r"\1[...]", text)[:LONGEST] if text else text for text in path]
    fields["status.conditions.Error"] = [one for one, _ in groupby(texts)]
    if named:
        fields["states named"] = sorted(named)


def _orders(real: Step, twin: Step, strands: Callable[[Line], Iterable[tuple[str, str]]]) -> list[Difference]:
    here, there = _first(real.lines, strands), _first(twin.lines, strands)
    found = []
    for strand in sorted(set(here) & set(there)):
        # Only the order: what is missing on one side is a difference of its own.
        ours = [one for one in here[strand] if one in there[strand]]
        theirs = [one for one in there[strand] if one in here[strand]]
        if ours != theirs:
            found.append(Difference(real.what, "order", strand, "", ours, theirs))
    return found


def _first(
    lines: Iterable[Line], strands: Callable[[Line], Iterable[tuple[str, str]]]
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        for strand, what in strands(line):
            known = found.setdefault(strand, [])
            if what not in known:
                known.append(what)
    return found
