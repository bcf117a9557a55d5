"""Evidence is JSON. Read as strictly as the YAML files: bounded depth, no doubled keys, no NaN, numbers that fit."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from knowngood.matrix.yaml_text import MAX_DEPTH, Node, Scalar, Span, refusal
from knowngood.matrix.yaml_text import parse as parse_yaml
from knowngood.model.errors import DataError, Location
from knowngood.model.values import Object

_HINT = "evidence is written by runs and never edited; restore it with Git"


class _Wrong(ValueError):
    """What is valid for Python's reader and not for us."""


def parse(text: str, file: str, hint: str = _HINT) -> Any:
    """The JSON values; DataError with the place of the first thing that is not allowed, and the hint."""
    try:
        found = json.loads(
            text, object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_number, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        where = Location(file, error.lineno, error.colno)
        raise refusal(where, f"not valid JSON: {error.msg}", hint) from None
    except _Wrong as error:
        raise refusal(Location(file, 1, 1), str(error), hint) from None
    except RecursionError:
        raise _deep(file, hint) from None
    _bounded(found, file, hint)
    return found


def tree(text: str, file: str) -> Node:
    """The same text with places, for messages. Nearly all JSON is YAML; where it is not, all stands in line 1."""
    try:
        return parse_yaml(text, file)
    except DataError:
        return Scalar("", "", Span(0, 0, 1, 1, 1))


def _bounded(found: Any, file: str, hint: str) -> None:
    level = [found]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for value in level
            if isinstance(value, (dict, list))
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise _deep(file, hint)


def _deep(file: str, hint: str) -> DataError:
    return refusal(Location(file, 1, 1), f"nested deeper than {MAX_DEPTH} levels", hint)


def _pairs(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _Wrong(f"the key {twice!r} stands twice")
    return found


def _constant(text: str) -> float:
    raise _Wrong(f"{text} is no number")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Wrong(f"{text[:20]} is too large")
    return number


def _whole(text: str) -> int:
    if len(text) > 20:
        raise _Wrong(f"{text[:20]}... is too large")
    return int(text)
