"""What somebody saw running, as a file: component to version, in YAML or JSON."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path

from knowngood.matrix.yaml_text import Mapping, Node, Scalar, at, parse, refusal
from knowngood.model.errors import Location
from knowngood.model.matrix import Matrix
from knowngood.planner.version import key

MAX_BYTES = 256 * 1024
HINT = "write one line a component, like `openshift: 4.18.52`, below `versions:` or alone"


@dataclass(frozen=True, slots=True)
class Observed:
    """Versions by component, and the days since when they run, where the file says so."""

    versions: dict[str, str]
    since: dict[str, str] = field(default_factory=dict)


def read_observed(path: Path, matrix: Matrix) -> Observed:
    """The file's versions, each of a known component and whole; DataError with file and line."""
    where = Location(str(path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise refusal(where, f"larger than {MAX_BYTES // 1024} KiB", HINT, "observed")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise refusal(where, f"cannot be read: {error.strerror}", "check the path", "observed") from None
    except UnicodeDecodeError as error:
        raise refusal(where, f"not UTF-8 text (byte {error.start})", HINT, "observed") from None
    root = parse(text, str(path))
    versions = _child(root, "versions")
    days = _child(root, "since") if versions else None
    found = _scalars(versions or root, str(path))
    since = _scalars(days, str(path)) if days else {}
    if versions and isinstance(root, Mapping):
        _refuse_others(root, str(path))
    for name, scalar in found.items():
        _check(name, scalar, matrix, str(path))
    for name, scalar in since.items():
        if name not in found:
            hint = f"its versions are of {', '.join(found)}"
            raise refusal(at(scalar, str(path)), f"since: {name} is not among the versions", hint, "observed")
    if not found:
        raise refusal(where, "it names no version", HINT, "observed")
    return Observed({n: s.text for n, s in found.items()}, {n: s.text for n, s in since.items()})


def _child(node: Node | None, name: str) -> Node | None:
    return node.get(name) if isinstance(node, Mapping) else None


def _refuse_others(root: Mapping, file: str) -> None:
    """A misspelt `since` must not be taken for none."""
    for name, _ in root.entries:
        if name.text not in ("versions", "since"):
            hint = "beside `versions` only `since` may stand"
            raise refusal(at(name, file), f"unknown key {name.text!r}", hint, "observed")


def _scalars(node: Node | None, file: str) -> dict[str, Scalar]:
    if not isinstance(node, Mapping):
        where = at(node, file) if node else Location(file)
        raise refusal(where, "expected components and versions", HINT, "observed")
    found: dict[str, Scalar] = {}
    for name, value in node.entries:
        if not isinstance(value, Scalar) or not value.text:
            raise refusal(at(value, file), f"{name.text}: expected one version", HINT, "observed")
        if name.text in found:
            raise refusal(at(name, file), f"{name.text} is there twice", "keep one of them", "observed")
        found[name.text] = value
    return found


def _check(name: str, scalar: Scalar, matrix: Matrix, file: str) -> None:
    if name not in matrix.components:
        near = difflib.get_close_matches(name, matrix.components, n=1)
        hint = f"did you mean {near[0]}?" if near else "knowngood show components lists them"
        raise refusal(at(scalar, file), f"there is no component {name!r}", hint, "observed")
    try:
        key(matrix.components[name].scheme, scalar.text)
    except ValueError as error:
        raise refusal(at(scalar, file), f"{name}: {error}", "name one exact version", "observed") from None
