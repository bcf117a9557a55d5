"""Evidence files: one that a person names, and those that the matrix holds about a release."""

from __future__ import annotations

import glob
import json
from pathlib import Path

from knowngood.matrix import documents, json_text
from knowngood.matrix.reading import display, read_text
from knowngood.matrix.schema import validator
from knowngood.matrix.yaml_text import MAX_BYTES
from knowngood.model.errors import DataError, Location, Problem
from knowngood.model.evidence import Evidence, evidence_of
from knowngood.model.values import Object

_HINT = "name an evidence file that a run wrote"
_ROOM = 4096
"""Bytes that what is added when it is promoted may take."""


def read_evidence(path: Path) -> Object:
    """Its JSON values, read as strictly as the matrix reads what it holds; DataError where it is no evidence."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(path)
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _refusal(path, f"not UTF-8 text (byte {error.start})") from None
    value = json_text.parse(text, str(path), _HINT)
    if len(json.dumps(value, indent=2)) > MAX_BYTES - _ROOM:  # as it will lie in the matrix
        raise _too_large(path)
    errors = sorted(validator("evidence").iter_errors(value), key=lambda e: [str(p) for p in e.absolute_path])
    if errors:
        raise DataError(
            tuple(
                Problem(
                    Location(str(path)),
                    f"{'.'.join(str(p) for p in e.absolute_path) or 'the file'}: {e.message[:200]}",
                    hint=_HINT,
                )
                for e in errors
            )
        )
    found: Object = value
    return found


def evidence_about(root: Path, release: str = "") -> tuple[Evidence, ...]:
    """All evidence about a release, or about any, in the matrix at `root`; DataError where a file of it is broken."""
    found = []
    for path in sorted((root / "evidence").glob(f"*/{glob.escape(release) or '*'}-*.json")):
        file = f"{display(root)}/evidence/{path.parent.name}/{path.name}"
        value = documents.evidence(read_text(path, file), path.parent.name, path.stem, file).value
        if release in ("", value["release"]):
            found.append(evidence_of(value))
    return tuple(found)


def _too_large(path: Path) -> DataError:
    return _refusal(path, f"larger than {MAX_BYTES // 1024} KiB, which no matrix can hold")


def _refusal(path: Path, message: str) -> DataError:
    return DataError((Problem(Location(str(path)), message, hint=_HINT),))
