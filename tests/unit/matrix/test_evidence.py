"""The evidence file that a person names is read as strictly as the matrix reads its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from knowngood.matrix.evidence import read_evidence
from knowngood.matrix.yaml_text import MAX_BYTES
from knowngood.model.errors import DataError

GOOD: dict[str, Any] = {
    "run": "r20260822-030000-ab12",
    "cluster": "lab",
    "release": "old",
    "versions": {"openshift": "4.18.52"},
    "status": "rehearsed",
    "because": "as the run saw it",
    "time": "2026-08-22T03:00:00Z",
}


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "proof.json"
    file.write_text(text)
    return read_evidence(file)


def with_more(text: str) -> str:
    return json.dumps(GOOD)[:-1] + f', "more": {text}}}'


def test_what_a_run_wrote_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps(GOOD)) == GOOD
    assert read(tmp_path, with_more("[1, 2.5, null]"))["more"] == [1, 2.5, None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (with_more("NaN"), "NaN is no number"),
        (with_more("1e999"), "too large"),
        (with_more("1" + "0" * 40), "too large"),
        (with_more("[" * 60 + "]" * 60), "nested deeper than 32 levels"),
        (with_more('{"a": 1, "a": 2}'), "'a' stands twice"),
        (with_more(f'"{"x" * MAX_BYTES}"'), "which no matrix can hold"),
        (with_more(json.dumps([0] * (MAX_BYTES // 4), separators=(",", ":"))), "which no matrix can hold"),
        (json.dumps({**GOOD, "run": "r" * 300}), "run: "),
        (json.dumps({**GOOD, "run": "../r1"}), "run: "),
    ],
    ids=[
        "NaN",
        "infinite",
        "long",
        "deep",
        "doubled",
        "large",
        "large once written",
        "a long run",
        "a run that climbs",
    ],
)
def test_what_would_make_the_matrix_unreadable_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert says in caught.value.problems[0].message
    assert caught.value.hint == "name an evidence file that a run wrote"
    assert "proof.json" in str(caught.value.where)
