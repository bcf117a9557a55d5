"""A file that says what really runs: component -> version, as YAML or JSON."""

from __future__ import annotations

import difflib
from collections.abc import Mapping as AnyMapping
from pathlib import Path

from knowngood.matrix.documents import display, read_text
from knowngood.matrix.yamltext import Mapping, Scalar, at, parse_strict
from knowngood.model.errors import DataError, Location, Problem, UsageError
from knowngood.model.matrix import Component
from knowngood.planner.version import key


def observed(path: Path, components: AnyMapping[str, Component]) -> dict[str, str]:
    """The versions in the file; UsageError where there is none, DataError with every wrong line."""
    if not path.is_file():
        raise UsageError(
            "there is no such file", where=str(path), hint="one line a component: openshift: 4.18.52"
        )
    file = display(path)
    node = parse_strict(read_text(path), file)
    if not isinstance(node, Mapping):
        raise DataError((Problem(Location(file, 1), "expected lines like `openshift: 4.18.52`", "schema"),))
    found: dict[str, str] = {}
    problems = []
    for name, value in node.entries:
        if name.text not in components:
            near = difflib.get_close_matches(name.text, components, n=1)
            hint = f"did you mean {near[0]}?" if near else "knowngood show components lists them"
            problems.append(Problem(at(name, file), f"there is no component {name.text!r}", "schema", hint))
        elif not isinstance(value, Scalar):
            problems.append(
                Problem(at(value, file), f"{name.text} needs one version", "schema", "write it as text")
            )
        else:
            try:
                key(components[name.text].scheme, value.text)
            except ValueError as error:
                problems.append(Problem(at(value, file), str(error), "schema", "write the version in full"))
            found[name.text] = value.text
    if problems:
        raise DataError(tuple(problems))
    return found
