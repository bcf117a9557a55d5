"""Where a source can be made wrong: comparisons, thresholds, defaults, and an exception that is taken for well. Pure.

Left out is what no verdict hangs on: annotations, doc strings, f-strings, positions and lengths in brackets (`[0]`,
`[:200]`), the digits of `round`; `strict` of `zip`, which only asserts; numbers below 1e-20, which only keep a divisor
from being zero; how much `read` and `recv` take at a time, how long `sleep` sleeps; whether a clock that is compared
stands just at its deadline, which it never does for long enough to be seen there; and constants that their names call
patience or a bound (PATIENT, BOUND): one more second, or one more of a thousand bytes, is seen by nobody, and that
there is an end at all is shown by what hangs and by floods.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.trees import tree_of

COMPARED: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}


PATIENT = frozenset({"AGAIN", "GRACE", "LOOK", "PATIENCE", "PAUSE", "SETTLE", "WITHIN"})
BOUND = frozenset({"CHUNK", "LONGEST", "MAX", "MOST", "PIECE", "WINDOW"})
"""Words of a constant's name that say that it is patience, or a bound on how much is read, kept or shown."""
TINY = 1e-20


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: bytes `start` to `end` of a file become `new`. `line` counts from 1; `text`: the line as it was.

    `nth`: of the changes of this file that read the same, which; two equal numbers may stand on one line.
    """

    file: str
    line: int
    kind: str
    start: int
    end: int
    old: str
    new: str
    text: str
    nth: int = 1

    @property
    def name(self) -> str:
        """What it is known by, wherever the line moves to."""
        which = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.file}: {self.text.strip()}: {_short(self.old)} -> {_short(self.new)}{which}"

    def applied(self, source: str) -> str:
        """The source with the change."""
        data = source.encode()
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()


def _short(text: str) -> str:
    return " ".join(text.split())[:60]


class Source:
    """One file, and what can be changed in it."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._data = text.encode()
        self._lines = text.splitlines()
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line.encode()))
        self._tree = tree_of(text)

    def mutants(self) -> list[Mutant]:
        """All of them, in the file's order; each parses."""
        found = {(m.start, m.end, m.new): m for m in self._walk(self._tree, "") if self._parses(m)}
        alike: Counter[str] = Counter()
        mutants = []
        for mutant in sorted(found.values(), key=lambda m: (m.start, m.end, m.new)):
            alike[mutant.name] += 1
            mutants.append(replace(mutant, nth=alike[mutant.name]))
        return mutants

    def _parses(self, mutant: Mutant) -> bool:
        try:
            tree_of(mutant.applied(self._data.decode()))
        except SyntaxError:
            return False
        return True

    def _walk(self, node: ast.AST, kind: str) -> Iterator[Mutant]:
        if isinstance(node, (ast.JoinedStr, ast.Slice, ast.AnnAssign)) and not getattr(node, "value", None):
            return
        if isinstance(node, ast.Compare) and not any(map(_is_clock, (node.left, *node.comparators))):
            yield from self._comparison(node)
        if isinstance(node, ast.Constant) and kind:
            yield from self._constant(node, kind)
        if isinstance(node, ast.ExceptHandler):
            yield from self._excused(node)
        for child, its in _children(node):
            yield from self._walk(child, its)

    def _comparison(self, node: ast.Compare) -> Iterator[Mutant]:
        left: ast.expr = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            old, new = COMPARED[type(op)]
            begin, end = self._end(left), self._start(right)
            between = self._data[begin:end].decode()
            if (at := between.find(old)) >= 0:
                here = begin + len(between[:at].encode())
                yield self._mutant(node.lineno, "comparison", here, here + len(old), new)
            left = right

    def _constant(self, node: ast.Constant, kind: str) -> Iterator[Mutant]:
        value, new = node.value, ""
        if isinstance(value, bool):
            new = str(not value)
        elif isinstance(value, int):
            new = str(value + 1)
        elif isinstance(value, float) and (value == 0 or abs(value) > TINY):
            new = repr(value * 2 + (value == 0))
        elif isinstance(value, str) and kind == "default":
            new = repr("" if value else "mutant")
        if new:
            yield self._mutant(node.lineno, kind, self._start(node), self._end(node), new)

    def _excused(self, node: ast.ExceptHandler) -> Iterator[Mutant]:
        """Whatever was done about the exception is not done."""
        if not all(isinstance(s, (ast.Pass, ast.Continue)) for s in node.body):
            start, end = self._start(node.body[0]), self._end(node.body[-1])
            yield self._mutant(node.body[0].lineno, "except", start, end, "pass")

    def _mutant(self, line: int, kind: str, start: int, end: int, new: str) -> Mutant:
        old = self._data[start:end].decode()
        return Mutant(self.file, line, kind, start, end, old, new, self._lines[line - 1])

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """What is below a node, and what a constant is there: a threshold, a default, or nothing that is changed."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    default = {id(d) for d in _defaults(node)}
    skipped = {id(x) for x in _skipped(node)} - default
    for child in ast.iter_child_nodes(node):
        if id(child) not in skipped:
            yield child, "default" if id(child) in default else "threshold"


def _defaults(node: ast.AST) -> Iterator[ast.AST]:
    """What counts where nothing is said, and what is returned as it stands."""
    match node:
        case ast.arguments():
            yield from (d for d in (*node.defaults, *node.kw_defaults) if d is not None)
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, second]):
            yield second
        case ast.Return(value=ast.Constant() as value):
            yield value


def _skipped(node: ast.AST) -> Iterator[ast.AST]:
    """What no verdict hangs on."""
    match node:
        case ast.arguments():
            yield from ast.iter_child_nodes(node)
        case ast.FunctionDef() | ast.ClassDef():
            yield from (x for x in (getattr(node, "returns", None), *node.decorator_list) if x is not None)
        case ast.AnnAssign() | ast.Subscript():
            yield node.annotation if isinstance(node, ast.AnnAssign) else node.slice
        case ast.Call(func=ast.Name(id="round")):
            yield from node.args[1:]
        case ast.Call(func=ast.Name(id="zip")):
            yield from node.keywords
        case ast.Call(func=ast.Attribute(attr="read" | "recv" | "sleep")):
            yield from node.args
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.startswith("__") or _unjudged(name):
            yield value
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple() as values) if any(
            isinstance(n, ast.Name) and _unjudged(n.id) for n in names
        ):
            yield values


def _is_clock(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr="monotonic")):
            return True
    return False


def _unjudged(name: str) -> bool:
    return name.isupper() and not (PATIENT | BOUND).isdisjoint(name.split("_"))
