"""Random files and values: never a traceback, and the quick schema check never passes what jsonschema refuses."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.target import check_bytes
from tests.unit.cli.called import knowngood

from knowngood.matrix.documents import EDGE_KINDS, KINDS, read
from knowngood.matrix.locate import matrix_dir
from knowngood.matrix.schema import fits, validator

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted((EXAMPLES / "base").glob("*/*.yaml"))
SLOW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

MARKS = [b": ", b"- ", b"\n", b"[", b"{", b"&a ", b"*a", b"!!x ", b"---\n", b"\t", b"'", b'"', b"|"]
SCALARS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["candidate", "old", "pcie", "4.18.52", ">=26.7.0 <27", "26.x", "*", "", "true", "1"]),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@contextmanager
def matrix() -> Iterator[Path]:
    """The base, for one example."""
    with tempfile.TemporaryDirectory() as folder:
        yield shutil.copytree(EXAMPLES / "base", Path(folder) / "matrix")


@SLOW
@given(st.sampled_from(FILES), st.data())
def test_bytes_changed_at_random_end_in_findings(path: Path, data: st.DataObject) -> None:
    """As a bad merge, a bad disk or an attacker would change them."""
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 20))
        content[at : at + length] = data.draw(
            st.binary(max_size=12) | st.sampled_from([b": ", b"- ", b"\n", b"[", b"&a "])
        )
    check_bytes(path.parent.name, bytes(content))


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value could be changed."""
    yield here
    if isinstance(value, dict):
        for key, child in value.items():
            yield from paths(child, (*here, key))
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield from paths(child, (*here, index))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with one value replaced."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, Any]:
    """A base file's kind, and its values with some of them replaced by others of any type."""
    path = draw(st.sampled_from(FILES))
    value = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506 (text only, as we read it)
    for _ in range(draw(st.integers(1, 3))):
        value = changed(value, draw(st.sampled_from(list(paths(value)))), draw(VALUES))
    return path.parent.name, value


@SLOW
@given(documents())
def test_values_of_any_type_anywhere_end_in_findings(document: tuple[str, Any]) -> None:
    kind, value = document
    check_bytes(kind, json.dumps(value).encode("utf-8", "surrogatepass"))


@settings(SLOW, max_examples=200)
@given(documents(), st.sampled_from([*KINDS.values(), "evidence"]))
def test_the_quick_check_never_passes_what_jsonschema_refuses(document: tuple[str, Any], other: str) -> None:
    folder, value = document
    for kind in (KINDS[folder], other):
        assert not fits(kind, value) or validator(kind).is_valid(value)


def test_the_quick_check_is_sure_of_every_file_that_ships() -> None:
    """Else each file of that kind would be left to the slow one."""
    found = read(matrix_dir())
    files = [(KINDS[folder], d) for folder in KINDS for d in found.by_kind[folder].values()]
    for documents in found.edges.values():
        files += [(edge_kind(f"{name}.yaml"), d) for name, d in documents.items()]
    assert len({kind for kind, _ in files}) == len(KINDS) + len(EDGE_KINDS)
    assert [d.file for kind, d in files if not fits(kind, d.value)] == []


def edge_kind(place: str) -> str:
    return next(kind for pattern, kind in EDGE_KINDS.items() if fnmatchcase(place, pattern))


NEEDS_RULES = [
    ({"when": {}, "severity": "warn", "message": "m"}, False),
    ({"when": {}, "severity": "warn", "message": "m", "require": {"a": "*"}}, False),
    ({"when": {}, "severity": "warn", "message": "m", "sources": [{"ref": "x"}]}, False),
    (
        {"when": {}, "severity": "warn", "message": "m", "sources": [{"ref": "x"}], "require": {"a": "*"}},
        True,
    ),
    ({"when": {}, "severity": "warn", "message": "m", "sources": [{"ref": "x"}], "action": "do"}, True),
]


@pytest.mark.parametrize(("value", "right"), NEEDS_RULES)
def test_what_a_schema_says_with_if_is_judged_alike_by_both(value: dict[str, Any], right: bool) -> None:
    assert fits("rule", value) is validator("rule").is_valid(value) is right


@settings(SLOW, max_examples=25)
@given(st.binary(max_size=200), st.sampled_from(["text", "json", "github", "sarif"]))
def test_the_command_ends_with_0_1_or_2_and_no_traceback(content: bytes, output: str) -> None:
    with matrix() as folder:
        (folder / "releases" / "new.yaml").write_bytes(content)
        said = knowngood("validate", folder, "--output", output)
    assert said.code in (0, 1)
    assert "Traceback" not in said.err + said.out
    assert "internal error" not in said.err
