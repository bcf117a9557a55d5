"""For who writes gates: what a gate's docstring says, in parts, and a new gate laid out with its test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from knowngood.model.errors import UsageError

PARTS = ("proves", "needs", "fail", "inconclusive", "noted", "thresholds")
_PART = re.compile(rf"^({'|'.join(PARTS)}): *(.*)$", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")


def told(file: Path) -> dict[str, str]:
    """A gate's docstring: `says`, its first line, and the parts that it has, each as one line of text."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    first, _, rest = text.partition("\n")
    parts: dict[str, list[str]] = {}
    lines = parts.setdefault("", [])
    for line in rest.splitlines():
        found = _PART.match(line)
        lines = parts.setdefault(found[1].lower(), []) if found else lines
        lines.append((found[2] if found else line).strip())
    joined = {part: " ".join(filter(None, parts.get(part, ()))) for part in PARTS}
    # A short gate says both verdicts in one line: `fail: ... inconclusive: ...`.
    if not joined["inconclusive"] and " inconclusive: " in joined["fail"]:
        joined["fail"], _, joined["inconclusive"] = joined["fail"].partition(" inconclusive: ")
    return {"says": first, **joined}


def laid_out(name: str, folder: Path) -> tuple[Path, Path]:
    """Where `gates/NAME.py` and `tests/test_NAME.py` will be in `folder`; UsageError where name or place is taken."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a gate", hint="lower case letters, digits and _, as a Python module"
        )
    files = folder / "gates" / f"{name}.py", folder / "tests" / f"test_{name}.py"
    for file in files:
        if file.exists():
            raise UsageError("there is such a file already", where=str(file), hint="choose another name")
    return files


def write(name: str, files: tuple[Path, Path]) -> tuple[Path, Path]:
    """Write a gate and its test."""
    for file, template in zip(files, (GATE, TEST), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(template.replace("NAME", name), encoding="utf-8")
    return files


GATE = '''"""What this gate proves, in one sentence.

Proves: what is known once it has passed.
Needs: what it reads, and the right that this takes.
fail: what was measured and is wrong.
inconclusive: what could not be measured.
Thresholds: maxAnswer of the profile (where the figure comes from).
"""

from __future__ import annotations

from knowngood.gate import judge, measure
from knowngood.model.node import NodeState
from knowngood.model.values import Values


def test_NAME(node: str, state: NodeState, limits: Values, baseline: Values | None) -> None:
    """Runs once a node. `state`: the node as it was read; `limits`: this gate's part of the profile."""
    answer = len(state.gpus)
    measure(answer=answer)
    if not state.gpus:
        judge.inconclusive("the driver shows no GPU")
    most = int(limits.get("maxAnswer", 16))
    if answer > most:
        judge.fail(f"{answer} GPUs, {most} allowed")
    if baseline is not None and answer != baseline["answer"]:
        judge.fail(f"{answer} GPUs, before the change {baseline['answer']}")
'''
TEST = '''"""The gate NAME passes, fails and can't tell where it should."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from knowngood.gate.verdicts import GateFailed, GateInconclusive
from knowngood.model.node import NodeState

FILE = Path(__file__).parents[1] / "gates" / "NAME.py"


def judged(gpus: int, baseline: Any = None, **limits: Any) -> None:
    spec = importlib.util.spec_from_file_location("NAME", FILE)
    assert spec is not None and spec.loader is not None
    gate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gate)
    state = NodeState("gpu-1", reachable=True, gpus=tuple(map(str, range(gpus))))
    gate.test_NAME(node="gpu-1", state=state, limits=limits, baseline=baseline)


def test_a_healthy_node_passes() -> None:
    judged(8)
    judged(8, {"answer": 8})


def test_what_is_wrong_fails() -> None:
    with pytest.raises(GateFailed):
        judged(8, maxAnswer=7)
    with pytest.raises(GateFailed):
        judged(7, {"answer": 8})


def test_what_can_not_be_read_is_inconclusive() -> None:
    with pytest.raises(GateInconclusive):
        judged(0)
'''
