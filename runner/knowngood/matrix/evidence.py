"""One evidence file that a person names, checked by its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from knowngood.matrix.schema import validator
from knowngood.model.errors import DataError, Location, Problem

MAX_BYTES = 4 * 1024 * 1024
"""Far above what a run on a thousand nodes writes."""


def read_evidence(path: Path) -> dict[str, Any]:
    """Its JSON values; DataError where it is no evidence."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _refusal(path, f"larger than {MAX_BYTES // 1024 // 1024} MiB")
        value = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"not valid JSON: {error}") from None
    errors = sorted(validator("evidence").iter_errors(value), key=lambda e: [str(p) for p in e.absolute_path])
    if errors:
        raise DataError(
            tuple(
                Problem(
                    Location(str(path)),
                    f"{'.'.join(str(p) for p in e.absolute_path) or 'the file'}: {e.message[:200]}",
                    hint="name an evidence file that a run wrote",
                )
                for e in errors
            )
        )
    found: dict[str, Any] = value
    return found


def _refusal(path: Path, message: str) -> DataError:
    return DataError((Problem(Location(str(path)), message, hint="name an evidence file that a run wrote"),))
