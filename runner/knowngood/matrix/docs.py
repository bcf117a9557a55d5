"""The parts of pages that are made from code and data: `python -m knowngood.matrix.docs docs/matrix.md`.

docs/contributing-data.md shows shipped files as they are: `<!-- begin file matrix/rules/NAME.yaml -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from knowngood.matrix.documents import EDGE_KINDS, KINDS
from knowngood.matrix.locate import matrix_dir
from knowngood.matrix.schema import Schema, definition
from knowngood.matrix.show import lint_rules
from knowngood.planner.version import SCHEMES

_FILE = re.compile(
    r"(?P<begin><!-- begin file (?P<path>matrix/[a-zA-Z0-9/._-]+) -->\n).*?"
    r"(?P<end><!-- end file (?P=path) -->)",
    re.DOTALL,
)


def render(text: str) -> str:
    """`text` with each part between `<!-- begin NAME -->` and `<!-- end NAME -->` made anew."""
    for name, make in PARTS.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = head + begin + make() + end + tail if rest else text
    return _FILE.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    """A shipped file between its marks, as it is."""
    content = (matrix_dir().parent / match["path"]).read_text(encoding="utf-8")
    return f"{match['begin']}```yaml\n{content}```\n{match['end']}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '¦') for cell in line)} |\n" for line in lines)


def _rules() -> str:
    rows = [(r["number"], r["severity"], r["title"], r["why"]) for r in lint_rules()]
    return _table(("rule", "finding", "what must hold", "why"), rows)


def _schemes() -> str:
    return _table(("scheme", "a whole version"), [(s.name, f"`{s.example}`") for s in SCHEMES.values()])


def _keys(kind: str) -> Callable[[], str]:
    def make() -> str:
        return _table(("key", "", "meaning"), _key_rows(definition(kind)))

    return make


def _key_rows(schema: Schema) -> list[tuple[str, ...]]:
    required = schema.get("required", [])
    return [
        (f"`{key}`", "required" if key in required else "", _meaning(value))
        for key, value in schema.get("properties", {}).items()
    ]


def _meaning(value: Schema) -> str:
    text = str(value.get("description", ""))
    choices = value.get("enum")
    return f"{text} One of {', '.join(f'`{c}`' for c in choices)}." if choices else text


PARTS: dict[str, Callable[[], str]] = {
    "rules": _rules,
    "schemes": _schemes,
    "mover keys": lambda: _table(
        ("key", "", "meaning"), _key_rows(definition("component")["$defs"]["mover"])
    ),
    **{f"{kind} keys": _keys(kind) for kind in (*KINDS.values(), *EDGE_KINDS.values())},
}

if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(render(page.read_text(encoding="utf-8")), encoding="utf-8")
