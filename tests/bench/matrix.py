"""`validate` of the whole matrix against check-jsonschema on the same files, side by side."""

from __future__ import annotations

from pathlib import Path

from tests.bench.measurement import BIN, ROOT, Measurement, seconds

from knowngood.matrix.documents import EDGE_KINDS, KINDS

MATRIX = ROOT / "matrix"
TIMES = 3


def groups() -> dict[str, list[str]]:
    """Schema -> the files that it is for. check-jsonschema takes one schema a call."""
    found = {kind: sorted(map(str, (MATRIX / folder).glob("*.yaml"))) for folder, kind in KINDS.items()}
    for pattern, kind in EDGE_KINDS.items():
        found[kind] = sorted(map(str, (MATRIX / "edges").glob(f"*/{pattern}")))
    return {kind: files for kind, files in found.items() if files}


def theirs(kind: str, files: list[str]) -> list[str]:
    """The command that checks one kind."""
    schema = str(Path(MATRIX / "schema" / f"{kind}.json"))
    return [str(BIN / "check-jsonschema"), "--schemafile", schema, *files]


def measure() -> list[Measurement]:
    """Both from the command line: start-up counts, because CI and a person wait for it too."""
    files = groups()
    count = sum(map(len, files.values()))
    ours = seconds([str(BIN / "knowngood"), "validate"], TIMES)
    schemas = sum(seconds(theirs(kind, paths), TIMES) for kind, paths in files.items())
    start = seconds([str(BIN / "check-jsonschema"), "--version"], TIMES)
    once = schemas - start * (len(files) - 1)
    calls = f"{len(files)} calls, one a schema"
    return [
        Measurement(f"knowngood validate, {count} files", ours, "s", aim=1.5),
        Measurement("check-jsonschema on the same files", schemas, "s", note=calls),
        Measurement("the same, as if it started only once", once, "s", note="its other start-ups taken off"),
        Measurement("knowngood validate / check-jsonschema", ours / schemas, "times", aim=0.2),
        Measurement("knowngood validate / check-jsonschema started once", ours / once, "times"),
    ]
