"""A Kubernetes manifest that a team wrote: one document, read as strictly as the matrix is."""

from __future__ import annotations

from pathlib import Path

import yaml

from knowngood.matrix.reading import display, read_text
from knowngood.matrix.yaml_text import parse_strict
from knowngood.model.errors import UsageError
from knowngood.model.values import Object


def manifest(path: Path) -> Object:
    """The object; DataError with its place where it is no YAML of one document, UsageError where it is no mapping."""
    text = read_text(path)
    parse_strict(text, display(path))  # doubled keys, anchors, size
    found = yaml.safe_load(text)
    if not isinstance(found, dict):
        raise UsageError("it is no Kubernetes object", where=display(path), hint="see deploy/runner/job.yaml")
    return found
