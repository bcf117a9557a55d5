"""An edit changes one scalar and nothing else, or is refused with file and line."""

from __future__ import annotations

import difflib
import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.cases import CASES, needs_cases

from knowngood.matrix.span_edit import edit_scalar, read_scalar
from knowngood.model.errors import DataError
from knowngood.model.field import ObjectRef

DRIVER = """\
# declared for ring-0; see the runbook
apiVersion: nvidia.com/v1alpha1
kind: NVIDIADriver
metadata: {name: ring-0}   # flow style on purpose
spec:
  version: "580.173.02"  # quoted
  image: driver
  other: 580.173.02
  single: 'it''s'
  tolerations:
    - {key: nvidia.com/gpu, operator: Exists}
    - key: knowngood.dev/maintenance
      operator: Exists
  note: |
    580.173.02 stays here
"""


@pytest.mark.parametrize(
    ("path", "new", "written"),
    [
        ("spec.version", "595.91.07", '"595.91.07"  # quoted'),
        ("spec.other", "595.91.07", "other: 595.91.07"),
        ("spec.other", "550.100", 'other: "550.100"'),
        ("spec.other", "true", 'other: "true"'),
        ("spec.other", "a: b", 'other: "a: b"'),
        ("spec.single", "don't", "'don''t'"),
        ("spec.tolerations.1.operator", "Equal", "operator: Equal"),
        ("spec.tolerations.0.key", "a}b", '{key: "a}b", operator'),
        ("metadata.name", "ring-1", "{name: ring-1}   # flow"),
    ],
)
def test_one_line_changes_and_keeps_its_quotes(path: str, new: str, written: str) -> None:
    edited = edit_scalar(DRIVER, path, new, file="driver.yaml")
    changed = [line for line in difflib.ndiff(DRIVER.splitlines(), edited.splitlines()) if line[0] in "+-"]
    assert [line[0] for line in changed] == ["-", "+"]
    assert written in changed[1]
    assert read_scalar(edited, path, file="driver.yaml") == new


def test_the_same_value_gives_the_same_text() -> None:
    assert edit_scalar(DRIVER, "spec.version", "580.173.02", file="driver.yaml") is DRIVER


def test_a_byte_order_mark_stays_and_shifts_nothing() -> None:
    edited = edit_scalar(f"\ufeff{DRIVER}", "spec.version", "595.91.07", file="driver.yaml")
    assert edited == f"\ufeff{edit_scalar(DRIVER, 'spec.version', '595.91.07', file='driver.yaml')}"


def test_line_ends_stay_as_they_are() -> None:
    edited = edit_scalar("a: x\r\nb: y\r\n", "b", "z", file="f")
    assert edited == "a: x\r\nb: z\r\n"


@pytest.mark.parametrize(
    ("text", "path", "where", "words"),
    [
        (DRIVER, "spec.image.tag", "7:10", "there is no spec.image.tag"),
        (DRIVER, "spec.note", "14:9", "block scalar"),
        (DRIVER, "spec.tolerations", "11:5", "several values"),
        (DRIVER, "spec.tolerations.7.key", "11:5", "there is no spec.tolerations.7"),
        ("a: 1\na: 2\n", "a", "2:4", "a stands 2 times"),
        ("a: &x 1.2.3\n", "a", "1:4", "anchors and aliases"),
        ("b: &x {c: d}\na: *x\n", "a.c", "1:4", "anchors and aliases"),
        ("a: !!str 5\n", "a", "1:4", "tag"),
        ("a: x\n---\na: y\n", "a", "2:1", "second YAML document"),
        ("a: 'x\n  y'\n", "a", "1:4", "several lines"),
        ("a: x\n  y\n", "a", "1:4", "several lines"),
        ("a: 580\n", "a", "1:4", "reads as int"),
        ("a:\n", "a", "1:3", "reads as null"),
        ("", "a", "1:1", "empty"),
        ("a: [x\n", "a", "2:1", "not valid YAML"),
    ],
)
def test_what_is_not_safe_is_refused_with_its_place(text: str, path: str, where: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        edit_scalar(text, path, "1.2.4", file="f.yaml")
    assert str(caught.value.where) == f"f.yaml:{where}"
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("new", ["", "two\nlines", "bell\x07"])
def test_a_value_that_is_no_line_of_text_is_refused(new: str) -> None:
    with pytest.raises(DataError, match="is no value"):
        edit_scalar(DRIVER, "spec.version", new, file="driver.yaml")


KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=6)
LEAVES = st.text(string.ascii_letters + string.digits + " .:-_#'\"{}[],&*!|>%@é", min_size=1, max_size=12)
TREES = st.recursive(
    LEAVES,
    lambda children: (
        st.lists(children, min_size=1, max_size=3) | st.dictionaries(KEYS, children, min_size=1, max_size=3)
    ),
    max_leaves=12,
)


def leaves(tree: object, path: str = "") -> dict[str, object]:
    if isinstance(tree, dict):
        return {p: v for k, child in tree.items() for p, v in leaves(child, f"{path}.{k}").items()}
    if isinstance(tree, list):
        return {p: v for i, child in enumerate(tree) for p, v in leaves(child, f"{path}.{i}").items()}
    return {path: tree}


@given(
    tree=st.dictionaries(KEYS, TREES, min_size=1, max_size=4),
    new=LEAVES,
    flow=st.sampled_from([None, True, False]),
    style=st.sampled_from([None, "'", '"']),
    data=st.data(),
)
def test_only_that_path_changes(
    tree: dict[str, object], new: str, flow: bool | None, style: str | None, data: st.DataObject
) -> None:
    """PyYAML is the oracle: dump, edit, load; every other leaf is as it was, and so is every other line."""
    text = yaml.safe_dump(
        tree, default_flow_style=flow, default_style=style, width=10_000, allow_unicode=True
    )
    path = data.draw(st.sampled_from(sorted(leaves(tree))))
    edited = edit_scalar(text, path[1:], new, file="f")
    assert leaves(yaml.safe_load(edited)) == {**leaves(tree), path: new}
    before, after = text.splitlines(), edited.splitlines()
    assert len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) <= 1


TWO = """\
---
apiVersion: nvidia.com/v1alpha1
kind: NVIDIADriver
metadata: {name: ring-0}
spec:
  version: "580.126.20"
---
apiVersion: nvidia.com/v1alpha1
kind: NVIDIADriver
metadata: {name: ring-1, namespace: gpu}
spec:
  version: "580.126.20"  # the second
---
"""


def of(name: str, namespace: str = "") -> ObjectRef:
    return ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", name, namespace)


def test_of_several_documents_the_object_s_own_is_edited() -> None:
    assert read_scalar(TWO, "spec.version", file="f", of=of("ring-1")) == "580.126.20"
    edited = edit_scalar(TWO, "spec.version", "595.91.07", file="f", of=of("ring-1"))
    assert edited == TWO.replace('"580.126.20"  # the second', '"595.91.07"  # the second')
    first = edit_scalar(TWO, "spec.version", "595.91.07", file="f", of=of("ring-0", "gpu"))
    assert first == TWO.replace('"580.126.20"\n---', '"595.91.07"\n---')


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (
            TWO,
            of("ring-2"),
            "none of its 2 documents is NVIDIADriver ring-2; they are NVIDIADriver ring-0,",
        ),
        (TWO, of("ring-1", "other"), "none of its 2 documents"),
        (TWO + TWO.removeprefix("---\n"), of("ring-0"), "NVIDIADriver ring-0 stands here 2 times"),
    ],
)
def test_an_object_that_is_not_there_once_is_refused(text: str, name: ObjectRef, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_scalar(text, "spec.version", file="f", of=name)
    with pytest.raises(DataError, match=words):
        edit_scalar(text, "spec.version", "595.91.07", file="f", of=name)


def test_a_lone_document_need_not_say_who_it_is() -> None:
    assert read_scalar("spec: {version: a1}\n", "spec.version", file="f", of=of("ring-0")) == "a1"


@needs_cases
def test_a_public_file_of_two_drivers_is_edited_at_the_one_that_is_named() -> None:
    file = CASES / "g" / "g2-two-drivers.yaml"
    text = file.read_text()
    edited = edit_scalar(text, "spec.version", "595.91.07", file="f", of=of("ring-1"))
    assert [d["spec"]["version"] for d in yaml.safe_load_all(edited)] == ["580.126.20", "595.91.07"]
    assert sum(a != b for a, b in zip(text.splitlines(), edited.splitlines(), strict=True)) == 1


NIC = ("spec.ofedDriver.version", "doca3.3.0-26.01-1.0.0.0-0", "doca3.4.1-26.04-1.1.0.0-1")


@needs_cases
@pytest.mark.parametrize(
    ("name", "path", "before", "after"),
    [
        pytest.param("g6-nic", *NIC, id="C40: a comment behind it, JSON below"),
        pytest.param(
            "g11-os-suffix",
            "spec.driver.version",
            "565.57.01-ubuntu22.04",
            "580.173.02",
            id="C44: seen whole",
        ),
        pytest.param(
            "g12-unquoted", "spec.vgpuManager.version", "570.133.10", "580.173.02", id="C45: stays plain"
        ),
    ],
)
def test_public_files_get_one_value_and_keep_all_else(name: str, path: str, before: str, after: str) -> None:
    text = (CASES / "g" / f"{name}.yaml").read_text()
    assert read_scalar(text, path, file="f") == before
    assert edit_scalar(text, path, after, file="f") == text.replace(before, after, 1)


@needs_cases
@pytest.mark.parametrize(
    ("name", "path", "line"),
    [
        pytest.param("g7-jinja", "spec.ofedDriver.version", 6, id="C41: Jinja"),
        pytest.param("g10-anchor", "spec.version", 6, id="C43: an anchor"),
    ],
)
def test_public_files_that_are_no_plain_yaml_are_refused_with_their_line(
    name: str, path: str, line: int
) -> None:
    with pytest.raises(DataError) as caught:
        edit_scalar((CASES / "g" / f"{name}.yaml").read_text(), path, "1", file="f")
    (problem,) = caught.value.problems
    assert problem.where.line == line
